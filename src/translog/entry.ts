import { toBase64url } from '../bytes/base64url.js';
import { canonicalText, type Json } from '../bytes/canonical-json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { entryFault, nameMembers } from './entry-schemas.js';
import { isEntryType } from './entry-types.js';
import type { NameKind } from './entry-members.js';
import type { Pseudonyms } from './names.js';

/** What an entry is at most, in bytes of canonical JSON. Larger parts are kept beside the log, with their hash in the entry. */
export const MAX_ENTRY_BYTES = 16_384;

/** The members of a log entry, without those that composing adds; members that are undefined are left out. */
export type EntryBody = Readonly<Record<string, Json | undefined>>;

/** A parsed entry. */
export type Members = Readonly<Record<string, Json>>;

/** One value for each name that was salted, by the member it stands in; `<member>/<position>` in a list. */
export type PerName = Readonly<Record<string, string>>;

/** An entry as it goes into the log, and what is kept beside it. */
export interface ComposedEntry {
  /** Canonical JSON: the leaf's bytes as UTF-8. */
  readonly text: string;
  /** Where names were salted: member to plain name, for whoever may know it. */
  readonly names?: PerName;
  /** Where names were salted: member to salt, base64url. For the receipt alone. */
  readonly salts?: PerName;
}

/**
 * The entry of one type: the body with `type`, `time` (ms since the Unix epoch, written as RFC 3339) and
 * `state_generation`, its names salted where pseudonyms are given. Throws RangeError for more than MAX_ENTRY_BYTES, and
 * Error for a body that is not valid against the schema of the type or has no canonical form: bugs of the caller.
 */
export function composeEntry(
  type: string,
  body: EntryBody,
  at: { readonly timeMs: number; readonly generation: number },
  pseudonyms?: Pseudonyms,
): ComposedEntry {
  if (body['names'] !== undefined) throw new Error(`a log entry of type ${type} sets the member names by itself`);
  const salted = pseudonyms === undefined ? undefined : saltNames(type, body, pseudonyms);
  const entry = {
    ...body,
    ...salted?.replaced,
    type,
    time: new Date(at.timeMs).toISOString(),
    state_generation: String(at.generation),
  };
  const text = canonicalText(entry);
  const bytes = Buffer.byteLength(text, 'utf8');
  if (bytes > MAX_ENTRY_BYTES) {
    throw new RangeError(
      `a log entry of type ${type} would be ${String(bytes)} bytes, over ${String(MAX_ENTRY_BYTES)}`,
    );
  }
  const fault = entryFault(type, entry);
  if (fault !== undefined) throw new Error(`a log entry of type ${type} is not valid: ${fault}`);
  return salted === undefined ? { text } : { text, names: salted.names, salts: salted.salts };
}

/**
 * An entry of the log, read from its text: a JSON object in canonical form (RFC 8785), of at most MAX_ENTRY_BYTES, with
 * integers within ±(2^53-1) alone. Throws MalformedError. NOT checked: its schema, see `entryFault`. An auditor calls
 * this for every entry there is, so what is canonical is accepted without being written anew by slower means.
 */
export function parseEntry(text: string): Members {
  if (text.length > MAX_ENTRY_BYTES || Buffer.byteLength(text, 'utf8') > MAX_ENTRY_BYTES) {
    throw new MalformedError('log entry: too long');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new MalformedError('log entry: not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MalformedError('log entry: not a JSON object');
  }
  if (!isPlain(value, text) && canonicalText(value as Json) !== text) {
    throw new MalformedError('log entry: not in canonical form');
  }
  return value as Members;
}

/**
 * Whether `text`, which JSON.parse read as this value, is sure to be its canonical form. Without a backslash each string
 * stands for itself, so text that is as long as the canonical form has room for nothing else: no space, no member twice.
 * False does not say that it is not canonical: then only the slow way, canonicalText, knows.
 */
function isPlain(value: object, text: string): boolean {
  return !text.includes('\\') && text.isWellFormed() && plainLength(value, 0) === text.length;
}

/** Entries of ours are flat but for lists; what is nested deeper is left to canonicalText, which bounds it. */
const MAX_PLAIN_DEPTH = 8;

/**
 * The length of a value's canonical form in UTF-16 code units, if no string in it needs an escape. NaN for what has other
 * spellings of the same length: numbers, members that are not in order, and those that JavaScript may put into another
 * order than the text has, which begin with a digit.
 */
function plainLength(value: unknown, depth: number): number {
  if (typeof value === 'string') return value.length + 2;
  if (typeof value === 'boolean') return value ? 4 : 5;
  if (value === null) return 4;
  if (typeof value !== 'object' || depth > MAX_PLAIN_DEPTH) return NaN;
  if (Array.isArray(value)) {
    return value.reduce<number>((sum, item) => sum + plainLength(item, depth + 1), 1 + Math.max(value.length, 1));
  }
  const members = Object.keys(value);
  let length = 1 + Math.max(members.length, 1);
  let before = '9\uffff';
  for (const member of members) {
    if (member <= before) return NaN;
    length += member.length + 3 + plainLength((value as Members)[member], depth + 1);
    before = member;
  }
  return length;
}

interface Salted {
  readonly replaced: EntryBody;
  readonly names: PerName;
  readonly salts: PerName;
}

/** The members of the body that are names, with their pseudonyms; undefined where there is none. */
function saltNames(type: string, body: EntryBody, pseudonyms: Pseudonyms): Salted | undefined {
  const replaced: Record<string, Json> = {};
  const names: Record<string, string> = {};
  const salts: Record<string, string> = {};
  const hide = (at: string, kind: NameKind, name: Json): string => {
    if (typeof name !== 'string') throw new Error(`a log entry of type ${type} has no name at ${at}`);
    const pseudonym = pseudonyms.of(kind, name);
    names[at] = name;
    salts[at] = toBase64url(pseudonym.salt);
    return pseudonym.value;
  };
  for (const [member, kind] of isEntryType(type) ? nameMembers(type) : []) {
    const value = body[member];
    if (value === undefined) continue;
    replaced[member] = isList(value)
      ? value.map((name, at) => hide(`${member}/${String(at)}`, kind, name))
      : hide(member, kind, value);
  }
  if (Object.keys(replaced).length === 0) return undefined;
  return { replaced: { ...replaced, names: 'salted' }, names, salts };
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
