import type { LogEntry } from '../../release/records.js';
import { StoreIntegrityError } from '../../release/store.js';
import { leafHash } from '../../translog/merkle.js';

/** A row of log_entries to be. */
export interface NewEntry {
  readonly index: number;
  readonly text: string;
  readonly leafHash: Buffer;
  readonly detail: string | undefined;
  readonly names: Readonly<Record<string, string>> | undefined;
}

/** A row of log_entries as it is read to be shown. */
export interface EntryRow {
  readonly log_index: number;
  readonly type: string;
  readonly entry: string;
  readonly leaf_hash: Buffer;
  readonly detail: string | null;
  /** JSON. */
  readonly names: string | null;
}

/** Throws StoreIntegrityError for an entry that is not the one of the leaf hash beside it. */
export function entryOf({ log_index: index, type, entry, leaf_hash: leaf, detail, names }: EntryRow): LogEntry {
  if (!leafHash(Buffer.from(entry, 'utf8')).equals(leaf)) {
    throw new StoreIntegrityError(`log_entries ${String(index)}: the entry is not the one that was appended`);
  }
  return {
    index,
    type,
    entry,
    ...(detail === null ? {} : { detail }),
    ...(names === null ? {} : { names: namesIn(names, index) }),
  };
}

/** The values of rows that must be `count` of them, their indexes going up by one from `start`. Throws StoreIntegrityError. */
export function complete<T>(rows: readonly (readonly [number, T])[], start: number, count: number): readonly T[] {
  return Array.from({ length: count }, (_, at) => {
    const row = rows[at];
    if (row?.[0] !== start + at) throw new StoreIntegrityError(`log ${String(start + at)}: the row was deleted`);
    return row[1];
  });
}

function namesIn(text: string, index: number): Readonly<Record<string, string>> {
  try {
    const names: unknown = JSON.parse(text);
    if (isTextMap(names)) return names;
  } catch {
    // Said below.
  }
  throw new StoreIntegrityError(`log_entries ${String(index)}: the names beside the entry were changed`);
}

function isTextMap(value: unknown): value is Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((each) => typeof each === 'string');
}
