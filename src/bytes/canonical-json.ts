import canonicalize from 'canonicalize';
import { MalformedError } from './malformed-error.js';

/** A JSON value. `undefined` members of objects are left out, as JSON.stringify does. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json | undefined };

/**
 * The canonical UTF-8 bytes of a JSON value, RFC 8785 (JCS). Numbers must be integers within ±(2^53-1), since no other
 * number of ours has one spelling everywhere; lone surrogates are refused. Throws MalformedError.
 */
export function canonicalJson(value: Json): Buffer {
  assertPlain(value, 0);
  let text: string | undefined;
  try {
    text = canonicalize(value);
  } catch {
    throw new MalformedError('JSON value has no canonical form');
  }
  if (text === undefined) throw new MalformedError('JSON value has no canonical form');
  return Buffer.from(text, 'utf8');
}

const MAX_DEPTH = 64;

function assertPlain(value: Json | undefined, depth: number): void {
  if (depth > MAX_DEPTH) throw new MalformedError('JSON value is nested too deeply');
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new MalformedError('JSON number is not an integer within ±(2^53-1)');
  }
  if (typeof value === 'object' && value !== null) {
    for (const member of Object.values(value)) assertPlain(member, depth + 1);
  }
}
