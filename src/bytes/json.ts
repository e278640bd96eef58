import { MalformedError } from './malformed-error.js';

/** The deepest nesting of objects and arrays that is accepted from outside. */
export const MAX_JSON_DEPTH = 32;

/**
 * Parses JSON that comes from outside: UTF-8 without a byte order mark, nesting of at most `maxDepth`, and no object with
 * the same member twice (also when one is spelled with escapes), so that no two readers can see different documents.
 * The caller has bounded the size. Throws only MalformedError; the message never quotes the input.
 */
export function parseJson(bytes: Uint8Array, maxDepth: number = MAX_JSON_DEPTH): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new MalformedError('not valid UTF-8');
  }
  assertShape(text, maxDepth);
  try {
    return JSON.parse(text);
  } catch {
    throw new MalformedError('not valid JSON');
  }
}

/** Walks the tokens once, for depth and duplicate members; the grammar itself is left to JSON.parse. */
function assertShape(text: string, maxDepth: number): void {
  const open: (Set<string> | undefined)[] = [];
  let expectName = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x7b: // {
        open.push(new Set());
        expectName = true;
        break;
      case 0x5b: // [
        open.push(undefined);
        expectName = false;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        expectName = false;
        break;
      case 0x2c: // ,
        expectName = open.at(-1) !== undefined;
        break;
      case 0x22: {
        const end = endOfString(text, at);
        if (expectName) addName(open.at(-1), text.slice(at, end + 1));
        expectName = false;
        at = end;
        break;
      }
      default:
        break;
    }
    if (open.length > maxDepth) throw new MalformedError(`JSON is nested deeper than ${String(maxDepth)}`);
  }
}

/** Index of the quote that ends the string literal which starts at `start`. */
function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return quote;
  }
  throw new MalformedError('not valid JSON');
}

function addName(names: Set<string> | undefined, literal: string): void {
  let name: string;
  try {
    name = literal.includes('\\') ? (JSON.parse(literal) as string) : literal.slice(1, -1);
  } catch {
    throw new MalformedError('not valid JSON');
  }
  if (names?.has(name) === true) throw new MalformedError('a JSON object has the same member twice');
  names?.add(name);
}
