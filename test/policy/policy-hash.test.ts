import { expect, test } from '@jest/globals';
import { expectedPcr, extendedPcr, policyHash } from '../../src/policy/policy-hash.js';

// Made with Python's hashlib over the ten bytes `portcullis`: the digest, then H(0^len || digest), then H(that || digest).
const VECTORS = [
  {
    bank: 'sha256',
    digest: '74e19dcd5ceecfb9f1579fda3c43a847f3fad01c8606d85caa17242e9bc99f0e',
    once: '2ec8fae3f84ed72c627704716fe589cf59991bbbb860c18ffcaebb7bd76719c3',
    twice: '130f7f5c66fbfc9cec523d95448bc7877d89c53c15d0598b34e80e50eb59d1e0',
  },
  {
    bank: 'sha384',
    digest: 'eecc7c7eeea53d7de6007307948d24c58b7db9b284718a1d5bd387754c5f6990d069fa3ab67e13067feb1de9f99cdf26',
    once: '5fe515bd480b2417cc956b591f8c5cf3f5c8e8999208c4f39d44c9beff93c7164f1475cee2b491da58ec4f99e4ea9b41',
    twice: '0fc2286fe35070d2304cdca8f493090ec98d4326cbde857c4887b20541170c5c1a81a8d3e4a2609a7f86839584b4e0dd',
  },
] as const;

test.each(VECTORS)('the policy hash and the expected PCR of the $bank bank are those of the vector', (vector) => {
  expect(policyHash(Buffer.from('portcullis'))[vector.bank]).toBe(vector.digest);
  expect(expectedPcr(vector.bank, vector.digest)).toBe(vector.once);
  expect(extendedPcr(vector.bank, vector.once, vector.digest)).toBe(vector.twice);
});

test('a digest of another length than the bank is a bug of the caller', () => {
  expect(() => expectedPcr('sha256', VECTORS[1].digest)).toThrow(RangeError);
  expect(() => expectedPcr('sha384', VECTORS[0].digest)).toThrow(RangeError);
  expect(() => extendedPcr('sha256', '00', VECTORS[0].digest)).toThrow(RangeError);
});
