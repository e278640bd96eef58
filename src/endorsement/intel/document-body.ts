import { MalformedError } from '../../bytes/malformed-error.js';
import { parseJson } from '../../bytes/json.js';

/** The largest document that is read; real ones have 2 to 20 KB. */
export const MAX_DOCUMENT_BYTES = 256 * 1024;
const MAX_DEPTH = 8;

/** A signed document of Intel's, taken apart: nothing in it is verified. */
export interface DocumentBody {
  /** The exact bytes of the inner object: what the signature is over. */
  readonly inner: Buffer;
  /** 64 bytes: r and s. */
  readonly signature: Buffer;
  /** The inner object, as it was parsed. */
  readonly value: unknown;
}

/** What stands behind the inner object, and nothing else: `,"signature":"<128 hex digits>"}`. */
const TAIL = /\s{0,16},\s{0,16}"signature"\s{0,16}:\s{0,16}"([0-9a-fA-F]{128})"\s{0,16}\}\s{0,16}$/;
const TAIL_CHARACTERS = 256;

/**
 * Takes `{"<member>":{…},"signature":"<hex>"}` apart, the two members in this order as Intel serves them. The inner object is cut out
 * of the bytes received, never written anew; it must be a JSON object by itself, without a member that stands there twice. Throws only
 * MalformedError.
 */
export function readDocumentBody(body: Buffer, member: 'tcbInfo' | 'enclaveIdentity'): DocumentBody {
  if (body.length > MAX_DOCUMENT_BYTES)
    throw new MalformedError(`${member}: more than ${String(MAX_DOCUMENT_BYTES)} bytes`);
  const head = new RegExp(`^\\s{0,16}\\{\\s{0,16}"${member}"\\s{0,16}:\\s{0,16}(?=\\{)`).exec(
    body.toString('latin1', 0, TAIL_CHARACTERS),
  );
  const end = Math.max(0, body.length - TAIL_CHARACTERS);
  const tail = TAIL.exec(body.toString('latin1', end));
  if (head === null || tail?.[1] === undefined)
    throw new MalformedError(`${member}: not a document of Intel with a signature`);
  const inner = body.subarray(head[0].length, end + tail.index);
  const value = parseJson(inner, MAX_DEPTH);
  return { inner, signature: Buffer.from(tail[1], 'hex'), value };
}
