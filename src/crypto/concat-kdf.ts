import { createHash } from 'node:crypto';
import { Writer } from '../bytes/writer.js';

const KEY_BITS = 256;
const ROUND = new Writer().u32be(1).finish();

/**
 * The 32-byte key that ECDH-ES derives from a shared secret: one round of the Concat KDF with SHA-256, as RFC 7518
 * section 4.6.2 lays it out. `algorithm` is the JWE `alg` for key agreement with key wrapping; apu and apv are empty.
 */
export function concatKdf256(sharedSecret: Uint8Array, algorithm: string): Buffer {
  return createHash('sha256').update(ROUND).update(sharedSecret).update(otherInfo(algorithm)).digest();
}

function otherInfo(algorithm: string): Buffer {
  return new Writer()
    .sized32(Buffer.from(algorithm, 'ascii'))
    .sized32(Buffer.alloc(0))
    .sized32(Buffer.alloc(0))
    .u32be(KEY_BITS)
    .finish();
}
