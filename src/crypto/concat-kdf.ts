import { Writer } from '../bytes/writer.js';
import { sha256 } from './digest.js';

const KEY_BITS = 256;

/**
 * The 32-byte key that ECDH-ES derives from a shared secret: one round of the Concat KDF with SHA-256, as RFC 7518
 * section 4.6.2 lays it out. `algorithm` is the JWE `alg` for key agreement with key wrapping; apu and apv are empty.
 */
export function concatKdf256(sharedSecret: Uint8Array, algorithm: string): Buffer {
  const round = new Writer().u32be(1).finish();
  const otherInfo = new Writer()
    .sized32(Buffer.from(algorithm, 'ascii'))
    .sized32(Buffer.alloc(0))
    .sized32(Buffer.alloc(0))
    .u32be(KEY_BITS)
    .finish();
  return sha256(round, sharedSecret, otherInfo);
}
