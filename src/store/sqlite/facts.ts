import type { KeyVersionRecord } from '../../release/records.js';
import type { ReleaseFacts } from '../../release/store.js';
import type { Contents } from '../rows/contents.js';
import type { Snapshot } from '../rows/state-watch.js';
import type { Tables } from './tables.js';
import { versionsOf } from './view.js';

/*
 * What decides a release, in parts: each is asked for by many releases that have nothing else in common. Every row is
 * authenticated; nothing is awaited. Names are folded.
 */

/** The read transaction under way. */
export interface Moment {
  readonly tables: Tables;
  readonly snapshot: Snapshot;
}

export type DeploymentFacts = Pick<ReleaseFacts, 'deployment' | 'deploymentFrozen' | 'policies'>;
export type KeyFacts = Pick<ReleaseFacts, 'key' | 'keyFrozen' | 'version'>;
export type AkFacts = Pick<ReleaseFacts, 'attester' | 'akRevoked'>;

export function deploymentFacts({ tables, snapshot }: Moment, name: string): DeploymentFacts {
  return {
    deployment: tables.deployments.get(snapshot, name),
    deploymentFrozen: tables.freezes.has(snapshot, `deployment/${name}`),
    policies: tables.policyLinks.of(snapshot, name),
  };
}

export function keyFacts({ tables, snapshot }: Moment, name: string, version: string): KeyFacts {
  const key = tables.keys.get(snapshot, name);
  return {
    key,
    keyFrozen: tables.freezes.has(snapshot, `key/${name}`),
    version: key === undefined ? undefined : versionOf(tables, snapshot, key.name, version),
  };
}

export function akFacts({ tables, snapshot }: Moment, spkiSha256: string): AkFacts {
  return {
    attester: tables.attesters.get(snapshot, spkiSha256),
    akRevoked: tables.revocations.has(snapshot, spkiSha256),
  };
}

export function isRevoked({ tables, snapshot }: Moment, identity: string): boolean {
  return tables.revocations.has(snapshot, identity);
}

/* Bytes of memory that a part takes, rather too many than too few. */

/** What may be large is the deployment, and what it accepts. */
export function bytesOfDeployment({ deployment, policies }: DeploymentFacts): number {
  const document = deployment === undefined ? 0 : JSON.stringify(deployment.deployment).length;
  return 4096 + 4 * document + 1024 * policies.length;
}

export function bytesOfKey({ key, version }: KeyFacts): number {
  return 4096 + 256 * (key?.deployments.length ?? 0) + (version?.ciphertext.length ?? 0);
}

export function bytesOfAk({ attester }: AkFacts): number {
  if (attester === undefined) return 1024;
  const { publicArea, deployments, enrolments = [] } = attester;
  const certificates = enrolments.flatMap(({ ek }) => ek.certificates);
  const parts = deployments.length + 4 * enrolments.length + certificates.length;
  return certificates.reduce((sum, { length }) => sum + length, 2048 + publicArea.length + 256 * parts);
}

export function bytesOfRevocation(): number {
  return 512;
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
