import {
  ATTESTERS,
  BROKER,
  DEPLOYMENTS,
  KEY_VERSIONS,
  KEYS,
  POLICIES,
  POLICY_LINKS,
  setSpec,
  TOKENS,
} from '../rows/specs.js';
import { StoredTable } from './stored-table.js';

/** The deciding tables, with their columns as the migrations make them. */
export const TABLES = {
  broker: new StoredTable(BROKER, [
    'id',
    'broker',
    'profile',
    'created_at_ms',
    'kek',
    'wrapped_root_secret',
    'log_origin',
    'log_public_key',
    'wrapped_log_key',
  ]),
  deployments: new StoredTable(DEPLOYMENTS, ['name', 'document', 'created_at_ms', 'updated_at_ms']),
  policies: new StoredTable(POLICIES, ['sha256', 'sha384', 'content', 'created_at_ms']),
  policyLinks: new StoredTable(POLICY_LINKS, [
    'deployment',
    'sha256',
    'sha384',
    'not_before_ms',
    'not_after_ms',
    'origin',
    'created_at_ms',
  ]),
  keys: new StoredTable(KEYS, [
    'name',
    'kty',
    'size_bits',
    'curve',
    'deployments',
    'state',
    'created_at_ms',
    'purge_at_ms',
  ]),
  keyVersions: new StoredTable(KEY_VERSIONS, [
    'key',
    'version',
    'sequence',
    'state',
    'kek',
    'wrapped_dek',
    'ciphertext',
    'created_at_ms',
    'purge_at_ms',
  ]),
  attesters: new StoredTable(ATTESTERS, [
    'spki_sha256',
    'ak_name',
    'public_area',
    'name',
    'deployments',
    'created_at_ms',
    'ek_spki_sha256',
    'enrolments',
    'quarantined_at_ms',
  ]),
  tokens: new StoredTable(TOKENS, ['id', 'name', 'role', 'hash', 'created_at_ms', 'expires_at_ms', 'revoked_at_ms']),
  revocations: new StoredTable(setSpec('revocations'), ['id']),
  freezes: new StoredTable(setSpec('freezes'), ['id']),
};

/** The tables whose contents the state row sums up. */
export const DECIDING: readonly StoredTable<unknown>[] = Object.values(TABLES);
