import type Database from 'better-sqlite3';
import { canonicalJson, type Json } from '../../bytes/canonical-json.js';
import type { LogEntry } from '../../release/records.js';
import type { EntryQuery } from '../../release/store.js';

/** What an entry is at most, in bytes of canonical JSON. Larger parts go into `detail`, with their hash in the entry. */
export const MAX_ENTRY_BYTES = 16_384;

export type EntryBody = Readonly<Record<string, Json | undefined>>;

/** Where the log ends. */
export interface LogEnd {
  readonly nextIndex: number;
  /** Of the newest entry; 0 in an empty log. */
  readonly timeMs: number;
  /** Of the newest entry; 0 in an empty log. */
  readonly generation: number;
}

/**
 * The log entries on one connection. Nothing here is authenticated: an entry that SQL changes or removes is found by the
 * transparency log, not by this table.
 */
export class LogTable {
  readonly #db: Database.Database;
  readonly #newest: Database.Statement;
  readonly #insert: Database.Statement;
  readonly #queries = new Map<string, Database.Statement>();

  constructor(db: Database.Database) {
    this.#db = db;
    this.#newest = db
      .prepare('SELECT log_index, time_ms, state_generation FROM log_entries ORDER BY log_index DESC LIMIT 1')
      .raw();
    this.#insert = db.prepare(
      'INSERT INTO log_entries (log_index, type, time_ms, state_generation, deployment, entry, detail) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
  }

  end(): LogEnd {
    const [index, timeMs, generation] = (this.#newest.get() ?? [-1, 0, 0]) as [number, number, number];
    return { nextIndex: index + 1, timeMs, generation };
  }

  insert(entry: ComposedEntry, detail: string | undefined): void {
    this.#insert.run(
      entry.index,
      entry.type,
      entry.timeMs,
      entry.generation,
      entry.deployment,
      entry.text,
      detail ?? null,
    );
  }

  /** Newest first. */
  query(query: EntryQuery): readonly LogEntry[] {
    const { type, deployment, before = Number.MAX_SAFE_INTEGER, limit, maxCharacters = Infinity } = query;
    const conditions = [
      'log_index < @before',
      ...(type === undefined ? [] : ['type = @type']),
      ...(deployment === undefined ? [] : ['deployment = @deployment']),
    ];
    const rows = this.#select(conditions.join(' AND ')).iterate({ type, deployment, before, limit });
    const found: LogEntry[] = [];
    let characters = 0;
    for (const row of rows as IterableIterator<EntryRow>) {
      const { log_index: index, detail, ...rest } = row;
      found.push({ index, ...rest, ...(detail === null ? {} : { detail }) });
      characters += rest.entry.length + (detail?.length ?? 0);
      if (characters >= maxCharacters) break;
    }
    return found;
  }

  #select(where: string): Database.Statement {
    let statement = this.#queries.get(where);
    if (statement === undefined) {
      statement = this.#db.prepare(
        `SELECT log_index, type, entry, detail FROM log_entries WHERE ${where} ORDER BY log_index DESC LIMIT @limit`,
      );
      this.#queries.set(where, statement);
    }
    return statement;
  }
}

interface EntryRow {
  readonly log_index: number;
  readonly type: string;
  readonly entry: string;
  readonly detail: string | null;
}

interface ComposedEntry {
  readonly index: number;
  readonly type: string;
  readonly timeMs: number;
  readonly generation: number;
  readonly deployment: string | null;
  readonly text: string;
}

/** Appends entries within one transaction, which has read where the log ends. */
export class LogAppender {
  readonly #table: LogTable;
  readonly #clock: () => number;
  #end: LogEnd;

  constructor(table: LogTable, clock: () => number) {
    this.#table = table;
    this.#clock = clock;
    this.#end = table.end();
  }

  get end(): LogEnd {
    return this.#end;
  }

  /**
   * The entry as it will be appended next, with `type`, `time` (never before that of the newest entry, whatever the clock
   * says) and `state_generation`. Throws RangeError for an entry of more than MAX_ENTRY_BYTES, MalformedError for a body
   * that has no canonical form: bugs of the caller.
   */
  compose(type: string, body: EntryBody, generation: number): ComposedEntry {
    const timeMs = Math.max(this.#clock(), this.#end.timeMs);
    const entry = { ...body, type, time: new Date(timeMs).toISOString(), state_generation: String(generation) };
    const canonical = canonicalJson(entry);
    if (canonical.length > MAX_ENTRY_BYTES) {
      throw new RangeError(
        `a log entry of type ${type} would be ${String(canonical.length)} bytes, over ${String(MAX_ENTRY_BYTES)}`,
      );
    }
    const deployment = typeof body['deployment'] === 'string' ? body['deployment'] : null;
    return { index: this.#end.nextIndex, type, timeMs, generation, deployment, text: canonical.toString('utf8') };
  }

  /** Appends what `compose` made last. Returns its index. */
  append(entry: ComposedEntry, detail: string | undefined): number {
    this.#table.insert(entry, detail);
    this.#end = { nextIndex: entry.index + 1, timeMs: entry.timeMs, generation: entry.generation };
    return entry.index;
  }
}
