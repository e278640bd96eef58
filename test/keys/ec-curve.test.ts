import { createECDH, ECDH } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { EC_CURVES, isOnCurve, uncompressedPoint } from '../../src/keys/ec-curve.js';

describe.each(Object.entries(EC_CURVES))('a point of %s', (_name, curve) => {
  const { openssl, fieldBytes, p } = curve;
  const split = (point: Buffer) => [point.subarray(1, 1 + fieldBytes), point.subarray(1 + fieldBytes)] as const;
  const number = (value: bigint) => Buffer.from(value.toString(16).padStart(2 * fieldBytes, '0'), 'hex');
  const openSslTakes = (x: Buffer, y: Buffer): boolean => {
    try {
      ECDH.convertKey(uncompressedPoint(x, y), openssl, undefined, undefined, 'uncompressed');
      return true;
    } catch {
      return false;
    }
  };

  test('is on the curve when it was made there', () => {
    const ecdh = createECDH(openssl);
    for (let round = 0; round < 20; round++) expect(isOnCurve(curve, ...split(ecdh.generateKeys()))).toBe(true);
  });

  test('is on the curve for us where it is for OpenSSL, whatever byte is changed', () => {
    const [x, y] = split(createECDH(openssl).generateKeys());
    const at = fc.nat({ max: 2 * fieldBytes - 1 });
    fc.assert(
      fc.property(at, fc.integer({ min: 1, max: 255 }), (index, mask) => {
        const changed = Buffer.concat([x, y]);
        changed.writeUInt8(changed.readUInt8(index) ^ mask, index);
        const parts = [changed.subarray(0, fieldBytes), changed.subarray(fieldBytes)] as const;
        expect(isOnCurve(curve, ...parts)).toBe(openSslTakes(...parts));
      }),
      { numRuns: 50 },
    );
  });

  test('is not on the curve where a coordinate is p or more, or both are zero', () => {
    const [x, y] = split(createECDH(openssl).generateKeys());
    const zero = Buffer.alloc(fieldBytes);
    const ones = Buffer.alloc(fieldBytes, 0xff);
    const above = (value: Buffer) => BigInt(`0x${value.toString('hex')}`) + p;
    expect(isOnCurve(curve, zero, zero)).toBe(false);
    expect(isOnCurve(curve, ones, y)).toBe(false);
    expect(isOnCurve(curve, x, ones)).toBe(false);
    for (const sum of [above(x), above(y)].filter((value) => value < 2n ** BigInt(8 * fieldBytes))) {
      expect(isOnCurve(curve, number(sum), y)).toBe(false);
      expect(isOnCurve(curve, x, number(sum))).toBe(false);
    }
    expect(isOnCurve(curve, x, number(p - BigInt(`0x${y.toString('hex')}`)))).toBe(true);
  });
});
