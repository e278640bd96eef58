/** What somebody can do who writes the database file, and has no key of the broker. */
import Database from 'better-sqlite3';

export type Value = null | number | string | Buffer;
export type Row = Record<string, Value>;

/** The tables of the log and what belongs to it; sqlite-log-tamper.test.ts tries every column of them. */
export const LOG_TABLES = ['evidence_archive', 'log_entries', 'log_head', 'log_nodes'];

/** Runs SQL on the file. */
export function tamper<T>(path: string, work: (db: Database.Database) => T): T {
  const db = new Database(path);
  try {
    db.pragma('ignore_check_constraints = ON');
    return work(db);
  } finally {
    db.close();
  }
}

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly notnull: number;
  readonly pk: number;
}

export function columnsOf(db: Database.Database, table: string): Column[] {
  return db.pragma(`table_xinfo(${table})`) as Column[];
}

export function row(db: Database.Database, table: string, where: string): Row {
  return db.prepare(`SELECT * FROM ${table} WHERE ${where}`).get() as Row;
}

export function insert(db: Database.Database, table: string, values: Row): void {
  const names = Object.keys(values);
  db.prepare(
    `INSERT INTO ${table} (${names.map((name) => `"${name}"`).join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
  ).run(...Object.values(values));
}

export function otherValues(column: Column, value: Value): Value[] {
  const others: Value[] = column.notnull === 0 && column.pk === 0 && value !== null ? [null] : [];
  switch (column.type) {
    case 'INTEGER':
      return [...others, Number(value ?? 0) + 1];
    case 'TEXT': {
      const text = typeof value === 'string' ? value : '';
      const otherCase = text === text.toUpperCase() ? text.toLowerCase() : text.toUpperCase();
      return [
        ...others,
        `${text}x`,
        ...(otherCase === text ? [] : [otherCase]),
        ...(text === '' && value !== null ? [] : ['']),
      ];
    }
    case 'BLOB': {
      const bytes = Buffer.isBuffer(value) ? value : Buffer.alloc(0);
      return [
        ...others,
        Buffer.concat([bytes, Buffer.alloc(1)]),
        ...(bytes.length === 0 ? [bytes] : [bytes.subarray(1), Buffer.alloc(bytes.length, 0xee)]),
      ];
    }
    default:
      throw new Error(`no other value of type ${column.type}`);
  }
}
