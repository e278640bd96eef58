import canonicalize from 'canonicalize';
import { MalformedError } from './malformed-error.js';

/** A JSON value. `undefined` members of objects are left out, as JSON.stringify does. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json | undefined };

/**
 * The canonical UTF-8 bytes of a JSON value, RFC 8785 (JCS). Numbers must be integers within ±(2^53-1), since no other
 * number of ours has one spelling everywhere; lone surrogates are refused. Throws MalformedError.
 */
export function canonicalJson(value: Json): Buffer {
  return Buffer.from(canonicalText(value), 'utf8');
}

/** The same, not yet encoded. */
export function canonicalText(value: Json): string {
  return asciiText(value, 0) ?? anyText(value);
}

function anyText(value: Json): string {
  assertPlain(value, 0);
  let text: string | undefined;
  try {
    text = canonicalize(value);
  } catch {
    throw new MalformedError('JSON value has no canonical form');
  }
  if (text === undefined) throw new MalformedError('JSON value has no canonical form');
  return text;
}

const MAX_DEPTH = 64;

function assertPlain(value: Json | undefined, depth: number): void {
  assertPermitted(value, depth);
  if (typeof value === 'object' && value !== null) {
    for (const member of Object.values(value)) assertPlain(member, depth + 1);
  }
}

function assertPermitted(value: Json | undefined, depth: number): void {
  if (depth > MAX_DEPTH) throw new MalformedError('JSON value is nested too deeply');
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new MalformedError('JSON number is not an integer within ±(2^53-1)');
  }
}

/** Printable ASCII that no escape is needed for: all that names, hashes, hex and base64url are made of. */
const UNESCAPED = /^[ !#-[\]-~]*$/;

/** Canonical text of a value whose every string stands for itself; undefined where one does not, and the library is asked, which takes several times as long. */
function asciiText(value: Json | undefined, depth: number): string | undefined {
  assertPermitted(value, depth);
  if (typeof value === 'string') return UNESCAPED.test(value) ? `"${value}"` : undefined;
  if (typeof value !== 'object' || value === null) return value === undefined ? undefined : String(value);
  if (isList(value)) {
    const items = value.map((item) => asciiText(item, depth + 1));
    return items.includes(undefined) ? undefined : `[${items.join(',')}]`;
  }
  let text = '';
  for (const name of Object.keys(value).sort()) {
    const member = value[name];
    if (member === undefined) continue;
    const written = asciiText(member, depth + 1);
    if (written === undefined || !UNESCAPED.test(name)) return undefined;
    text += `${text === '' ? '' : ','}"${name}":${written}`;
  }
  return `{${text}}`;
}

function isList(value: object): value is readonly Json[] {
  return Array.isArray(value);
}
