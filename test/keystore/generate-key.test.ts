import { expect, test } from '@jest/globals';
import { calculateJwkThumbprint, CompactSign, compactVerify, importJWK, type JWK } from 'jose';
import { parseKeySpec } from '../../src/keys/generator.js';
import { importKey } from '../../src/keys/material.js';
import { generateKey } from '../../src/keystore/generate-key.js';
import { accepted } from '../keys/fixtures.js';

test.each([
  [{ type: 'oct' }, { kty: 'oct', sizeBits: 256 }],
  [
    { type: 'oct', size: 128 },
    { kty: 'oct', sizeBits: 128 },
  ],
  [
    { type: 'oct', size: 4096 },
    { kty: 'oct', sizeBits: 4096 },
  ],
  [
    { type: 'RSA', size: 2048 },
    { kty: 'RSA', sizeBits: 2048 },
  ],
  [{ type: 'RSA' }, { kty: 'RSA', sizeBits: 3072 }],
  [{ type: 'EC' }, { kty: 'EC', curve: 'P-256' }],
  [
    { type: 'EC', curve: 'P-384' },
    { kty: 'EC', curve: 'P-384' },
  ],
  [
    { type: 'EC', curve: 'P-521' },
    { kty: 'EC', curve: 'P-521' },
  ],
  [{ type: 'OKP' }, { kty: 'OKP', curve: 'Ed25519' }],
  [
    { type: 'OKP', curve: 'X25519' },
    { kty: 'OKP', curve: 'X25519' },
  ],
])('%j makes a key that can be imported, another one each time', async (request, described) => {
  const spec = accepted(parseKeySpec(request));
  const material = await generateKey(spec);
  expect(material).toEqual({ ...described, jwk: material.jwk });
  expect(accepted(importKey('jwk', material.jwk))).toEqual(material);
  if (described.kty !== 'RSA') expect((await generateKey(spec)).jwk.equals(material.jwk)).toBe(false);
});

test.each([
  [{ type: 'RSA', size: 2048 }, 'PS256'],
  [{ type: 'EC' }, 'ES256'],
  [{ type: 'EC', curve: 'P-384' }, 'ES384'],
  [{ type: 'EC', curve: 'P-521' }, 'ES512'],
  [{ type: 'OKP' }, 'EdDSA'],
  [{ type: 'oct' }, 'HS256'],
])('jose signs with the key made for %j, and verifies with its public part', async (request, alg) => {
  const { jwk } = await generateKey(accepted(parseKeySpec(request)));
  const key = JSON.parse(jwk.toString()) as JWK;
  const jws = await new CompactSign(Buffer.from('text')).setProtectedHeader({ alg }).sign(await importJWK(key, alg));
  const { kty, crv, x, y, n, e, k } = key;
  const publicMembers = Object.entries({ kty, crv, x, y, n, e, ...(kty === 'oct' ? { k } : {}) });
  const publicKey = Object.fromEntries(publicMembers.filter(([, value]) => value !== undefined)) as JWK;
  expect(Buffer.from((await compactVerify(jws, await importJWK(publicKey, alg))).payload).toString()).toBe('text');
  if (kty !== 'oct') expect(await calculateJwkThumbprint(publicKey)).toBe(await calculateJwkThumbprint(key));
});

test('a thousand key pairs in a row do not hang', async () => {
  const thumbprints = new Set<string>();
  for (let i = 0; i < 1000; i++) {
    const { jwk } = await generateKey(i % 2 === 0 ? { kty: 'EC' } : { kty: 'OKP', curve: 'X25519' });
    thumbprints.add(jwk.toString());
  }
  expect(thumbprints.size).toBe(1000);
});

test('a curve that is not offered is a fault of the caller', async () => {
  await expect(generateKey({ kty: 'OKP', curve: 'Ed448' })).rejects.toThrow(RangeError);
});
