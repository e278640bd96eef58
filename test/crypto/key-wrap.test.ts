import { createDecipheriv, randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { concatKdf256 } from '../../src/crypto/concat-kdf.js';
import { sha256 } from '../../src/crypto/digest.js';
import { aes256KeyWrap } from '../../src/crypto/key-wrap.js';

test('AES key wrap gives the bytes of RFC 3394 section 4.6', () => {
  const kek = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex');
  const key = Buffer.from('00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f', 'hex');
  expect(aes256KeyWrap(kek, key).toString('hex')).toBe(
    '28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21',
  );
});

test('a wrapped key unwraps, and not after a bit was flipped', () => {
  const kek = randomBytes(32);
  const key = randomBytes(32);
  const wrapped = aes256KeyWrap(kek, key);
  expect(unwrap(kek, wrapped)).toEqual(key);
  wrapped[5] = (wrapped[5] ?? 0) ^ 1;
  expect(() => unwrap(kek, wrapped)).toThrow();
});

test('the Concat KDF hashes round, secret, algorithm, empty party names and key length', () => {
  const secret = Buffer.from('secret');
  const info = '0000000e' + Buffer.from('ECDH-ES+A256KW').toString('hex') + '00000000' + '00000000' + '00000100';
  const expected = sha256(Buffer.from('00000001', 'hex'), secret, Buffer.from(info, 'hex'));
  expect(concatKdf256(secret, 'ECDH-ES+A256KW')).toEqual(expected);
  expect(concatKdf256(secret, 'ECDH-ES+A192KW')).not.toEqual(expected);
});

function unwrap(kek: Buffer, wrapped: Buffer): Buffer {
  const decipher = createDecipheriv('aes256-wrap', kek, Buffer.alloc(8, 0xa6));
  return Buffer.concat([decipher.update(wrapped), decipher.final()]);
}
