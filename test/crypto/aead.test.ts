import { createDecipheriv, randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { open, seal, SealedBoxError } from '../../src/crypto/aead.js';

const key = Buffer.alloc(32, 1);
const nonce = Buffer.alloc(12, 2);
const aad = Buffer.from('bound to this');

describe('a sealed box', () => {
  test('opens to what was sealed, for any content', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 60 }), (plaintext, data) => {
        expect(open(key, seal(key, nonce, plaintext, data), data)).toEqual(Buffer.from(plaintext));
      }),
    );
  });

  test('is nonce, AES-256-GCM ciphertext and tag', () => {
    const box = seal(key, nonce, Buffer.from('hello'), aad);
    expect(box.subarray(0, 12)).toEqual(nonce);
    const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(aad).setAuthTag(box.subarray(-16));
    expect(Buffer.concat([decipher.update(box.subarray(12, -16)), decipher.final()]).toString()).toBe('hello');
  });

  test('does not open after any single bit was flipped', () => {
    const box = seal(key, nonce, Buffer.from('hello'), aad);
    for (let bit = 0; bit < box.length * 8; bit++) {
      const changed = Buffer.from(box);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => open(key, changed, aad)).toThrow(SealedBoxError);
    }
  });

  test('does not open when cut at any byte, or with a byte behind', () => {
    const box = seal(key, nonce, Buffer.from('hello'), aad);
    for (let end = 0; end < box.length; end++) {
      expect(() => open(key, box.subarray(0, end), aad)).toThrow(SealedBoxError);
    }
    expect(() => open(key, Buffer.concat([box, Buffer.alloc(1)]), aad)).toThrow(SealedBoxError);
  });

  test('does not open under another key or other associated data', () => {
    const box = seal(key, nonce, Buffer.from('hello'), aad);
    expect(() => open(randomBytes(32), box, aad)).toThrow(SealedBoxError);
    expect(() => open(key, box, Buffer.from('bound to that'))).toThrow(SealedBoxError);
  });

  test.each([0, 11, 13])('is not made with a nonce of %d bytes', (length) => {
    expect(() => seal(key, Buffer.alloc(length), Buffer.alloc(1), aad)).toThrow(RangeError);
  });
});
