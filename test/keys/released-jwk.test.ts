import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseJson } from '../../src/bytes/json.js';
import { importKey } from '../../src/keys/material.js';
import { releasedJwk } from '../../src/keys/released-jwk.js';
import { accepted } from './fixtures.js';

test('a released JWK is the stored one with its kid', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.string(), (secret, kid) => {
      const stored = accepted(importKey('raw', Buffer.from(secret))).jwk;
      const released = parseJson(releasedJwk(stored, kid));
      expect(released).toEqual({
        kid,
        kty: 'oct',
        k: Buffer.from(secret).toString('base64url'),
      });
    }),
  );
});

test('a released JWK does not share memory with the stored one', () => {
  const stored = accepted(importKey('raw', Buffer.from('secret'))).jwk;
  const released = releasedJwk(stored, 'weights/1');
  released.fill(0);
  expect(stored.toString()).toContain('"kty":"oct"');
});

test.each(['', '{', '{}', '[1]', ' {"k":"AA"}'])('material %j is no stored JWK', (text) => {
  expect(() => releasedJwk(Buffer.from(text), 'weights/1')).toThrow(RangeError);
});
