import type Database from 'better-sqlite3';
import {
  ATTESTERS,
  BROKER,
  DEPLOYMENTS,
  KEYS,
  KEY_VERSIONS,
  POLICIES,
  POLICY_LINKS,
  setSpec,
  TOKENS,
} from '../rows/specs.js';
import { ArchiveTable } from './archive-table.js';
import { LogHeadTable } from './log-head-table.js';
import { LogTable } from './log-table.js';
import { NonceTable } from './nonce-table.js';
import { RemovalsTable } from './removals-table.js';
import { SightingsTable } from './sightings-table.js';
import { StateTable } from './state-table.js';
import { StoredTable } from './stored-table.js';

/** Every table, with its prepared statements, on one connection. */
export type Tables = ReturnType<typeof prepareTables>;

export function prepareTables(db: Database.Database) {
  const deciding = {
    broker: new StoredTable(db, BROKER),
    deployments: new StoredTable(db, DEPLOYMENTS),
    policies: new StoredTable(db, POLICIES),
    policyLinks: new StoredTable(db, POLICY_LINKS),
    keys: new StoredTable(db, KEYS),
    keyVersions: new StoredTable(db, KEY_VERSIONS),
    attesters: new StoredTable(db, ATTESTERS),
    tokens: new StoredTable(db, TOKENS),
    revocations: new StoredTable(db, setSpec('revocations')),
    freezes: new StoredTable(db, setSpec('freezes')),
  };
  const probe: { run(atMs: number): unknown } = db.prepare(
    'INSERT INTO probe (id, probed_at_ms) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET probed_at_ms = excluded.probed_at_ms',
  );
  return {
    ...deciding,
    /** The tables whose contents the state row sums up. */
    deciding: Object.values(deciding),
    removals: new RemovalsTable(db),
    state: new StateTable(db),
    log: new LogTable(db),
    logHead: new LogHeadTable(db),
    archive: new ArchiveTable(db),
    nonces: new NonceTable(db),
    sightings: new SightingsTable(db),
    probe,
  };
}
