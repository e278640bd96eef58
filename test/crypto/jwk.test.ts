import { describe, expect, test } from '@jest/globals';
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';
import { jwkThumbprint, type PublicJwk } from '../../src/crypto/jwk.js';

describe('a JWK thumbprint', () => {
  test.each([
    ['ECDH-ES', { crv: 'P-256' }],
    ['ECDH-ES', { crv: 'P-384' }],
    ['ECDH-ES', { crv: 'X25519' }],
    ['RSA-OAEP-256', { modulusLength: 2048 }],
  ])('equals what jose computes for %s %j', async (alg, options) => {
    const { publicKey } = await generateKeyPair(alg, { ...options, extractable: true });
    const jwk = await exportJWK(publicKey);
    expect(jwkThumbprint(jwk as unknown as PublicJwk)).toBe(await calculateJwkThumbprint(jwk));
  });

  test('covers the required members alone', () => {
    const key = { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AQ' } as const;
    const more = { ...key, kid: 'a name', alg: 'ES256' };
    expect(jwkThumbprint(more)).toBe(jwkThumbprint(key));
    expect(jwkThumbprint({ ...key, y: 'Ag' })).not.toBe(jwkThumbprint(key));
  });
});
