import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parsePublicArea, tpmtPublic } from '../../../src/evidence/tpm/public-area.js';
import type { PublicArea, SchemeWithHash } from '../../../src/evidence/tpm/structures.js';
import { encodePublicArea, sizedPublic } from './encode.js';
import { eccAk, rsaAk } from './software-quote.js';

const RSA = rsaAk().area;
const ECC = eccAk().area;

describe('parsePublicArea', () => {
  test('reads RSA and ECC keys, with and without symmetric algorithm, scheme, KDF and policy', () => {
    const storage: PublicArea = {
      ...RSA,
      authPolicy: Buffer.alloc(32, 3),
      symmetric: { algorithm: 6, keyBits: 128, mode: 0x43 },
      scheme: undefined,
    };
    const withKdf = { ...ECC, key: { ...ECC.key, kdf: { scheme: 0x20, hash: 0x0b } } } as PublicArea;
    const rsaes: PublicArea = { ...RSA, scheme: { scheme: 0x15, hash: undefined } };
    for (const area of [RSA, ECC, storage, withKdf, rsaes])
      expect(parsePublicArea(encodePublicArea(area))).toEqual(area);
  });

  test('every proper prefix is malformed, and so is a trailing byte', () => {
    for (const area of [RSA, ECC]) {
      const bytes = encodePublicArea(area);
      for (let length = 0; length < bytes.length; length++) {
        expect(() => parsePublicArea(tpmtPublic(bytes.subarray(0, length)))).toThrow(MalformedError);
      }
      expect(() => parsePublicArea(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(/trailing/);
    }
  });

  test('every proper prefix of a TPM2B_PUBLIC is malformed, and so is a trailing byte', () => {
    for (const area of [RSA, ECC]) {
      const bytes = sizedPublic(encodePublicArea(area));
      expect(parsePublicArea(tpmtPublic(bytes))).toEqual(area);
      for (let length = 0; length < bytes.length; length++) {
        expect(() => parsePublicArea(tpmtPublic(bytes.subarray(0, length)))).toThrow(MalformedError);
      }
      expect(() => parsePublicArea(tpmtPublic(Buffer.concat([bytes, Buffer.of(0)])))).toThrow(MalformedError);
    }
  });

  test('keys of other types, and unknown schemes and ciphers, are malformed', () => {
    const bytes = encodePublicArea(RSA);
    for (const type of [0, 8, 0x25, 0xffff]) {
      const bent = Buffer.from(bytes);
      bent.writeUInt16BE(type);
      expect(() => parsePublicArea(bent)).toThrow(MalformedError);
    }
    expect(() => parsePublicArea(encodePublicArea({ ...RSA, scheme: { scheme: 0x1a, hash: 0x0b } }))).toThrow(/scheme/);
    const symmetric = { algorithm: 0x0a, keyBits: 0, mode: 0 };
    expect(() => parsePublicArea(encodePublicArea({ ...RSA, symmetric }))).toThrow(/symmetric/);
  });

  test('an RSA modulus has exactly keyBits bits and is odd', () => {
    if (RSA.key.kind !== 'rsa') throw new Error('not RSA');
    const { n } = RSA.key;
    const bent = (at: number, mask: number) => {
      const copy = Buffer.from(n);
      copy[at]! &= mask;
      return copy;
    };
    const wrong = [
      { keyBits: 2047, n },
      { keyBits: 2056, n },
      { keyBits: 2048, n: n.subarray(1) },
      { keyBits: 2056, n: Buffer.concat([Buffer.of(0), n]) },
      { keyBits: 2048, n: bent(0, 0x7f) },
      { keyBits: 2048, n: bent(255, 0xfe) },
      { keyBits: 0, n: Buffer.alloc(0) },
    ];
    for (const part of wrong) {
      const area: PublicArea = { ...RSA, key: { kind: 'rsa', exponent: 0, ...part } };
      expect(() => parsePublicArea(encodePublicArea(area))).toThrow(/modulus/);
    }
  });

  test('each size is accepted up to its maximum and malformed above', () => {
    const rsa = (bytes: number): PublicArea => {
      const n = Buffer.alloc(bytes, 0xff);
      return { ...RSA, key: { kind: 'rsa', keyBits: bytes * 8, exponent: 0, n } };
    };
    const ecc = (x: number, y: number): PublicArea => {
      return { ...ECC, key: { kind: 'ecc', curve: 5, kdf: undefined, x: Buffer.alloc(x), y: Buffer.alloc(y) } };
    };
    const policy = (bytes: number): PublicArea => ({ ...RSA, authPolicy: Buffer.alloc(bytes) });
    for (const area of [rsa(512), ecc(66, 66), ecc(0, 0), policy(64), policy(0)]) {
      expect(parsePublicArea(encodePublicArea(area))).toEqual(area);
    }
    for (const area of [rsa(513), ecc(67, 66), ecc(66, 67), policy(65)]) {
      expect(() => parsePublicArea(encodePublicArea(area))).toThrow(/over the maximum/);
    }
  });

  test('what is encoded is parsed (property)', () => {
    fc.assert(fc.property(anyArea, (area) => expect(parsePublicArea(encodePublicArea(area))).toEqual(area)));
  });

  test('a public area with any one byte changed parses to something else, or throws MalformedError (property)', () => {
    fc.assert(
      fc.property(fc.constantFrom(RSA, ECC), fc.nat(), fc.integer({ min: 1, max: 255 }), (area, at, flip) => {
        const bytes = encodePublicArea(area);
        bytes[at % bytes.length]! ^= flip;
        try {
          expect(parsePublicArea(bytes)).not.toEqual(area);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });

  test('no bytes throw anything but MalformedError (property)', () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 0x23), fc.uint8Array({ maxLength: 120 }), (type, rest) => {
        try {
          parsePublicArea(Buffer.concat([Buffer.of(0, type), rest]));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });
});

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((value) => Buffer.from(value));
const u16 = fc.integer({ min: 0, max: 0xffff });
const scheme: fc.Arbitrary<SchemeWithHash | undefined> = fc.option(
  fc.record({ scheme: fc.constantFrom(0x14, 0x16, 0x17, 0x18, 0x19, 0x1b, 0x1c, 0x1d), hash: u16 }),
  { nil: undefined },
);
const anyArea: fc.Arbitrary<PublicArea> = fc.record({
  nameAlg: u16,
  objectAttributes: fc.integer({ min: 0, max: 0xffff_ffff }),
  authPolicy: bytes(64),
  symmetric: fc.option(fc.record({ algorithm: fc.constantFrom(3, 6, 0x13, 0x26), keyBits: u16, mode: u16 }), {
    nil: undefined,
  }),
  scheme,
  key: fc.oneof(
    fc.record({
      kind: fc.constant('ecc' as const),
      curve: u16,
      kdf: fc.option(fc.record({ scheme: fc.constantFrom(0x20, 0x21, 0x22), hash: u16 }), { nil: undefined }),
      x: bytes(66),
      y: bytes(66),
    }),
    fc.integer({ min: 1, max: 512 }).map((length) => {
      return { kind: 'rsa' as const, keyBits: length * 8, exponent: 3, n: Buffer.alloc(length, 0xff) };
    }),
  ),
});
