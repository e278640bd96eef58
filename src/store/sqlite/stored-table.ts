import type Database from 'better-sqlite3';
import { StoreIntegrityError } from '../../release/store.js';
import { GuardedTable, type HeldLabel, type PlacedLabel, type Witness } from '../rows/guarded-table.js';
import { idsOf } from '../rows/label.js';
import type { Span } from '../rows/ranges.js';
import type { Row } from '../rows/row-mac.js';
import { HELD_MAC_BYTES } from '../rows/set-hash.js';
import type { TableSpec } from '../rows/specs.js';
import { isConstraint } from './errors.js';

/** Between the rows and columns of a chunk: no id has them. */
const ROW_SEPARATOR = '\x1e';
const COLUMN_SEPARATOR = '\x1f';
const CHUNK_ROWS = 500;

/** One deciding table on one connection. What is read is checked as guarded-table.ts says: StoreIntegrityError. */
export class StoredTable<R> {
  readonly #guarded: GuardedTable<R>;
  readonly #db: Database.Database;
  readonly #table: string;
  readonly #key: readonly string[];
  readonly #select: Database.Statement;
  readonly #selectChildren: Database.Statement;
  readonly #selectAny: Database.Statement;
  readonly #selectLabelsSince: Database.Statement;
  readonly #upsert: Database.Statement;
  readonly #delete: Database.Statement;
  /** Statements that not every process needs, by their text. */
  readonly #further = new Map<string, Database.Statement>();

