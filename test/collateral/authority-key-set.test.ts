import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { parseKeySet } from '../../src/collateral/authority-key-set.js';
import { certificate, ecKey, rsaKey } from '../helpers/pki.js';
import { jwkOf } from './authority-server.js';

const rsa = rsaKey();
const ec = ecKey('P-256');
const parse = (keys: unknown) => parseKeySet(Buffer.from(JSON.stringify({ keys })));
const found = (keys: unknown, kid: string | undefined = 'k') =>
  parse(keys)
    .find(kid)
    .map((key) => key.export({ format: 'der', type: 'spki' }));
const x5c = (...keys: readonly (typeof rsa)[]) =>
  keys.map((key) => certificate({ subject: 'maa', issuer: 'maa', key, signer: key }).toString('base64'));

describe('a key set', () => {
  test('gives RSA and EC keys by their ids', () => {
    const keys = [jwkOf(rsa, { kid: 'k', use: 'sig', alg: 'RS256' }), jwkOf(ec, { kid: 'e' })];
    expect(found(keys)).toEqual([rsa.spki]);
    expect(found(keys, 'e')).toEqual([ec.spki]);
    expect(found(keys, 'x')).toEqual([]);
  });

  test('gives a key that has only its certificate, as Microsoft Azure Attestation writes it', () => {
    const kid = 'J0pAPdfXXHqWWimgrH853wMIdh5/fLe1z6uSXYPXCa0=';
    expect(found([{ kty: 'RSA', kid, x5c: x5c(rsa) }], kid)).toEqual([rsa.spki]);
    expect(found([{ kty: 'EC', kid, x5c: x5c(ec, rsa) }], kid)).toEqual([ec.spki]);
    expect(found([{ kty: 'RSA', kid, x5c: x5c(ec) }], kid)).toEqual([]);
  });

  test('gives all keys where no id is asked for, and several with the same id', () => {
    const keys = [jwkOf(rsa, { kid: 'k' }), jwkOf(ec, { kid: 'k' }), jwkOf(ec)];
    expect(found(keys)).toEqual([rsa.spki, ec.spki]);
    expect(parse(keys).find(undefined)).toHaveLength(3);
  });

  test.each([
    ['for encryption', jwkOf(rsa, { kid: 'k', use: 'enc' })],
    ['symmetric', { kid: 'k', kty: 'oct', k: 'AAAA' }],
    ['of another kind', { kid: 'k', kty: 'OKP', crv: 'Ed25519', x: Buffer.alloc(32, 1).toString('base64url') }],
    ['off its curve', { ...jwkOf(ec, { kid: 'k' }), x: Buffer.alloc(32, 1).toString('base64url') }],
    ['without parameters', { kid: 'k', kty: 'RSA' }],
    ['with a certificate that is none', { kid: 'k', kty: 'RSA', x5c: ['AAAA'] }],
    ['with an empty chain', { kid: 'k', kty: 'RSA', x5c: [] }],
    ['with a number for an id', jwkOf(rsa, { kid: 1 })],
  ])('leaves out a key %s', (_name, key) => {
    expect(parse([key]).find(undefined)).toEqual([]);
    expect(found([key, jwkOf(ec, { kid: 'k' })])).toEqual([ec.spki]);
  });

  test('has at most 128 keys', () => {
    expect(parse(Array(128).fill({})).find(undefined)).toEqual([]);
    expect(() => parse(Array(129).fill({}))).toThrow(/more than 128/);
  });

  test('makes nothing but a malformed error of any JSON', () => {
    const names = fc.constantFrom('kty', 'kid', 'n', 'e', 'crv', 'x', 'y', 'x5c', 'use');
    const values = fc.oneof(fc.constantFrom('RSA', 'EC', 'P-256', 'AQAB'), fc.jsonValue());
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.array(fc.dictionary(names, values))), (keys) => {
        try {
          parse(keys).find(undefined);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
