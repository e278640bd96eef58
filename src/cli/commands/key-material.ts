import { toBase64url } from '../../bytes/base64url.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import type { CreateKey } from '../../release/broker.js';
import type { CliContext } from '../context.js';

/** A JWK around a raw key of 64 KiB, with room to spare; what is too large for the broker is the broker's to say. */
const MAX_MATERIAL_BYTES = 128 * 1024;
const WHITE_SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);
const OPENING_BRACE = 0x7b;

/**
 * The member `material` of a key to import, from a file: raw bytes where that was said, a JWK where the file begins with a
 * brace, else PKCS#8. Nothing of it is checked here but that it is there: the broker does, and refuses with
 * request.malformed. The bytes read are wiped.
 */
export async function importMaterial(
  context: CliContext,
  file: string,
  raw: boolean,
): Promise<Result<NonNullable<CreateKey['material']>>> {
  const read = await context.read(file, MAX_MATERIAL_BYTES, 'request.malformed');
  if (!read.ok) return read;
  const bytes = read.value;
  try {
    if (bytes.length === 0) return reject('request.malformed', `${file} is empty, and so is no key`);
    return accept({ format: raw ? 'raw' : formatOf(bytes), data: toBase64url(bytes) });
  } finally {
    bytes.fill(0);
  }
}

function formatOf(bytes: Buffer): 'jwk' | 'pkcs8' {
  return bytes.find((byte) => !WHITE_SPACE.has(byte)) === OPENING_BRACE ? 'jwk' : 'pkcs8';
}
