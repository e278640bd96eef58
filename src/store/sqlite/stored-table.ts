import type Database from 'better-sqlite3';
import { StoreIntegrityError } from '../../release/store.js';
import { type Contents, TableContents } from './contents.js';
import { isConstraint } from './errors.js';
import type { Row, RowMac } from './row-mac.js';
import type { TableSpec } from './specs.js';

/** What the rows of one consistent view are checked against. */
export interface Witness {
  readonly rowMac: RowMac;
  readonly contents: Contents;
}

/** Ids of records that name things: printable ASCII, so that SQLite's NOCASE and `fold` agree. */
const ID = /^[\x20-\x7e]{1,512}$/;

/**
 * One deciding table on one connection. Each row that is read is checked against its own MAC and against the contents of
 * the table as the state row sums them up, so a row that SQL changed, removed, inserted or put back is noticed when it
 * is used: StoreIntegrityError.
 */
export class StoredTable<R> {
  readonly name: string;
  readonly #spec: TableSpec<R>;
  readonly #columns: readonly string[];
  readonly #select: Database.Statement;
  readonly #selectChildren: Database.Statement;
  readonly #count: Database.Statement;
  readonly #selectMacs: Database.Statement;
  readonly #upsert: Database.Statement;
  readonly #delete: Database.Statement;

  constructor(db: Database.Database, spec: TableSpec<R>) {
    this.name = spec.table;
    this.#spec = spec;
    const table = quoted(spec.table);
    const key = spec.key.map(quoted);
    const byKey = key.map((column) => `${column} = ?`).join(' AND ');
    this.#select = db.prepare(`SELECT * FROM ${table} WHERE ${byKey}`);
    this.#selectChildren = db.prepare(`SELECT * FROM ${table} WHERE ${key[0] ?? ''} = ? ORDER BY ${key.at(-1) ?? ''}`);
    this.#count = db.prepare(`SELECT count(*) FROM ${table}`).pluck();
    this.#selectMacs = db.prepare(`SELECT ${key.join(', ')}, mac FROM ${table}`);
    this.#delete = db.prepare(`DELETE FROM ${table} WHERE ${byKey}`);
    const all = this.#select.columns().map((column) => column.name);
    this.#columns = all.filter((column) => column !== 'mac');
    const names = all.map(quoted);
    this.#upsert = db.prepare(
      `INSERT INTO ${table} (${names.join(', ')}) VALUES (${all.map((column) => `@${column}`).join(', ')}) ` +
        `ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${names.map((name) => `${name} = excluded.${name}`).join(', ')}`,
    );
  }

  get(witness: Witness, ...ids: readonly string[]): R | undefined {
    const row = this.#select.get(...ids) as Row | undefined;
    if (row !== undefined) return this.#verified(witness, row);
    const label = this.#label(ids);
    if (witness.contents.table(this.name).has(label)) throw this.#missing(label);
    return undefined;
  }

  /** The row as it stands, authenticated by nothing. */
  unverified(...ids: readonly string[]): R | undefined {
    const row = this.#select.get(...ids) as Row | undefined;
    return row === undefined ? undefined : this.#spec.fromRow(row);
  }

  has(witness: Witness, ...ids: readonly string[]): boolean {
    return this.get(witness, ...ids) !== undefined;
  }

  /** All rows of a parent, in the order of their ids: every one of them, and no other. */
  of(witness: Witness, parent: string): readonly R[] {
    const rows = this.#selectChildren.all(parent) as Row[];
    const records = rows.map((row) => this.#verified(witness, row));
    const prefix = this.#label([parent, '']);
    if (records.length !== witness.contents.table(this.name).countOf(prefix)) throw this.#missing(`${prefix}*`);
    return records;
  }

  /** At most `limit` rows after the ids `after`, in the order of their ids. */
  list(witness: Witness, limit: number, after?: readonly string[]): readonly R[] {
    const contents = witness.contents.table(this.name);
    if (this.#count.get() !== contents.count) throw this.#missing('*');
    return contents.page(limit, after === undefined ? undefined : this.#label(after)).map((label) => {
      const row = this.#select.get(...label.split('\0')) as Row | undefined;
      if (row === undefined) throw this.#missing(label);
      return this.#verified(witness, row);
    });
  }

  /**
   * Inserts or replaces. `logIndex` is the index of the log entry that sets the row. Throws RangeError, a bug of the
   * caller, for an id that is not printable ASCII and for a row that contradicts another one (two attesters of one name).
   */
  put(witness: Witness, record: R, logIndex: number): void {
    const row: Row = { ...this.#spec.toRow(record), log_index: logIndex };
    const label = this.#labelOf(row);
    if (!label.split('\0').every((id) => ID.test(id)))
      throw new RangeError(`${this.name}: an id is not 1 to 512 characters of printable ASCII`);
    const mac = witness.rowMac.of(this.name, this.#columns, row);
    try {
      this.#upsert.run({ ...row, mac });
    } catch (error) {
      if (!isConstraint(error)) throw error;
      throw new RangeError(`${this.name} ${shown(label)}: contradicts the types of the table or another row`, {
        cause: error,
      });
    }
    witness.contents.writable(this.name).set(label, mac);
  }

  remove(witness: Witness, ...ids: readonly string[]): void {
    this.#delete.run(...ids);
    const label = this.#label(ids);
    if (witness.contents.table(this.name).has(label)) witness.contents.writable(this.name).delete(label);
  }

  /** Labels and MACs of all rows, not verified. */
  contents(): TableContents {
    const rows = this.#selectMacs.all() as Row[];
    return new TableContents(rows.map((row) => [this.#labelOf(row), row['mac'] as Buffer]));
  }

  #verified(witness: Witness, row: Row): R {
    const label = this.#labelOf(row);
    const mac = witness.rowMac.verify(this.name, shown(label), this.#columns, row);
    if (!witness.contents.table(this.name).holds(label, mac)) {
      throw new StoreIntegrityError(`${this.name} ${shown(label)}: the row is not the one that was set last`);
    }
    return this.#spec.fromRow(row);
  }

  #missing(label: string): StoreIntegrityError {
    return new StoreIntegrityError(`${this.name} ${shown(label)}: rows were deleted or inserted`);
  }

  #labelOf(row: Row): string {
    return this.#label(this.#spec.key.map((column) => String(row[column])));
  }

  #label(ids: readonly string[]): string {
    const label = ids.join('\0');
    return this.#spec.folded ? fold(ids[0] ?? '') + label.slice(ids[0]?.length ?? 0) : label;
  }
}

/** Lower case as SQLite's NOCASE sees it: ASCII letters and no other. */
export function fold(name: string): string {
  return /[A-Z]/.test(name) ? name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : name;
}

function shown(label: string): string {
  return label.replace('\0', '/').slice(0, 200);
}

function quoted(identifier: string): string {
  return `"${identifier}"`;
}
