import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parseSignature } from '../../../src/evidence/tpm/signature.js';
import type { TpmSignature } from '../../../src/evidence/tpm/structures.js';
import { encodeSignature } from './encode.js';

const RSASSA: TpmSignature = { kind: 'rsa', sigAlg: 0x14, hash: 0x0b, sig: Buffer.alloc(256, 1) };
const ECDSA: TpmSignature = { kind: 'ecdsa', sigAlg: 0x18, hash: 0x0b, r: Buffer.alloc(32, 1), s: Buffer.alloc(31, 2) };

describe('parseSignature', () => {
  test('reads RSASSA, RSAPSS and ECDSA', () => {
    for (const signature of [RSASSA, { ...RSASSA, sigAlg: 0x16 }, ECDSA]) {
      expect(parseSignature(encodeSignature(signature))).toEqual(signature);
    }
  });

  test('every proper prefix is malformed, and so is a trailing byte', () => {
    for (const signature of [RSASSA, ECDSA]) {
      const bytes = encodeSignature(signature);
      for (let length = 0; length < bytes.length; length++) {
        expect(() => parseSignature(bytes.subarray(0, length))).toThrow(MalformedError);
      }
      expect(() => parseSignature(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(/trailing/);
    }
  });

  test('each size is accepted up to its maximum and malformed above', () => {
    const sized = (sig: number, r: number, s: number) => [
      encodeSignature({ kind: 'rsa', sigAlg: 0x14, hash: 0x0b, sig: Buffer.alloc(sig) }),
      encodeSignature({ kind: 'ecdsa', sigAlg: 0x18, hash: 0x0b, r: Buffer.alloc(r), s: Buffer.alloc(32) }),
      encodeSignature({ kind: 'ecdsa', sigAlg: 0x18, hash: 0x0b, r: Buffer.alloc(32), s: Buffer.alloc(s) }),
    ];
    for (const bytes of [...sized(512, 66, 66), ...sized(0, 0, 0)]) expect(() => parseSignature(bytes)).not.toThrow();
    for (const bytes of sized(513, 67, 67)) expect(() => parseSignature(bytes)).toThrow(/over the maximum/);
  });

  test('of an unknown scheme only the id is read', () => {
    for (const sigAlg of [0x10, 0x05, 0x1a, 0x1b, 0xffff]) {
      const bytes = Buffer.alloc(40, 9);
      bytes.writeUInt16BE(sigAlg);
      expect(parseSignature(bytes)).toEqual({ kind: 'unknown', sigAlg });
    }
  });

  test('no bytes throw anything but MalformedError, and what parses encodes to the same bytes (property)', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0x14, 0x16, 0x18, 0x10),
        fc.uint8Array({ maxLength: 80 }),
        fc.nat(40),
        (alg, rest, size) => {
          const bytes = Buffer.concat([Buffer.of(0, alg, 0, 0x0b, 0, size), rest]);
          try {
            const signature = parseSignature(bytes);
            if (signature.kind !== 'unknown') expect(encodeSignature(signature)).toEqual(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedError);
          }
        },
      ),
    );
  });
});
