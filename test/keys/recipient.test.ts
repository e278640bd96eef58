import { createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { calculateJwkThumbprint } from 'jose';
import { parseRecipient } from '../../src/keys/recipient.js';
import { isSoundX25519Point, LOW_ORDER_POINTS } from '../../src/keys/x25519.js';
import { accepted, makeRecipient, malformed, RECIPIENT_TYPES, steady } from './fixtures.js';

const jwks = new Map<string, Record<string, unknown>>();

beforeAll(async () => {
  for (const type of RECIPIENT_TYPES) jwks.set(type.name, (await makeRecipient(type)).jwk);
});

function jwkOf(name: string): Record<string, unknown> {
  return { ...jwks.get(name) };
}

const P = (1n << 255n) - 19n;
const P256 = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;

describe('a recipient key', () => {
  test.each(RECIPIENT_TYPES.map(({ name }) => name))(
    'of type %s is accepted, under the thumbprint of RFC 7638',
    async (name) => {
      const recipient = accepted(parseRecipient(jwkOf(name)));
      expect(recipient.thumbprint).toBe(await calculateJwkThumbprint(jwkOf(name)));
      expect(recipient.alg).toBe(jwkOf(name)['alg']);
    },
  );

  test.each(RECIPIENT_TYPES.map(({ name }) => name))(
    'of type %s is refused with a member more, or less, or of another type',
    (name) => {
      for (const extra of ['kid', 'use', 'key_ops', 'd', 'x5u', '__proto__']) {
        const document = JSON.parse(`{"${extra}":"a",${JSON.stringify(jwkOf(name)).slice(1)}`) as Record<
          string,
          unknown
        >;
        malformed(parseRecipient(document));
      }
      for (const member of Object.keys(jwkOf(name))) {
        malformed(parseRecipient(Object.fromEntries(Object.entries(jwkOf(name)).filter(([each]) => each !== member))));
        for (const value of [null, 1, true, [], {}, '', ['EC']])
          malformed(parseRecipient({ ...jwkOf(name), [member]: value }));
      }
    },
  );

  test.each(RECIPIENT_TYPES.map(({ name }) => name))('of type %s is refused with another algorithm', (name) => {
    for (const alg of [
      'ECDH-ES',
      'ECDH-ES+A128KW',
      'RSA-OAEP',
      'RSA1_5',
      'dir',
      'none',
      'ecdh-es+a256kw',
      'RSA-OAEP-256',
      'ECDH-ES+A256KW',
    ]) {
      if (alg !== jwkOf(name)['alg']) malformed(parseRecipient({ ...jwkOf(name), alg }));
    }
  });

  test('of type oct, or of an unknown type or curve, is refused', () => {
    malformed(parseRecipient({ kty: 'oct', alg: 'A256KW', k: 'AAAA' }));
    malformed(parseRecipient({ ...jwkOf('P-256'), kty: 'ec' }));
    for (const crv of ['P-521', 'secp256k1', 'p-256', 'P-384', 'X25519', 'constructor', '__proto__']) {
      malformed(parseRecipient({ ...jwkOf('P-256'), crv }));
    }
    for (const crv of ['Ed25519', 'X448', 'x25519', 'P-256']) malformed(parseRecipient({ ...jwkOf('X25519'), crv }));
  });

  test('is refused in another spelling of its bytes', () => {
    for (const [name, member] of [
      ['P-256', 'x'],
      ['P-384', 'y'],
      ['X25519', 'x'],
      ['RSA-2048', 'n'],
    ] as const) {
      const text = jwkOf(name)[member] as string;
      for (const spelling of [
        `${text}=`,
        ` ${text}`,
        `${text}\n`,
        text.slice(0, -1),
        `${text}A`,
        `+${text.slice(1)}`,
        text.slice(0, -1) + '!',
      ]) {
        malformed(parseRecipient({ ...jwkOf(name), [member]: spelling }));
      }
    }
    // 43 characters hold 258 bits: the two unused ones must be zero.
    const x = jwkOf('P-256')['x'] as string;
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const unused = alphabet[alphabet.indexOf(x.at(-1) ?? '') | 1] ?? '';
    malformed(parseRecipient({ ...jwkOf('P-256'), x: x.slice(0, -1) + unused }));
  });
});

describe('an EC recipient', () => {
  test('off its curve, at infinity, or with coordinates swapped is refused', () => {
    const jwk = jwkOf('P-256');
    expect(malformed(parseRecipient({ ...jwk, x: jwk['y'], y: jwk['x'] }))).toContain('not on the curve');
    expect(malformed(parseRecipient({ ...jwk, y: other(jwk['y'] as string) }))).toContain('not on the curve');
    const zero = Buffer.alloc(32).toString('base64url');
    expect(malformed(parseRecipient({ ...jwk, x: zero, y: zero }))).toContain('not on the curve');
    const p384 = jwkOf('P-384');
    expect(malformed(parseRecipient({ ...p384, y: other(p384['y'] as string) }))).toContain('not on the curve');
  });

  test('with a coordinate that is not reduced modulo p is refused', () => {
    // x = 5 lies on P-256; x = 5 + p has the same residue and still fits 32 bytes.
    const y = sqrtP256(5n);
    const known = { kty: 'EC', alg: 'ECDH-ES+A256KW', crv: 'P-256' };
    accepted(parseRecipient({ ...known, x: big(5n), y: big(y) }));
    malformed(parseRecipient({ ...known, x: big(5n + P256), y: big(y) }));
  });

  test.each([0, 1, 31, 33, 47, 49, 64])('with coordinates of %d bytes is refused', (length) => {
    const x = Buffer.alloc(length, 1).toString('base64url');
    malformed(parseRecipient({ ...jwkOf('P-256'), x }));
    malformed(parseRecipient({ ...jwkOf('P-384'), y: x }));
  });
});

describe('an X25519 recipient', () => {
  const x25519 = (x: Buffer) =>
    parseRecipient({ kty: 'OKP', crv: 'X25519', alg: 'ECDH-ES+A256KW', x: x.toString('base64url') });

  test('of low order is refused, in each of the five canonical spellings', () => {
    expect(LOW_ORDER_POINTS).toHaveLength(5);
    for (const point of LOW_ORDER_POINTS) expect(malformed(x25519(point))).toContain('low order');
  });

  test('of low order gives the all-zero secret with any private key, and only such a key does', () => {
    for (let i = 0; i < 4; i++) {
      const scalar = steady(`scalar ${String(i)}`, 32);
      for (const point of LOW_ORDER_POINTS) {
        expect(ladder(scalar, point)).toEqual(Buffer.alloc(32));
        expect(() => diffieHellman({ privateKey: privateX25519(scalar), publicKey: publicX25519(point) })).toThrow();
      }
      const sound = steady(`point ${String(i)}`, 32);
      sound[31] = (sound[31] ?? 0) & 0x7f;
      expect(isSoundX25519Point(sound)).toBe(true);
      const secret = diffieHellman({ privateKey: privateX25519(scalar), publicKey: publicX25519(sound) });
      expect(ladder(scalar, sound)).toEqual(secret);
    }
  });

  test('is refused from p on, and accepted just below what is of low order there', () => {
    for (let value = P; value < 1n << 255n; value++) malformed(x25519(little(value)));
    accepted(x25519(little(P - 2n)));
    accepted(x25519(little(2n)));
    accepted(x25519(little(9n)));
  });

  test('with the high bit set is refused', () => {
    const base = little(9n);
    base[31] = 0x80;
    malformed(x25519(base));
  });

  test.each([0, 31, 33])('of %d bytes is refused', (length) => {
    malformed(x25519(Buffer.alloc(length, 9)));
  });
});

describe('an RSA recipient', () => {
  const rsa = (n: Buffer, e = 'AQAB') =>
    parseRecipient({ kty: 'RSA', alg: 'RSA-OAEP-256', n: n.toString('base64url'), e });
  const modulus = (bits: number) => {
    const n = Buffer.alloc(Math.ceil(bits / 8), 0xff);
    n[0] = 0xff >> (n.length * 8 - bits);
    return n;
  };

  test.each([2048, 2049, 3072, 4095, 4096])('of %d bits is accepted', (bits) => {
    accepted(rsa(modulus(bits)));
  });

  test.each([0, 8, 512, 1024, 2040, 2047, 4097, 4104, 8192])('of %d bits is refused', (bits) => {
    malformed(rsa(modulus(bits)));
  });

  test('with an exponent other than 65537 is refused', () => {
    for (const e of ['AQ', 'Aw', 'AQAA', 'AAEAAQ', 'AQABAA', '', 'AQAB=']) malformed(rsa(modulus(2048), e));
  });

  test('with a modulus that is even, zero, or has leading zeros is refused', () => {
    const even = modulus(2048);
    even[255] = 0xfe;
    expect(malformed(rsa(even))).toContain('even');
    expect(malformed(rsa(Buffer.concat([Buffer.alloc(1), modulus(2048)])))).toContain('leading zero');
    malformed(rsa(Buffer.alloc(256)));
  });
});

test('no recipient makes the parser throw', () => {
  const text = fc.oneof(
    fc.string(),
    fc.base64String(),
    fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
    fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
  );
  const members = fc.record(
    {
      kty: fc.oneof(fc.constantFrom('EC', 'OKP', 'RSA', 'oct'), fc.anything()),
      alg: fc.oneof(fc.constantFrom('ECDH-ES+A256KW', 'RSA-OAEP-256'), fc.anything()),
      crv: fc.oneof(fc.constantFrom('P-256', 'P-384', 'X25519'), fc.string()),
      x: fc.oneof(text, fc.anything()),
      y: text,
      n: text,
      e: fc.oneof(fc.constant('AQAB'), text),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(members, (jwk) => {
      const result = parseRecipient(jwk);
      if (result.ok) expect(result.value.thumbprint).toHaveLength(43);
      else expect(result.reason).toBe('request.malformed');
    }),
    { numRuns: 2000 },
  );
});

/** The same length, another value. */
function other(text: string): string {
  return (text.startsWith('A') ? 'B' : 'A') + text.slice(1);
}

function big(value: bigint): string {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').toString('base64url');
}

function little(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse();
}

/** A y with y^2 = x^3 - 3x + b on P-256; p is 3 modulo 4. */
function sqrtP256(x: bigint): bigint {
  const b = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
  const square = (x ** 3n - 3n * x + b) % P256;
  const y = power(square, (P256 + 1n) / 4n, P256);
  expect((y * y) % P256).toBe(square);
  return y;
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let rest = exponent, factor = base % modulus; rest > 0n; rest >>= 1n, factor = (factor * factor) % modulus) {
    if ((rest & 1n) === 1n) result = (result * factor) % modulus;
  }
  return result;
}

/** X25519 as RFC 7748 section 5 writes it down: an oracle that shares nothing with OpenSSL, which refuses all-zero results. */
function ladder(scalar: Buffer, point: Buffer): Buffer {
  const clamped = Buffer.from(scalar);
  clamped[0] = (clamped[0] ?? 0) & 248;
  clamped[31] = ((clamped[31] ?? 0) & 127) | 64;
  const k = BigInt(`0x${Buffer.from(clamped).reverse().toString('hex')}`);
  const x1 = BigInt(`0x${Buffer.from(point).reverse().toString('hex')}`) % P;
  const mod = (value: bigint) => ((value % P) + P) % P;
  let [x2, z2, x3, z3] = [1n, 0n, x1, 1n];
  let swap = false;
  for (let t = 254n; t >= 0n; t--) {
    const bit = ((k >> t) & 1n) === 1n;
    if (bit !== swap) [x2, x3, z2, z3] = [x3, x2, z3, z2];
    swap = bit;
    const a = mod(x2 + z2);
    const aa = mod(a * a);
    const b = mod(x2 - z2);
    const bb = mod(b * b);
    const e = mod(aa - bb);
    const da = mod((x3 - z3) * a);
    const cb = mod((x3 + z3) * b);
    x3 = mod((da + cb) ** 2n);
    z3 = mod(x1 * mod((da - cb) ** 2n));
    x2 = mod(aa * bb);
    z2 = mod(e * (aa + 121665n * e));
  }
  if (swap) [x2, z2] = [x3, z3];
  return little(mod(x2 * power(z2, P - 2n, P)));
}

function privateX25519(scalar: Buffer) {
  const der = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), scalar]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

function publicX25519(point: Buffer) {
  return createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: point.toString('base64url') }, format: 'jwk' });
}
