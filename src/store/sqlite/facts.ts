import type { KeyVersionRecord } from '../../release/records.js';
import type { ReleaseFacts, ReleaseQuery } from '../../release/store.js';
import type { Contents } from '../rows/contents.js';
import { fold } from '../rows/label.js';
import type { Snapshot } from '../rows/state-watch.js';
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
    revoked: (query.identities ?? []).filter((identity) => tables.revocations.has(snapshot, identity)),
  };
}

/** Bytes of memory that facts take, rather too many than too few: what may be large in them is the deployment and what it accepts. */
export function memoryOf({ deployment, policies }: ReleaseFacts): number {
  const document = deployment === undefined ? 0 : JSON.stringify(deployment.deployment).length;
  return 8192 + 4 * document + 1024 * policies.length;
}

const MAX_LATEST = 16_384;

/** The newest version by key name, as long as the tables hold the same: finding it reads, and authenticates, them all. */
const latest = new WeakMap<Contents, Map<string, string | undefined>>();

function versionOf(tables: Tables, snapshot: Snapshot, key: string, version: string): KeyVersionRecord | undefined {
  if (version !== 'latest') return tables.keyVersions.get(snapshot, key, version);
  const known = latest.get(snapshot.contents) ?? new Map<string, string | undefined>();
  latest.set(snapshot.contents, known);
  const id = known.get(key);
  if (id !== undefined) return tables.keyVersions.get(snapshot, key, id);
  const newest = versionsOf(tables, snapshot, key).at(-1);
  if (known.size >= MAX_LATEST) known.clear();
  known.set(key, newest?.version);
  return newest;
}
