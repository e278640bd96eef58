import type { KeyVersionRecord } from '../../release/records.js';
import type { ReleaseFacts, ReleaseQuery } from '../../release/store.js';
import type { Contents } from './contents.js';
import type { Snapshot } from './state-watch.js';
import { fold } from './stored-table.js';
import type { Tables } from './tables.js';
import { stateOf, versionsOf } from './view.js';

/** The facts of one release, in the read transaction under way. Every row is authenticated; nothing is awaited. */
export function factsOf(tables: Tables, snapshot: Snapshot, query: ReleaseQuery): ReleaseFacts {
  const spki = query.akSpkiSha256;
  const key = tables.keys.get(snapshot, query.key);
  return {
    state: stateOf(snapshot.state),
    deployment: tables.deployments.get(snapshot, query.deployment),
    deploymentFrozen: tables.freezes.has(snapshot, `deployment/${fold(query.deployment)}`),
    policies: tables.policyLinks.of(snapshot, query.deployment),
    key,
    keyFrozen: tables.freezes.has(snapshot, `key/${fold(query.key)}`),
    version: key === undefined ? undefined : versionOf(tables, snapshot, key.name, query.version),
    attester: spki === undefined ? undefined : tables.attesters.get(snapshot, spki),
    akRevoked: spki !== undefined && tables.revocations.has(snapshot, spki),
  };
}

function versionOf(tables: Tables, snapshot: Snapshot, key: string, version: string): KeyVersionRecord | undefined {
  const id = version === 'latest' ? latestOf(tables, snapshot, key) : version;
  return id === undefined ? undefined : tables.keyVersions.get(snapshot, key, id);
}

/** The newest version by key name, as long as the tables hold the same: finding it reads, and authenticates, them all. */
const latest = new WeakMap<Contents, Map<string, string | undefined>>();

function latestOf(tables: Tables, snapshot: Snapshot, key: string): string | undefined {
  let known = latest.get(snapshot.contents);
  if (known === undefined) latest.set(snapshot.contents, (known = new Map<string, string | undefined>()));
  if (!known.has(key)) known.set(key, versionsOf(tables, snapshot, key).at(-1)?.version);
  return known.get(key);
}