  constructor(db: Database.Database, spec: TableSpec<R>) {
    this.#db = db;
    const table = (this.#table = quoted(spec.table));
    const key = (this.#key = spec.key.map(quoted));
    const byKey = key.map((column) => `${column} = ?`).join(' AND ');
    this.#select = db.prepare(`SELECT * FROM ${table} WHERE ${byKey}`);
    const all = this.#select.columns().map((column) => column.name);
    this.#guarded = new GuardedTable(spec, all);
    this.#selectChildren = db.prepare(`SELECT * FROM ${table} WHERE ${key[0] ?? ''} = ? ORDER BY ${key.at(-1) ?? ''}`);
    this.#selectAny = db.prepare(`SELECT 1 FROM ${table} LIMIT 1`);
    const labels = [...this.#guarded.labelColumns.map(quoted), 'mac'].join(', ');
    this.#selectLabelsSince = db.prepare(`SELECT ${labels} FROM ${table} WHERE log_index > ?`);
    this.#delete = db.prepare(`DELETE FROM ${table} WHERE ${byKey}`);
    const names = all.map(quoted);
    this.#upsert = db.prepare(
      `INSERT INTO ${table} (${names.join(', ')}) VALUES (${all.map((column) => `@${column}`).join(', ')}) ` +
        `ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${names.map((name) => `${name} = excluded.${name}`).join(', ')}`,
    );
  }

  get(witness: Witness, ...ids: readonly string[]): R | undefined {
    return this.#guarded.one(witness, ids, this.#row(ids));
  }

  /** The row as it stands, authenticated by nothing. */
  unverified(...ids: readonly string[]): R | undefined {
    return this.#guarded.unverified(this.#row(ids));
  }

  has(witness: Witness, ...ids: readonly string[]): boolean {
    return this.get(witness, ...ids) !== undefined;
  }

  /** All rows of a parent, in the order of their ids: every one of them, and no other. */
  of(witness: Witness, parent: string): readonly R[] {
    return this.#guarded.children(witness, parent, this.#selectChildren.all(parent) as Row[]);
  }

  /** All rows that have this in an aliased column: every one of them, and no other. */
  by(witness: Witness, column: string, value: string): readonly R[] {
    const select = this.#statement(`SELECT * FROM ${this.#table} WHERE ${quoted(column)} = ?`);
    return this.#guarded.aliased(witness, column, value, select.all(value) as Row[]);
  }

  /** Every row to be destroyed at or before a time, for which `condition` holds as well: the index of the same condition serves it. A row that SQL took away, or changed so that it is not found, is not noticed here. */
  purgeable(witness: Witness, throughMs: number, condition = 'true'): readonly R[] {
    const select = this.#statement(`SELECT * FROM ${this.#table} WHERE purge_at_ms <= ? AND ${condition}`);
    return this.#guarded.due(witness, throughMs, select.all(throughMs) as Row[]);
  }

  /** At most `limit` rows after the ids `after`, in the order of their ids: none is missing between them. */
  list(witness: Witness, limit: number, after?: readonly string[]): readonly R[] {
    const condition = after === undefined ? '' : `WHERE ${this.#compared('>')}`;
    const key = this.#key.join(', ');
    const select = this.#statement(`SELECT * FROM ${this.#table} ${condition} ORDER BY ${key} LIMIT ?`);
    const rows = select.all(...(after ?? []), limit) as Row[];
    const { records, span } = this.#guarded.page(witness, rows, limit, after);
    if (span !== undefined) this.#guarded.assertComplete(witness, span, this.#rowsOf(span));
    return records;
  }

  /**
   * Inserts or replaces. `logIndex` is the index of the log entry that sets the row. Returns what is gone by that. Throws
   * RangeError, a bug of the caller, for an id that is not printable ASCII and for a row that contradicts another one (two attesters of one name).
   */
  put(witness: Witness, record: R, logIndex: number): readonly PlacedLabel[] {
    const row = this.#guarded.sealed(witness.rowMac, record, logIndex);
    const ids = this.#guarded.idsOf(row);
    const former = this.#guarded.wantsFormer(witness, ids) ? this.#row(ids) : undefined;
    try {
      this.#upsert.run(row);
    } catch (error) {
      if (!isConstraint(error)) throw error;
      throw new RangeError(`${this.#guarded.shown(row)}: contradicts the types of the table or another row`, {
        cause: error,
      });
    }
    return this.#guarded.wasSet(witness, row, former);
  }

  /** Returns what is gone. */
  remove(witness: Witness, ...ids: readonly string[]): readonly PlacedLabel[] {
    const former = this.#guarded.wantsFormer(witness, ids) ? this.#row(ids) : undefined;
    this.#delete.run(...ids);
    return this.#guarded.wasRemoved(witness, ids, former);
  }

  isEmpty(): boolean {
    return this.#selectAny.get() === undefined;
  }

  /** Labels and MACs of the rows that were set after the change whose first entry has this index. Not verified. */
  *labelsSince(logIndex: number): Generator<HeldLabel> {
    for (const row of this.#selectLabelsSince.iterate(logIndex) as Iterable<Row>) {
      for (const { table, label } of this.#guarded.labels(row)) yield { table, label, mac: row['mac'] as Buffer };
    }
  }

  /** Labels and MACs of all rows, in the order of their ids. Not verified. */
  *allLabels(): Generator<HeldLabel> {
    let after: readonly string[] | undefined;
    for (let chunk = this.#chunk(after); chunk !== undefined; chunk = this.#chunk(after)) {
      const rows = chunk.rows.split(ROW_SEPARATOR);
      const macs = Buffer.from(chunk.macs, 'hex');
      let at = 0;
      for (const row of rows) {
        const values = row.split(COLUMN_SEPARATOR);
        if (values.length !== this.#guarded.labelColumns.length || macs.length !== rows.length * HELD_MAC_BYTES) {
          throw new StoreIntegrityError(`${this.#table}: a row has an id or a MAC that no row was given`);
        }
        const mac = macs.subarray(at, (at += HELD_MAC_BYTES));
        for (const { table, label } of this.#guarded.labelsOf(values)) yield { table, label, mac };
        after = values.slice(0, this.#key.length);
      }
    }
  }

  /** Many rows as one: what crosses into SQLite and back for every row costs more than the row. */
  #chunk(after: readonly string[] | undefined): { readonly rows: string; readonly macs: string } | undefined {
    const columns = this.#guarded.labelColumns.map((column) => `coalesce(${quoted(column)}, '')`);
    const condition = after === undefined ? '' : `WHERE ${this.#compared('>')}`;
    const select = this.#statement(
      `SELECT group_concat(${columns.join(` || '${COLUMN_SEPARATOR}' || `)}, '${ROW_SEPARATOR}') AS rows,
         group_concat(hex(substr(mac, 1, ${String(HELD_MAC_BYTES)})), '') AS macs
       FROM (SELECT * FROM ${this.#table} ${condition} ORDER BY ${this.#key.join(', ')} LIMIT ${String(CHUNK_ROWS)})`,
    );
    const { rows, macs } = select.get(...(after ?? [])) as { rows: string | null; macs: string };
    return rows === null ? undefined : { rows, macs };
  }

  #row(ids: readonly string[]): Row | undefined {
    return this.#select.get(...ids) as Row | undefined;
  }

  /** Labels and MACs of a span. */
  #rowsOf({ from, before }: Span): Iterable<Row> {
    const conditions = [
      ...(from === '' ? [] : [this.#compared('>=')]),
      ...(before === undefined ? [] : [this.#compared('<')]),
    ];
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
    const key = this.#key.join(', ');
    const select = this.#statement(`SELECT ${key}, mac FROM ${this.#table} ${where} ORDER BY ${key}`);
    const ids = [...(from === '' ? [] : idsOf(from)), ...(before === undefined ? [] : idsOf(before))];
    return select.iterate(...ids) as IterableIterator<Row>;
  }

  #compared(how: '>' | '>=' | '<'): string {
    return `(${this.#key.join(', ')}) ${how} (${this.#key.map(() => '?').join(', ')})`;
  }

  #statement(text: string): Database.Statement {
    let statement = this.#further.get(text);
    if (statement === undefined) this.#further.set(text, (statement = this.#db.prepare(text)));
    return statement;
  }
}

function quoted(identifier: string): string {
  return `"${identifier}"`;
}
