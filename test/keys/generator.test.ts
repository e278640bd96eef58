import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseKeySpec } from '../../src/keys/generator.js';
import { accepted, malformed } from './fixtures.js';

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
  [{ type: 'RSA' }, { kty: 'RSA', sizeBits: 3072 }],
  [
    { type: 'RSA', size: 2048 },
    { kty: 'RSA', sizeBits: 2048 },
  ],
  [
    { type: 'RSA', size: 4096 },
    { kty: 'RSA', sizeBits: 4096 },
  ],
  [{ type: 'EC' }, { kty: 'EC', curve: 'P-256' }],
  [
    { type: 'EC', curve: 'P-521' },
    { kty: 'EC', curve: 'P-521' },
  ],
  [{ type: 'OKP' }, { kty: 'OKP', curve: 'Ed25519' }],
  [
    { type: 'OKP', curve: 'X25519' },
    { kty: 'OKP', curve: 'X25519' },
  ],
])('%j asks for %j', (request, spec) => {
  expect(accepted(parseKeySpec(request))).toEqual(spec);
});

test.each([
  { type: 'oct', size: 0 },
  { type: 'oct', size: 120 },
  { type: 'oct', size: 129 },
  { type: 'oct', size: 4104 },
  { type: 'oct', size: Number.NaN },
  { type: 'oct', size: 256.5 },
  { type: 'oct', curve: 'P-256' },
  { type: 'RSA', size: 1024 },
  { type: 'RSA', size: 2056 },
  { type: 'RSA', size: 8192 },
  { type: 'RSA', curve: 'P-256' },
  { type: 'EC', curve: 'secp256k1' },
  { type: 'EC', curve: 'X25519' },
  { type: 'EC', size: 256 },
  { type: 'OKP', curve: 'X448' },
  { type: 'OKP', curve: 'P-256' },
  { type: 'OKP', size: 256 },
  { type: 'rsa' },
  { type: '' },
  { type: '__proto__' },
])('%j is refused', (request) => {
  expect(malformed(parseKeySpec(request))).toMatch(/^(?:type|size|curve): /);
});

test('no request makes the parser throw', () => {
  const type = fc.oneof(fc.constantFrom('oct', 'RSA', 'EC', 'OKP'), fc.string());
  const request = fc.record({ type, size: fc.double(), curve: fc.string() }, { requiredKeys: ['type'] });
  fc.assert(fc.property(request, (asked) => void parseKeySpec(asked)));
});
