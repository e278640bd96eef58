import { equalBytes } from '../../bytes/equal.js';
import { macOfFields } from '../../crypto/derive.js';
import { StoreIntegrityError } from '../../release/store.js';

export type SqlValue = null | number | string | Buffer;

/** A row as SQLite returns it, by column. */
export type Row = Readonly<Record<string, SqlValue>>;

const KEY_BYTES = 32;
const MAX_REMEMBERED_ROWS = 2048;
const MAX_REMEMBERED_BYTES = 8192;

/**
 * Authenticates rows: HMAC-SHA-256 over the table's name and every column but `mac` itself, among them the primary key
 * and the index of the log entry that set the row. Types are distinct (a number, a string, a BLOB as a list of one hex
 * string), columns that are NULL are left out, so NULL is distinct from empty and a column that a later migration adds
 * as NULL leaves the MAC as it was.
 */
export class RowMac {
  readonly #key: Buffer;
  /** Rows that have been verified, by table and id: one that has stayed the same to the byte needs no second HMAC. */
  readonly #verified = new Map<string, Row>();

  constructor(key: Uint8Array) {
    if (key.length !== KEY_BYTES) throw new RangeError('the row-MAC key must be 32 bytes');
    this.#key = Buffer.from(key);
  }

  of(table: string, columns: readonly string[], row: Row): Buffer {
    return macOfFields(this.#key, [table, encode(columns, row)]);
  }

  /** Throws StoreIntegrityError that names the table and `id`. Returns the MAC that was verified. `columns` are those of the table, always the same. */
  verify(table: string, id: string, columns: readonly string[], row: Row): Buffer {
    const place = `${table} ${id}`;
    const stored = row['mac'];
    if (typeof stored === 'object' && stored !== null) {
      const known = this.#verified.get(place);
      if (known !== undefined && same(known['mac'], stored) && columns.every((each) => same(known[each], row[each]))) {
        return stored;
      }
      if (equalBytes(stored, this.of(table, columns, row))) {
        this.remember(table, id, columns, row);
        return stored;
      }
    }
    throw new StoreIntegrityError(`${place}: the row fails its authentication`);
  }

  /** Notes a row with the MAC that this key has made for it. */
  remember(table: string, id: string, columns: readonly string[], row: Row): void {
    const place = `${table} ${id}`;
    const size = columns.reduce((sum, column) => sum + sizeOf(row[column]), 0);
    if (size > MAX_REMEMBERED_BYTES) return;
    if (this.#verified.size >= MAX_REMEMBERED_ROWS) this.#verified.clear();
    this.#verified.set(place, row);
  }
}

function sizeOf(value: SqlValue | undefined): number {
  return typeof value === 'string' || typeof value === 'object' ? (value?.length ?? 0) : 0;
}

function same(a: SqlValue | undefined, b: SqlValue | undefined): boolean {
  if (a === b) return true;
  return typeof a === 'object' && typeof b === 'object' && a !== null && b !== null && a.equals(b);
}

function encode(columns: readonly string[], row: Row): string {
  const fields: (string | number | readonly string[])[] = [];
  for (const column of columns) {
    const value = row[column];
    if (value === null || value === undefined) continue;
    fields.push(column, typeof value === 'object' ? [value.toString('hex')] : value);
  }
  return JSON.stringify(fields);
}
