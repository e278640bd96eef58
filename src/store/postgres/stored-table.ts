import { ConstraintError } from './errors.js';
import type { Contents } from '../rows/contents.js';
import { GuardedTable, type HeldLabel, type PlacedLabel, type Witness } from '../rows/guarded-table.js';
import { fold, idsOf, isLabel, SEPARATOR } from '../rows/label.js';
import type { Row } from '../rows/row-mac.js';
import type { Span } from '../rows/ranges.js';
import type { TableSpec } from '../rows/specs.js';
import { SCHEMA } from './schema.js';
import type { Session, Statement } from './session.js';

/** Rows that are read at once where a whole table is. */
const SWEEP = 20_000;

/** A statement for the first rows, at most $1, and one for those after the ids behind that. */
interface Paged {
  readonly first: Statement;
  readonly after: Statement;
}

/**
 * One deciding table: the SQL that finds, sets and removes its rows. What they are worth is decided in rows/guarded-table.ts.
 * Texts are looked for in lower case where the table finds them without regard to case.
 */
export class StoredTable<R> {
  readonly name: string;
  readonly guarded: GuardedTable<R>;
  readonly #columns: readonly string[];
  readonly #keys: number;
  readonly #folded: boolean;
  readonly #select: Statement;
  readonly #selectChildren: Statement;
  readonly #selectPage: Paged;
  readonly #selectSince: Statement;
  readonly #sweep: Paged;
  readonly #labels: string;
  readonly #order: string;
  readonly #upsert: Statement;
  readonly #delete: Statement;
  readonly #any: Statement;

