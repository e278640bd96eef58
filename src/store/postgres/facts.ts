import type { KeyVersionRecord } from '../../release/records.js';
import type { ReleaseFacts, ReleaseQuery } from '../../release/store.js';
import type { Contents } from '../rows/contents.js';
import { fold } from '../rows/label.js';
import type { Row } from '../rows/row-mac.js';
import type { Snapshot } from '../rows/state-watch.js';
import { rowOfJson, rowsOfJson } from './json-row.js';
import type { Session, SqlRow, Statement } from './session.js';
import { STATE_JSON } from './state-reader.js';
import { isId } from './stored-table.js';
import { TABLES } from './tables.js';
import { stateOf, versionsOf } from './view.js';

/** Everything that decides one release, in one statement and so in one moment. A null finds nothing. */
const FACTS: Statement = {
  name: 'facts',
  text: `SELECT ${STATE_JSON},
    (SELECT row_to_json(t) FROM portcullis.deployments t WHERE lower(name) = $1) AS deployment,
    (SELECT json_agg(t ORDER BY sha256) FROM portcullis.policy_links t WHERE lower(deployment) = $1) AS links,
    (SELECT row_to_json(t) FROM portcullis.keys t WHERE lower(name) = $2) AS key,
    (SELECT row_to_json(t) FROM portcullis.key_versions t WHERE lower(key) = $2 AND version = $3) AS version,
    (SELECT row_to_json(t) FROM portcullis.attesters t WHERE spki_sha256 = $4) AS attester,
    (SELECT row_to_json(t) FROM portcullis.revocations t WHERE id = $4) AS revocation,
    (SELECT json_agg(t) FROM portcullis.revocations t WHERE id = ANY ($5::text[])) AS revoked,
    (SELECT row_to_json(t) FROM portcullis.freezes t WHERE id = 'deployment/' || $1) AS deployment_freeze,
    (SELECT row_to_json(t) FROM portcullis.freezes t WHERE id = 'key/' || $2) AS key_freeze`,
};

/** What the statement has read, not verified yet. */
export interface FoundFacts {
  readonly state: Row | undefined;
  readonly server: Row | undefined;
  readonly row: SqlRow;
  /** The id of the version that was looked for. */
  readonly version: string | undefined;
}

/** One round trip. Where `latest` is asked for, the version that was the newest under contents that are known. */
export async function findFacts(
  session: Session,
  query: ReleaseQuery,
  contents: Contents | undefined,
): Promise<FoundFacts> {
  const version = query.version === 'latest' ? knownLatest(contents, query.key) : query.version;
  const [row = {}] = await session.query(FACTS, [
    param(fold(query.deployment)),
    param(fold(query.key)),
    param(version),
    param(query.akSpkiSha256),
    (query.identities ?? []).filter(isId),
  ]);
  return { state: rowOfJson(row['state']), server: rowOfJson(row['server']), row, version };
}

/**
 * The facts, every row authenticated. Undefined where the newest version is asked for and is another one than was looked
 * for: then `versionIn` finds it in a transaction.
 */
export function factsOf(snapshot: Snapshot, query: ReleaseQuery, found: FoundFacts): ReleaseFacts | undefined {
  const { row } = found;
  const key = TABLES.keys.guarded.one(snapshot, [query.key], rowOfJson(row['key']));
  const latest = query.version === 'latest';
  if (latest && key !== undefined && !isKnownLatest(snapshot.contents, query.key, found.version)) return undefined;
  const version =
    key === undefined || found.version === undefined
      ? undefined
      : TABLES.keyVersions.guarded.one(snapshot, [key.name, found.version], rowOfJson(row['version']));
  return { ...decidingFacts(snapshot, query, row), key, version };
}

/** As `factsOf`, in the transaction that has found them: the newest version is looked up among all of the key. */
export async function factsIn(
  session: Session,
  snapshot: Snapshot,
  query: ReleaseQuery,
  found: FoundFacts,
): Promise<ReleaseFacts> {
  const facts = factsOf(snapshot, query, found);
  if (facts !== undefined) return facts;
  const key = TABLES.keys.guarded.one(snapshot, [query.key], rowOfJson(found.row['key']));
  let version: KeyVersionRecord | undefined;
  if (key !== undefined) {
    version = (await versionsOf(session, snapshot, key.name)).at(-1);
    rememberLatest(snapshot.contents, query.key, version?.version);
  }
  return { ...decidingFacts(snapshot, query, found.row), key, version };
}

function decidingFacts(snapshot: Snapshot, query: ReleaseQuery, row: SqlRow): Omit<ReleaseFacts, 'key' | 'version'> {
  const { deployments, policyLinks, attesters, revocations, freezes } = TABLES;
  const spki = query.akSpkiSha256;
  const frozen = (id: string, json: unknown) => freezes.guarded.one(snapshot, [id], rowOfJson(json)) !== undefined;
  return {
    state: stateOf(snapshot.state),
    deployment: deployments.guarded.one(snapshot, [query.deployment], rowOfJson(row['deployment'])),
    deploymentFrozen: frozen(`deployment/${fold(query.deployment)}`, row['deployment_freeze']),
    policies: policyLinks.guarded.children(snapshot, query.deployment, rowsOfJson(row['links'])),
    keyFrozen: frozen(`key/${fold(query.key)}`, row['key_freeze']),
    attester: spki === undefined ? undefined : attesters.guarded.one(snapshot, [spki], rowOfJson(row['attester'])),
    akRevoked:
      spki !== undefined && revocations.guarded.one(snapshot, [spki], rowOfJson(row['revocation'])) !== undefined,
    revoked: revokedOf(snapshot, query.identities ?? [], rowsOfJson(row['revoked'])),
  };
}

/** Those of the identities that were revoked: each is looked for among the rows, so none that is missing is taken for none. */
function revokedOf(snapshot: Snapshot, identities: readonly string[], rows: readonly Row[]): readonly string[] {
  const { guarded } = TABLES.revocations;
  return identities.filter((identity) => {
    const row = rows.find((each) => each['id'] === identity);
    return guarded.one(snapshot, [identity], row) !== undefined;
  });
}

/** An id that a row can have; null where none can. */
function param(id: string | undefined): string | null {
  return id !== undefined && isId(id) ? id : null;
}

/** The newest version by key, as long as the tables hold the same: finding it reads, and authenticates, them all. */
const latestVersions = new WeakMap<Contents, Map<string, string | undefined>>();

function knownLatest(contents: Contents | undefined, key: string): string | undefined {
  return contents === undefined ? undefined : latestVersions.get(contents)?.get(fold(key));
}

function isKnownLatest(contents: Contents, key: string, version: string | undefined): boolean {
  const known = latestVersions.get(contents);
  return known?.has(fold(key)) === true && known.get(fold(key)) === version;
}

function rememberLatest(contents: Contents, key: string, version: string | undefined): void {
  let known = latestVersions.get(contents);
  if (known === undefined) latestVersions.set(contents, (known = new Map<string, string | undefined>()));
  known.set(fold(key), version);
}
