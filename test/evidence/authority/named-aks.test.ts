import { createPublicKey } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { namedAks } from '../../../src/evidence/authority/named-aks.js';
import { rsaKey } from '../../helpers/pki.js';

const AK = rsaKey();
const { n, e } = createPublicKey({ key: AK.spki, format: 'der', type: 'spki' }).export({ format: 'jwk' });
const JWK = { kid: 'HCLAkPub', kty: 'RSA', n: n ?? '', e: e ?? '' };
const runtime = (...keys: readonly object[]) => ({ 'x-ms-runtime': { keys } }) as never;

test('a token of Azure names the AK of its machine, in its own runtime claims or in those of the hardware report', () => {
  expect(namedAks({})).toEqual([]);
  expect(namedAks(runtime({ kid: 'TpmEphemeralEncryptionKey' }))).toEqual([]);
  expect(namedAks(runtime(JWK))).toEqual([AK.spki]);
  const both = { 'x-ms-isolation-tee': runtime(JWK), ...(runtime(JWK) as object) } as never;
  expect(namedAks(both)).toEqual([AK.spki, AK.spki]);
});

test.each<[string, object]>([
  ['another type', { ...JWK, kty: 'EC' }],
  ['another exponent', { ...JWK, e: 'Aw' }],
  ['no modulus', { kid: 'HCLAkPub', kty: 'RSA', e: 'AQAB' }],
  ['a short modulus', { ...JWK, n: 'AQAB' }],
  ['a modulus of another spelling', { ...JWK, n: `${JWK.n}=` }],
])('an AK with %s is malformed, since nobody knows which machine the token is about', (_, key) => {
  expect(() => namedAks(runtime(key))).toThrow(/token: HCLAkPub/);
});

test('runtime claims hold 16 keys at most', () => {
  expect(() => namedAks(runtime(...Array.from({ length: 17 }, () => JWK)))).toThrow('too many keys');
});
