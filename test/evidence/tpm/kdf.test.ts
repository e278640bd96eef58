import { createHash, createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { kdfa, kdfe } from '../../../src/evidence/tpm/kdf.js';

const bytes = fc.uint8Array({ minLength: 1, maxLength: 66 });
const hashName = fc.constantFrom('sha256' as const, 'sha384' as const, 'sha512' as const);
const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');
const u32 = (value: number) => value.toString(16).padStart(8, '0');

describe('KDFa and KDFe', () => {
  test('KDFa is HMAC over counter, label with its zero, contexts and bits', () => {
    fc.assert(
      fc.property(hashName, bytes, bytes, bytes, fc.integer({ min: 1, max: 160 }), (hash, key, u, v, length) => {
        let expected = '';
        for (let i = 1; expected.length < 2 * length; i++) {
          const input = u32(i) + hex(Buffer.from('STORAGE')) + '00' + hex(u) + hex(v) + u32(8 * length);
          expected += createHmac(hash, key).update(Buffer.from(input, 'hex')).digest('hex');
        }
        expect(hex(kdfa(hash, key, 'STORAGE', u, v, 8 * length))).toBe(expected.slice(0, 2 * length));
      }),
    );
  });

  test('KDFe is the hash over counter, Z, label with its zero, and the parties', () => {
    fc.assert(
      fc.property(hashName, bytes, bytes, bytes, fc.integer({ min: 1, max: 160 }), (hash, z, u, v, length) => {
        let expected = '';
        for (let i = 1; expected.length < 2 * length; i++) {
          const input = u32(i) + hex(z) + hex(Buffer.from('IDENTITY')) + '00' + hex(u) + hex(v);
          expected += createHash(hash).update(Buffer.from(input, 'hex')).digest('hex');
        }
        expect(hex(kdfe(hash, z, 'IDENTITY', u, v, 8 * length))).toBe(expected.slice(0, 2 * length));
      }),
    );
  });

  test.each([0, 7, 129])('%p bits are not derived', (bits) => {
    expect(() => kdfa('sha256', Buffer.alloc(32), 'STORAGE', Buffer.alloc(0), Buffer.alloc(0), bits)).toThrow(
      'whole bytes',
    );
    expect(() => kdfe('sha256', Buffer.alloc(32), 'IDENTITY', Buffer.alloc(0), Buffer.alloc(0), bits)).toThrow(
      'whole bytes',
    );
  });
});
