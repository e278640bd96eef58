import type Database from 'better-sqlite3';
import type { LogEntry } from '../../release/records.js';
import { type EntryQuery, StoreIntegrityError } from '../../release/store.js';
import { HASH_BYTES } from '../../translog/merkle.js';
import { TILE_HEIGHT } from '../../translog/tile.js';
import { complete, type EntryRow, entryOf, type NewEntry } from '../rows/log-rows.js';
import { type LogEnd, MAX_NODE_LEVELS } from '../rows/log-watch.js';
import { isConstraint } from './errors.js';

/**
 * The log's entries and tree nodes on one connection. Rows carry no MAC, the tree authenticates them: an entry that is
 * shown must have the leaf hash beside it, and whoever reads the log holds hashes against a checkpoint. Type and
 * deployment are columns that SQLite computes from the entry, so no row can say another thing than its entry does.
 */
export class LogTable {
  readonly #db: Database.Database;
  readonly #count: Database.Statement;
  readonly #insert: Database.Statement;
  readonly #insertNode: Database.Statement;
  readonly #texts: Database.Statement;
  readonly #leaves: Database.Statement;
  readonly #nodes: Database.Statement;
  readonly #lastNode: Database.Statement;
  readonly #queries = new Map<string, Database.Statement>();

  constructor(db: Database.Database) {
    this.#db = db;
    this.#count = db.prepare('SELECT log_index FROM log_entries ORDER BY log_index DESC LIMIT 1').pluck();
    this.#insert = db.prepare(
      'INSERT INTO log_entries (log_index, entry, leaf_hash, detail, names) VALUES (?, ?, ?, ?, ?)',
    );
    this.#insertNode = db.prepare('INSERT INTO log_nodes (level, node_index, hash) VALUES (?, ?, ?)');
    const range = (columns: string, table: string, index: string) =>
      `SELECT ${columns} FROM ${table} WHERE ${index} >= ? AND ${index} < ? ORDER BY ${index}`;
    this.#texts = db.prepare(range('log_index, entry', 'log_entries', 'log_index')).raw();
    this.#leaves = db.prepare(range('log_index, leaf_hash', 'log_entries', 'log_index')).raw();
    this.#nodes = db
      .prepare(range('node_index, hash', 'log_nodes', 'node_index').replace('WHERE', 'WHERE level = ? AND'))
      .raw();
    this.#lastNode = db
      .prepare('SELECT level, node_index FROM log_nodes WHERE level < ? ORDER BY level DESC, node_index DESC LIMIT 1')
      .raw();
  }

  /** Where the log ends: a look into an index for the entries, and one for each level of stored nodes. */
  end(): LogEnd {
    const nodes: { level: number; index: number }[] = [];
    for (let below = Number.MAX_SAFE_INTEGER; nodes.length <= MAX_NODE_LEVELS;) {
      const row = this.#lastNode.get(below) as [number, number] | undefined;
      if (row === undefined) break;
      const [level, index] = row;
      nodes.push({ level, index });
      below = level;
    }
    return { entries: ((this.#count.get() as number | undefined) ?? -1) + 1, nodes };
  }

  insert({ index, text, leafHash: leaf, detail, names }: NewEntry): void {
    this.#insert.run(index, text, leaf, detail ?? null, names === undefined ? null : JSON.stringify(names));
  }

  /** A node whose level is a multiple of TILE_HEIGHT, above the leaves. Throws StoreIntegrityError where it stands there already. */
  insertNode(level: number, index: number, hash: Buffer): void {
    try {
      this.#insertNode.run(level, index, hash);
    } catch (error) {
      if (!isConstraint(error)) throw error;
      throw new StoreIntegrityError(`log_nodes ${String(level)}/${String(index)}: the row was inserted`, {
        cause: error,
      });
    }
  }

  /** The `count` hashes of a tile level from `start` on, in order. Throws StoreIntegrityError where one is missing, or is none. */
  hashes(tileLevel: number, start: number, count: number): readonly Buffer[] {
    const rows =
      tileLevel === 0
        ? this.#leaves.all(start, start + count)
        : this.#nodes.all(tileLevel * TILE_HEIGHT, start, start + count);
    const hashes = complete(rows as [number, Buffer][], start, count);
    if (hashes.some((hash) => hash.length !== HASH_BYTES)) {
      throw new StoreIntegrityError(`log, tile level ${String(tileLevel)}: a hash is not ${String(HASH_BYTES)} bytes`);
    }
    return hashes;
  }

  /** The texts of `count` entries from `start` on, in order. Throws StoreIntegrityError where one is missing. */
  texts(start: number, count: number): readonly string[] {
    return complete(this.#texts.all(start, start + count) as [number, string][], start, count);
  }

  /** Newest first. Throws StoreIntegrityError for an entry that is not the one that was appended. */
  query(query: EntryQuery): readonly LogEntry[] {
    const { type, deployments, before = Number.MAX_SAFE_INTEGER, limit, maxCharacters = Infinity } = query;
    const conditions = [
      'log_index >= 0 AND log_index < @before',
      ...(type === undefined ? [] : ['type = @type']),
      ...(deployments === undefined ? [] : [`deployment IN (SELECT value FROM json_each(@deployments))`]),
    ];
    const values = { before, limit, ...(type === undefined ? {} : { type }) };
    const names = deployments === undefined ? {} : { deployments: JSON.stringify(deployments) };
    const rows = this.#select(conditions.join(' AND ')).iterate({ ...values, ...names });
    const found: LogEntry[] = [];
    let characters = 0;
    for (const row of rows as IterableIterator<EntryRow>) {
      found.push(entryOf(row));
      characters += row.entry.length + (row.detail?.length ?? 0);
      if (characters >= maxCharacters) break;
    }
    return found;
  }

  #select(where: string): Database.Statement {
    let statement = this.#queries.get(where);
    if (statement === undefined) {
      statement = this.#db.prepare(
        `SELECT log_index, type, entry, leaf_hash, detail, names FROM log_entries WHERE ${where} ORDER BY log_index DESC LIMIT @limit`,
      );
      this.#queries.set(where, statement);
    }
    return statement;
  }
}
