import { createCipheriv } from 'node:crypto';

/** The initial value of RFC 3394 section 2.2.3.1. */
const INITIAL_VALUE = Buffer.alloc(8, 0xa6);

/** AES Key Wrap (RFC 3394) of a key of a multiple of 8 bytes, at least 16, under a 32-byte key: 8 bytes longer than the key. */
export function aes256KeyWrap(kek: Uint8Array, key: Uint8Array): Buffer {
  const cipher = createCipheriv('aes256-wrap', kek, INITIAL_VALUE);
  return Buffer.concat([cipher.update(key), cipher.final()]);
}
