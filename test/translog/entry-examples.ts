import type { EntryType } from '../../src/translog/entry-types.js';
import type { EntryBody } from '../../src/translog/entry.js';

const HASH = 'ab'.repeat(32);
const ID = 'cd'.repeat(16);
const AK = { ak_name: `000b${HASH}`, ak_spki_sha256: HASH };
const TIME = '2027-01-31T00:00:00.000Z';
const actor = '0123456789abcdef';
const deployment = 'llm-inference';
const key = 'Weights-1';

/** The time and state that the examples are composed at. */
export const AT = { timeMs: Date.UTC(2026, 10, 20, 12, 0, 0, 123), generation: 42 };

/** A body of every type, with every member that it may have. */
export const EXAMPLES: Readonly<Record<EntryType, EntryBody>> = {
  'broker.initialised': { broker: ID, profile: 'production', log_origin: `${ID}/0123456789abcdef` },
  'broker.started': { broker: ID, profile: 'production', version: '1.2.3-rc.1+x', kek: actor },
  'log.rollback_accepted': {
    log_origin: `${ID}/0123456789abcdef`,
    previous_origin: `${ID}/fedcba9876543210`,
    previous_size: '18446744073709551615',
    previous_root: HASH,
    newest_known_size: '0',
    newest_known_root: HASH,
    frozen_keys: 0,
    detail_sha256: HASH,
  },
  'deployment.applied': {
    actor,
    deployment,
    created: true,
    source: 'tpm',
    bank: 'sha256',
    pcr: 8,
    boot: 'pinned',
    trust: ['pinned', 'simulator'],
    any_from_roots: false,
    document_sha256: '12'.repeat(32),
    detail_sha256: HASH,
  },
  'deployment.frozen': { actor, deployment },
  'deployment.unfrozen': { actor, deployment },
  'policy.registered': {
    actor,
    deployment,
    policy_sha256: HASH,
    policy_sha384: 'ef'.repeat(48),
    not_before: TIME,
    not_after: TIME,
    origin: 'document',
  },
  'policy.retired': { actor, deployment, policy_sha256: HASH },
  'key.created': {
    actor,
    key,
    version: ID,
    kty: 'EC',
    size: 256,
    curve: 'P-256',
    origin: 'generated',
    deployments: [deployment, 'training'],
  },
  'key.rotated': { actor, key, version: ID },
  'key.linked': { actor, key, linked: [deployment], unlinked: ['training', 'x'] },
  'key.state': { actor, key, version: ID, state: 'deleted', purge_at: TIME },
  'key.purged': { key, version: ID },
  'attester.trusted': { actor, deployment, attester: 'node_1.example', ...AK, trust: 'pinned' },
  'attester.revoked': { actor, attester: 'node_1.example', ...AK },
  'attester.enrolled': {
    deployment,
    attester: 'node_1.example',
    ...AK,
    ek_spki_sha256: HASH,
    ek_certificate_sha256: HASH,
    replaced: HASH,
  },
  'attester.quarantined': { actor, attester: 'node_1.example', ...AK, quarantined: true },
  'endorsement.revoked': { actor, identity: `ca/${HASH}` },
  'attester.regressed': {
    ak_spki_sha256: HASH,
    clock_before: '1000',
    clock_after: '900',
    reset_count_before: 7,
    reset_count_after: 6,
  },
  'attester.conflict': { deployment, ...AK, ek_spki_sha256: HASH },
  'token.created': { actor, token: actor, role: 'auditor', expires_at: TIME },
  'token.revoked': { actor, token: actor },
  'kek.rotated': { actor, kek: 'https://vault.example/keys/kek/0123' },
  'kek.rewrapped': { versions: 7 },
  release: {
    release_id: ID,
    profile: 'production',
    broker: ID,
    deployment,
    key,
    version: ID,
    policy_sha256: HASH,
    policy_sha384: 'ef'.repeat(48),
    recipient: 'A'.repeat(43),
    ...AK,
    ak_trust: 'ek-certificate',
    ak_allowed_by: 'administrator',
    ek_spki_sha256: HASH,
    cvm: 'tdx',
    cvm_measurement: 'ef'.repeat(48),
    gpus: 8,
    boot: 'pinned',
    evidence_sha256: HASH,
    jwe_sha256: HASH,
    nonce_sha256: HASH,
    decision_sha256: HASH,
  },
  denial: { reason: 'policy.hash', deployment, key, version: 'latest', ...AK, decision_sha256: HASH },
  'denial.summary': { counts: { 'quote.signature': 1000, internal: 1 } },
};

/** A copy without some members. */
export function without<T>(entry: Readonly<Record<string, T>>, ...members: readonly string[]): Record<string, T> {
  return Object.fromEntries(Object.entries(entry).filter(([member]) => !members.includes(member)));
}
