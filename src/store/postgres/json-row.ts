import type { Row, SqlValue } from '../rows/row-mac.js';

/** Every column of the schema that holds bytes: names mean one thing in all tables. */
const BYTES: ReadonlySet<string> = new Set([
  'ciphertext',
  'content',
  'log_public_key',
  'mac',
  'peaks',
  'public_area',
  'wrapped_dek',
  'wrapped_log_key',
  'wrapped_root_secret',
]);

/**
 * A row as row_to_json() gives it, so that one statement brings rows of many tables: bytes are hex behind `\x` there. A
 * number beyond 2^53 comes rounded; its row then fails its authentication, unless it was set as that.
 */
export function rowOfJson(json: unknown): Row | undefined {
  if (json === null || json === undefined) return undefined;
  const row: Record<string, SqlValue> = {};
  for (const [column, value] of Object.entries(json as Record<string, SqlValue>)) {
    row[column] = BYTES.has(column) && typeof value === 'string' ? Buffer.from(value.slice(2), 'hex') : value;
  }
  return row;
}

/** Rows as json_agg() gives them: null where there are none. */
export function rowsOfJson(json: unknown): readonly Row[] {
  return ((json ?? []) as readonly unknown[]).map((each) => rowOfJson(each) ?? {});
}
