import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  ed25519PrivateKey,
  ed25519PublicBytes,
  ed25519PublicKey,
  ed25519Sign,
  ed25519Verify,
  isSmallOrder,
} from '../../src/crypto/ed25519.js';

const hex = (text: string) => Buffer.from(text, 'hex');
const SEED = Buffer.alloc(32, 0x42);
const KEY = ed25519PrivateKey(SEED);
const PUBLIC = ed25519PublicKey(ed25519PublicBytes(KEY));
const MESSAGE = Buffer.from('what was signed');

/** Little-endian bytes of a number, and back: the encodings of RFC 8032. */
const fromLittle = (bytes: Buffer) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
const little = (value: bigint) => hex(value.toString(16).padStart(64, '0')).reverse();
const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;

describe('Ed25519', () => {
  test.each([
    [
      'test 1',
      '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    ],
    [
      'test 2',
      '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    ],
  ])('signs and verifies %s of RFC 8032, section 7.1', (_, seed, publicKey, message, signature) => {
    const key = ed25519PrivateKey(hex(seed));
    expect(ed25519PublicBytes(key).toString('hex')).toBe(publicKey);
    expect(ed25519Sign(key, hex(message)).toString('hex')).toBe(signature);
    expect(ed25519Verify(ed25519PublicKey(hex(publicKey)), hex(message), hex(signature))).toBe(true);
  });

  test('agrees with keys that node:crypto made', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
    expect(ed25519PublicBytes(privateKey)).toEqual(raw);
    expect(ed25519PublicKey(raw).equals(publicKey)).toBe(true);
    expect(verify(null, MESSAGE, publicKey, ed25519Sign(privateKey, MESSAGE))).toBe(true);
    expect(createPublicKey(KEY).equals(PUBLIC)).toBe(true);
  });

  test('verifies what it signed, and nothing else', () => {
    const other = ed25519PublicKey(ed25519PublicBytes(ed25519PrivateKey(Buffer.alloc(32, 1))));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (message) => {
        const signature = ed25519Sign(KEY, message);
        expect(signature).toHaveLength(64);
        expect(ed25519Verify(PUBLIC, message, signature)).toBe(true);
        expect(ed25519Verify(other, message, signature)).toBe(false);
        expect(ed25519Verify(PUBLIC, Buffer.concat([message, Buffer.of(0)]), signature)).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  test('refuses a signature with any one bit flipped, and of any other length', () => {
    const signature = ed25519Sign(KEY, MESSAGE);
    for (let bit = 0; bit < 512; bit++) {
      const flipped = Buffer.from(signature);
      flipped[bit >> 3] = flipped[bit >> 3]! ^ (1 << (bit & 7));
      expect(ed25519Verify(PUBLIC, MESSAGE, flipped)).toBe(false);
    }
    const longer = Buffer.concat([signature, signature]);
    for (const length of [0, 1, 32, 63, 65, 128]) {
      expect(ed25519Verify(PUBLIC, MESSAGE, longer.subarray(0, length))).toBe(false);
    }
  });

  test('refuses the second spelling of a signature, S + L, which would make one statement into two', () => {
    const signature = ed25519Sign(KEY, MESSAGE);
    const s = fromLittle(signature.subarray(32));
    for (let times = 1n; s + times * L < 2n ** 256n; times++) {
      const respelled = Buffer.concat([signature.subarray(0, 32), little(s + times * L)]);
      expect(ed25519Verify(PUBLIC, MESSAGE, respelled)).toBe(false);
    }
  });

  test('wants seeds and public keys of 32 bytes', () => {
    for (const length of [0, 1, 31, 33, 64]) {
      expect(() => ed25519PrivateKey(Buffer.alloc(length, 1))).toThrow(RangeError);
      expect(() => ed25519PublicKey(Buffer.alloc(length, 1))).toThrow(RangeError);
    }
  });

  test('leaves the seed as it was', () => {
    const seed = Buffer.alloc(32, 3);
    ed25519PrivateKey(seed);
    expect(seed).toEqual(Buffer.alloc(32, 3));
  });

  test('a public key that is no point of the curve verifies nothing, and throws nothing', () => {
    // y = 2: (y^2 - 1) / (d y^2 + 1) has no square root.
    const noPoint = ed25519PublicKey(little(2n));
    expect(ed25519Verify(noPoint, MESSAGE, ed25519Sign(KEY, MESSAGE))).toBe(false);
    expect(ed25519Verify(noPoint, MESSAGE, Buffer.alloc(64))).toBe(false);
    const { publicKey } = generateKeyPairSync('x25519');
    expect(ed25519Verify(publicKey, MESSAGE, Buffer.alloc(64))).toBe(false);
  });
});

describe('points of small order', () => {
  const power = (base: bigint, exponent: bigint) => {
    let result = 1n;
    for (let rest = exponent, square = ((base % P) + P) % P; rest > 0n; rest >>= 1n, square = (square * square) % P) {
      if (rest & 1n) result = (result * square) % P;
    }
    return result;
  };
  const D = (-121665n * power(121666n, P - 2n)) % P;

  /** Doubles a y coordinate of -x^2 + y^2 = 1 + d x^2 y^2; the sign of x does not matter to it. */
  function doubled(y: bigint): bigint {
    const yy = (y * y) % P;
    const xx = ((yy - 1n) * power(D * yy + 1n, P - 2n)) % P;
    return ((((yy + xx) * power(1n - D * xx * yy, P - 2n)) % P) + P) % P;
  }

  const listed = [
    ...['00'.repeat(32), `01${'00'.repeat(31)}`, `ec${'ff'.repeat(30)}7f`, `ed${'ff'.repeat(30)}7f`],
    `ee${'ff'.repeat(30)}7f`,
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  ];

  test.each(listed)('%s is one, with either sign: three doublings lead to the neutral element', (encoded) => {
    const bytes = hex(encoded);
    expect(isSmallOrder(bytes)).toBe(true);
    expect(doubled(doubled(doubled(fromLittle(bytes) % P)))).toBe(1n);
    const signed = Buffer.from(bytes);
    signed[31] = signed[31]! | 0x80;
    expect(isSmallOrder(signed)).toBe(true);
  });

  test('accept signatures that nobody made, which is why they are told apart', () => {
    const accepting = listed.filter((encoded) =>
      Array.from({ length: 64 }, (_, at) => Buffer.of(at)).some((message) =>
        ed25519Verify(ed25519PublicKey(hex(encoded)), message, Buffer.concat([hex(listed[1]!), Buffer.alloc(32)])),
      ),
    );
    expect(accepting.length).toBeGreaterThan(0);
  });

  test('are no keys that are made from a seed, and the bytes that are asked about stay as they were', () => {
    for (let seed = 0; seed < 50; seed++) {
      const bytes = ed25519PublicBytes(ed25519PrivateKey(Buffer.alloc(32, seed)));
      const copy = Buffer.from(bytes);
      expect(isSmallOrder(bytes)).toBe(false);
      expect(bytes).toEqual(copy);
      expect(doubled(doubled(doubled(fromLittle(bytes) % 2n ** 255n)))).not.toBe(1n);
    }
  });
});
