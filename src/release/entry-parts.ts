import type { Json } from '../bytes/canonical-json.js';
import { sha256Hex } from '../crypto/digest.js';
import type { Members } from '../translog/entry.js';
import type { NameKind } from '../translog/entry-members.js';
import { nameMembers } from '../translog/entry-schemas.js';
import { isEntryType } from '../translog/entry-types.js';
import type { Pseudonyms } from '../translog/names.js';
import type { LogEntry } from './records.js';
import { StoreIntegrityError } from './store.js';

/** Members of entries that hold SHA-256 of the detail beside them. */
const DETAIL_HASHES = ['detail_sha256', 'decision_sha256'] as const;

/*
 * What stands beside an entry in the store, and not in the log, held against what the entry says of it. NOT checked here:
 * the entry itself, which the tree of the log authenticates.
 */

/** The detail, by its hash; undefined where the entry has none. Throws StoreIntegrityError where it was changed, removed or added. */
export function verifiedDetail({ index, detail }: LogEntry, members: Members): Json | undefined {
  const hash = DETAIL_HASHES.map((member) => members[member]).find((value) => value !== undefined);
  if (hash !== (detail === undefined ? undefined : sha256Hex(detail))) {
    throw new StoreIntegrityError(
      `log_entries ${String(index)}: the detail beside the entry is not the one that it has the hash of`,
    );
  }
  return detail === undefined ? undefined : (JSON.parse(detail) as Json);
}

/**
 * The plain names of a salted entry, each by its pseudonym; undefined where the entry is not salted, and where there are no
 * pseudonyms to hold them against. Throws StoreIntegrityError where one was changed, removed or added.
 */
export function verifiedNames(
  entry: LogEntry,
  members: Members,
  pseudonyms: Pseudonyms | undefined,
): LogEntry['names'] {
  if (!areNamesOf(entry, members, pseudonyms)) {
    throw new StoreIntegrityError(
      `log_entries ${String(entry.index)}: the names beside the entry are not those that it has the pseudonyms of`,
    );
  }
  return pseudonyms === undefined ? undefined : entry.names;
}

function areNamesOf({ type, names }: LogEntry, members: Members, pseudonyms: Pseudonyms | undefined): boolean {
  if (members['names'] !== 'salted') return names === undefined;
  if (pseudonyms === undefined) return true;
  const salted = isEntryType(type)
    ? nameMembers(type).flatMap(([member, kind]) => placesIn(members, member, kind))
    : [];
  return (
    names !== undefined &&
    Object.keys(names).length === salted.length &&
    salted.every(({ at, kind, value }) => {
      const name = Object.hasOwn(names, at) ? names[at] : undefined;
      return name !== undefined && pseudonyms.of(kind, name).value === value;
    })
  );
}

interface Salted {
  /** As in ComposedEntry.names. */
  readonly at: string;
  readonly kind: NameKind;
  readonly value: Json;
}

function placesIn(members: Members, member: string, kind: NameKind): readonly Salted[] {
  const value = members[member];
  if (value === undefined) return [];
  if (!Array.isArray(value)) return [{ at: member, kind, value }];
  return (value as readonly Json[]).map((each, at) => ({ at: `${member}/${String(at)}`, kind, value: each }));
}