  /** `columns`: all that the schema gives the table but log_index and mac, which come last. */
  constructor(spec: TableSpec<R>, columns: readonly string[]) {
    const { table, key, folded } = spec;
    const all = [...columns, 'log_index', 'mac'];
    this.name = table;
    this.guarded = new GuardedTable(spec, all);
    this.#columns = all;
    this.#keys = key.length;
    this.#folded = folded;
    const named = (verb: string, text: string): Statement => ({ name: `${verb}_${table}`, text });
    const ids = key.map((column, at) => (folded && at === 0 ? `lower(${column})` : column));
    const order = ids.join(', ');
    const tuple = (from: number) => `(${ids.map((_, at) => `$${String(from + at)}`).join(', ')})`;
    const own = all.join(', ');
    const labels = [...this.guarded.labelColumns, 'mac'].join(', ');
    const byKey = `(${order}) = ${tuple(1)}`;
    const ranged = (columns: string, condition: string) =>
      `SELECT ${columns} FROM ${SCHEMA}.${table} ${condition === '' ? '' : `WHERE (${order}) ${condition}`} ORDER BY ${order} LIMIT $1`;
    this.#select = named('select', `SELECT ${own} FROM ${SCHEMA}.${table} WHERE ${byKey}`);
    this.#selectChildren = named(
      'children',
      `SELECT ${own} FROM ${SCHEMA}.${table} WHERE ${ids[0] ?? ''} = $1 ORDER BY ${order}`,
    );
    this.#selectPage = {
      first: named('page', ranged(own, '')),
      after: named('page_after', ranged(own, `> ${tuple(2)}`)),
    };
    this.#sweep = {
      first: named('sweep', ranged(labels, '')),
      after: named('sweep_after', ranged(labels, `> ${tuple(2)}`)),
    };
    this.#labels = labels;
    this.#order = order;
    this.#selectSince = named('since', `SELECT ${labels} FROM ${SCHEMA}.${table} WHERE log_index >= $1`);
    this.#upsert = named(
      'upsert',
      `INSERT INTO ${SCHEMA}.${table} (${own}) VALUES (${all.map((_, at) => `$${String(at + 1)}`).join(', ')}) ` +
        `ON CONFLICT (${order}) DO UPDATE SET ${all.map((column) => `${column} = excluded.${column}`).join(', ')}`,
    );
    this.#delete = named('delete', `DELETE FROM ${SCHEMA}.${table} WHERE ${byKey}`);
    this.#any = named('any', `SELECT 1 AS one FROM ${SCHEMA}.${table} LIMIT 1`);
  }

  async get(session: Session, witness: Witness, ...ids: readonly string[]): Promise<R | undefined> {
    return this.guarded.one(witness, ids, await this.row(session, ids));
  }

  async has(session: Session, witness: Witness, ...ids: readonly string[]): Promise<boolean> {
    return (await this.get(session, witness, ...ids)) !== undefined;
  }

  /** The row as it stands, authenticated by nothing. */
  async row(session: Session, ids: readonly string[]): Promise<Row | undefined> {
    const wanted = this.wanted(ids);
    if (wanted === undefined) return undefined;
    return (await session.query(this.#select, wanted))[0] as Row | undefined;
  }

  /** All rows of a parent, in the order of their ids: every one of them, and no other. */
  async of(session: Session, witness: Witness, parent: string): Promise<readonly R[]> {
    const rows = isId(parent) ? await session.query(this.#selectChildren, [this.#first(parent)]) : [];
    return this.guarded.children(witness, parent, rows as Row[]);
  }

  /** All rows that have this in an aliased column, in any case: every one of them, and no other. */
  async by(session: Session, witness: Witness, column: string, value: string): Promise<readonly R[]> {
    const statement = {
      name: `by_${column}_${this.name}`,
      text: `SELECT ${this.#columns.join(', ')} FROM ${SCHEMA}.${this.name} WHERE lower(${column}) = $1`,
    };
    const rows = isId(value) ? await session.query(statement, [fold(value)]) : [];
    return this.guarded.aliased(witness, column, value, rows as Row[]);
  }

  /** Every row to be destroyed at or before a time, for which `condition` holds as well. A row that SQL took away, or changed so that it does not hold, is not noticed here. */
  async purgeable(session: Session, witness: Witness, throughMs: number, condition = 'true'): Promise<readonly R[]> {
    const statement = {
      name: `purgeable_${this.name}`,
      text: `SELECT ${this.#columns.join(', ')} FROM ${SCHEMA}.${this.name} WHERE purge_at_ms <= $1 AND ${condition}`,
    };
    const rows = (await session.query(statement, [throughMs])) as Row[];
    return this.guarded.due(witness, throughMs, rows);
  }

  /** At most `limit` rows after the ids `after`, in the order of their ids. */
  async list(session: Session, witness: Witness, limit: number, after?: readonly string[]): Promise<readonly R[]> {
    const bound = Math.min(limit, Number.MAX_SAFE_INTEGER);
    const rows = await this.#page(session, this.#selectPage, bound, after);
    const { records, span } = this.guarded.page(witness, rows, limit, after);
    if (span !== undefined) this.guarded.assertComplete(witness, span, await this.#span(session, span));
    return records;
  }

  /**
   * Inserts or replaces. `logIndex` is the index of the log entry that sets the row. Returns the labels that are gone by that.
   * Throws RangeError, a bug of the caller, for an id that is not printable ASCII and for a row that contradicts another
   * one (two attesters of one name).
   */
  async put(session: Session, witness: Witness, record: R, logIndex: number): Promise<readonly PlacedLabel[]> {
    const row = this.guarded.sealed(witness.rowMac, record, logIndex);
    const former = this.guarded.wantsFormer(witness, this.guarded.idsOf(row))
      ? await this.row(session, this.guarded.idsOf(row))
      : undefined;
    try {
      await session.execute(
        this.#upsert,
        this.#columns.map((column) => row[column] ?? null),
      );
    } catch (error) {
      if (!(error instanceof ConstraintError)) throw error;
      throw new RangeError(`${this.guarded.shown(row)}: contradicts the types of the table or another row`, {
        cause: error,
      });
    }
    return this.guarded.wasSet(witness, row, former);
  }

  /** Returns the labels that are gone. */
  async remove(session: Session, witness: Witness, ...ids: readonly string[]): Promise<readonly PlacedLabel[]> {
    const wanted = this.wanted(ids);
    if (wanted === undefined) return [];
    const former = this.guarded.wantsFormer(witness, ids) ? await this.row(session, ids) : undefined;
    await session.execute(this.#delete, wanted);
    return this.guarded.wasRemoved(witness, ids, former);
  }

  /** The labels of the rows that were set at a log index or later. Not verified. */
  async since(session: Session, logIndex: number): Promise<readonly HeldLabel[]> {
    return [...this.#held((await session.query(this.#selectSince, [logIndex])) as Row[])];
  }

  /** Adds the labels of all rows to contents. Not verified. */
  async fill(session: Session, contents: Contents): Promise<void> {
    for (let after: readonly string[] | undefined; ;) {
      const rows = await this.#page(session, this.#sweep, SWEEP, after);
      for (const { table, label, mac } of this.#held(rows)) contents.set(table, label, mac);
      const last = rows.at(-1);
      if (last === undefined || rows.length < SWEEP) return;
      after = this.guarded.idsOf(last);
    }
  }

  /** Whether the table has any row. */
  async isUsed(session: Session): Promise<boolean> {
    return (await session.query(this.#any)).length > 0;
  }

  /** The ids as the key has them; undefined where no row can have them. */
  wanted(ids: readonly string[]): readonly string[] | undefined {
    return ids.every(isId) ? this.#tuple(ids) : undefined;
  }

  async #page(session: Session, { first, after: next }: Paged, limit: number, after: readonly string[] | undefined) {
    const rows = await (after === undefined
      ? session.query(first, [limit])
      : session.query(next, [limit, ...this.#tuple(after)]));
    return rows as Row[];
  }

  /** Labels and MACs of a span. */
  async #span(session: Session, { from, before }: Span): Promise<readonly Row[]> {
    const bounds = [
      ...(from === '' ? [] : ([['>=', idsOf(from)]] as const)),
      ...(before === undefined ? [] : ([['<', idsOf(before)]] as const)),
    ];
    const conditions = bounds.map(([how], at) => `(${this.#order}) ${how} (${this.#parameters(at)})`);
    const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
    const statement = {
      name: `span_${this.name}${bounds.map(([how]) => (how === '<' ? '_to' : '_from')).join('')}`,
      text: `SELECT ${this.#labels} FROM ${SCHEMA}.${this.name}${where} ORDER BY ${this.#order}`,
    };
    return (await session.query(
      statement,
      bounds.flatMap(([, ids]) => this.#tuple(ids)),
    )) as Row[];
  }

  /** Of the Nth tuple of ids. */
  #parameters(tuple: number): string {
    return Array.from({ length: this.#keys }, (_, at) => `$${String(tuple * this.#keys + at + 1)}`).join(', ');
  }

  *#held(rows: readonly Row[]): Iterable<HeldLabel> {
    for (const row of rows) {
      for (const placed of this.guarded.labels(row)) yield { ...placed, mac: row['mac'] as Buffer };
    }
  }

  /** Ids as the columns of the key; those that are left out are empty, which is less than every other. */
  #tuple(ids: readonly string[]): readonly string[] {
    return Array.from({ length: this.#keys }, (_, at) => {
      const id = ids[at] ?? '';
      return at === 0 ? this.#first(id) : id;
    });
  }

  #first(id: string): string {
    return this.#folded ? fold(id) : id;
  }
}

/** Whether a row can have this id; what none can have is not asked for, as PostgreSQL would take some of it for an error. */
export function isId(id: string): boolean {
  return isLabel(id) && !id.includes(SEPARATOR);
}
