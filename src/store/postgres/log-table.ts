import type { LogEntry } from '../../release/records.js';
import { type EntryQuery, StoreIntegrityError } from '../../release/store.js';
import { HASH_BYTES } from '../../translog/merkle.js';
import { TILE_HEIGHT } from '../../translog/tile.js';
import { fold } from '../rows/label.js';
import { complete, entryOf, type EntryRow } from '../rows/log-rows.js';
import type { Session, SqlRow, Statement } from './session.js';

/*
 * The log's entries and tree nodes. Rows carry no MAC, the tree authenticates them: an entry that is shown must have the
 * leaf hash beside it, and whoever reads the log holds hashes against a checkpoint. Type and deployment are computed from
 * the entry by the server whenever it is asked, so no row can say another thing than its entry does.
 */

const TYPE = `(entry::json ->> 'type') COLLATE "C"`;
const DEPLOYMENT = `lower((entry::json ->> 'deployment') COLLATE "C")`;

const TEXTS: Statement = {
  name: 'log_texts',
  text: 'SELECT log_index AS at, entry AS value FROM portcullis.log_entries WHERE log_index >= $1 AND log_index < $2 ORDER BY log_index',
};
const LEAVES: Statement = {
  name: 'log_leaves',
  text: 'SELECT log_index AS at, leaf_hash AS value FROM portcullis.log_entries WHERE log_index >= $1 AND log_index < $2 ORDER BY log_index',
};
const NODES: Statement = {
  name: 'log_nodes',
  text: 'SELECT node_index AS at, hash AS value FROM portcullis.log_nodes WHERE level = $3 AND node_index >= $1 AND node_index < $2 ORDER BY node_index',
};
const SELECT_ENTRIES = `SELECT log_index, ${TYPE} AS type, entry, leaf_hash, detail, names FROM portcullis.log_entries WHERE log_index >= 0 AND log_index < $1`;
/** Rows that are fetched at once where the size of a page is bounded: entries may be large. */
const CHUNK = 32;

/** The texts of `count` entries from `start` on, in order. Throws StoreIntegrityError where one is missing. */
export async function readTexts(session: Session, start: number, count: number): Promise<readonly string[]> {
  return complete(pairs(await session.query(TEXTS, [start, start + count])), start, count) as readonly string[];
}

/** The `count` hashes of a tile level from `start` on, in order. Throws StoreIntegrityError where one is missing, or is none. */
export async function readHashes(
  session: Session,
  tileLevel: number,
  start: number,
  count: number,
): Promise<readonly Buffer[]> {
  const range = [start, start + count];
  const rows =
    tileLevel === 0
      ? await session.query(LEAVES, range)
      : await session.query(NODES, [...range, tileLevel * TILE_HEIGHT]);
  const hashes = complete(pairs(rows), start, count) as readonly Buffer[];
  if (hashes.some((hash) => hash.length !== HASH_BYTES)) {
    throw new StoreIntegrityError(`log, tile level ${String(tileLevel)}: a hash is not ${String(HASH_BYTES)} bytes`);
  }
  return hashes;
}

/** Newest first. Throws StoreIntegrityError for an entry that is not the one that was appended. */
export async function readEntries(session: Session, query: EntryQuery): Promise<readonly LogEntry[]> {
  const { type, limit, maxCharacters = Infinity } = query;
  // No entry has a NUL in these, and PostgreSQL takes none.
  const deployments = query.deployments?.filter((name) => !name.includes('\0'));
  if (type?.includes('\0') === true || deployments?.length === 0) return [];
  const values = [...(type === undefined ? [] : [type]), ...(deployments === undefined ? [] : [deployments.map(fold)])];
  const statement = selectEntries(type !== undefined, deployments !== undefined);
  const found: LogEntry[] = [];
  let before = query.before ?? Number.MAX_SAFE_INTEGER;
  for (let characters = 0; found.length < limit;) {
    const chunk = Math.min(limit - found.length, maxCharacters === Infinity ? limit : CHUNK);
    const rows = (await session.query(statement, [before, chunk, ...values])) as unknown as EntryRow[];
    for (const row of rows) {
      found.push(entryOf(row));
      characters += row.entry.length + (row.detail?.length ?? 0);
      if (characters >= maxCharacters) return found;
    }
    if (rows.length < chunk) return found;
    before = rows.at(-1)?.log_index ?? 0;
  }
  return found;
}

function selectEntries(byType: boolean, byDeployment: boolean): Statement {
  const conditions = [
    ...(byType ? [`${TYPE} = $3`] : []),
    ...(byDeployment ? [`${DEPLOYMENT} = ANY($${byType ? '4' : '3'}::text[])`] : []),
  ];
  return {
    name: `log_query${byType ? '_type' : ''}${byDeployment ? '_deployment' : ''}`,
    text: `${[SELECT_ENTRIES, ...conditions].join(' AND ')} ORDER BY log_index DESC LIMIT $2`,
  };
}

function pairs(rows: readonly SqlRow[]): readonly (readonly [number, unknown])[] {
  return rows.map(({ at, value }) => [at as number, value]);
}
