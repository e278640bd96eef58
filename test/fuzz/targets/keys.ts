import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  sign,
  verify,
  type JsonWebKey,
} from 'node:crypto';
import { canonicalJson, type Json } from '../../../src/bytes/canonical-json.js';
import { parseJson } from '../../../src/bytes/json.js';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { importKey, type KeyFormat } from '../../../src/keys/material.js';
import { parseRecipient } from '../../../src/keys/recipient.js';
import type { FuzzTarget } from '../target.js';

/** Keys for fuzzing alone, the same in every run: the private scalar is one byte repeated, the primes were made by OpenSSL. */
const P =
  'xQRE6C6VqhLdGEAbbvFILETdy6YCQdH2-gQKbHK_UBAxhfQEkXTiCNpDc6rWJo6yP2P5-6Cjx_DShLqFnrkH9iWduw-WkTeDWp91b8rX2zGINb-lxtGXRu2ZJuYN0fQ-kDbzYZ1ulXket90di6Vz4a9CAJDBzXdA_7pZnKgW4Z0';
const Q =
  'xD5AR6Fob-zzH2Uu48po01mff1ZNmPulczE2nV1NLaQ7VUyIjZNiAyDwKshxZx8jmqLDWX2YWijibZ2M4Tks2R0Lopao3-zcHbEdTde4kTZHHuKC2VL0yptFdy_RcODCkbL9xAMFRIBKXAlIDGtou5jD4EfKH7M3YJuZV45Iozs';

function ecKey(crv: string, openssl: string, fieldBytes: number): JsonWebKey {
  const pair = createECDH(openssl);
  pair.setPrivateKey(Buffer.alloc(fieldBytes, 1));
  const point = pair.getPublicKey().subarray(1);
  const [x, y] = [point.subarray(0, fieldBytes), point.subarray(fieldBytes)].map((part) => part.toString('base64url'));
  return { kty: 'EC', crv, x: x ?? '', y: y ?? '', d: Buffer.alloc(fieldBytes, 1).toString('base64url') };
}

function okpKey(oid: string): JsonWebKey {
  const der = Buffer.concat([Buffer.from(`302e020100300506032b65${oid}04220420`, 'hex'), Buffer.alloc(32, 1)]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' });
}

function rsaKey(): JsonWebKey {
  const [p, q] = [integer(P), integer(Q)];
  const d = inverse(65537n, (p - 1n) * (q - 1n));
  const [n, dp, dq, qi] = [p * q, d % (p - 1n), d % (q - 1n), inverse(q, p)];
  return { kty: 'RSA', n: text(n), e: 'AQAB', d: text(d), p: P, q: Q, dp: text(dp), dq: text(dq), qi: text(qi) };
}

const ecKeys = [ecKey('P-256', 'prime256v1', 32), ecKey('P-384', 'secp384r1', 48), ecKey('P-521', 'secp521r1', 66)];
const keys: readonly JsonWebKey[] = [...ecKeys, okpKey('6e'), okpKey('70'), rsaKey()];
const alice = createPrivateKey({ key: okpKey('6e'), format: 'jwk' });

const recipients = [...ecKeys.slice(0, 2), okpKey('6e'), rsaKey()].map(({ kty, crv, x, y, n, e }) => ({
  kty,
  alg: kty === 'RSA' ? 'RSA-OAEP-256' : 'ECDH-ES+A256KW',
  ...(kty === 'RSA' ? { n, e } : { crv, x }),
  ...(kty === 'EC' ? { y } : {}),
}));

const CURVES: Readonly<Record<string, { p: bigint; b: bigint }>> = {
  'P-256': {
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
  },
  'P-384': {
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
  },
};

export const targets: readonly FuzzTarget[] = [
  {
    name: 'keys/recipient',
    seeds: recipients.map((jwk) => Buffer.from(JSON.stringify(jwk))),
    run: (input) => {
      const value = jsonObject(input);
      if (value === undefined) return;
      const parsed = parseRecipient(value);
      if (!parsed.ok) return;
      const { jwk, alg, thumbprint } = parsed.value;
      if (thumbprint.length !== 43) throw new Error('thumbprint is not 32 bytes');
      if (!canonicalJson({ ...jwk, alg }).equals(canonicalJson(value as Json)))
        throw new Error('accepted another key than it was given');
      assertSoundPublic({ ...jwk });
    },
  },
  importTarget(
    'jwk',
    keys
      .map((jwk) => Buffer.from(JSON.stringify(jwk)))
      .concat(
        Buffer.from(
          '{"kty":"oct","k":"c2VjcmV0","alg":"A256KW","use":"enc","key_ops":["wrapKey"],"kid":"a","ext":true}',
        ),
      ),
  ),
  importTarget(
    'pkcs8',
    keys.map((jwk) => createPrivateKey({ key: jwk, format: 'jwk' }).export({ format: 'der', type: 'pkcs8' })),
  ),
  importTarget(
    'pkcs8',
    keys.map((jwk) =>
      Buffer.from(createPrivateKey({ key: jwk, format: 'jwk' }).export({ format: 'pem', type: 'pkcs8' })),
    ),
    'keys/import-pem',
  ),
];

function importTarget(format: KeyFormat, seeds: readonly Buffer[], name = `keys/import-${format}`): FuzzTarget {
  return {
    name,
    seeds,
    run: (input) => {
      const imported = importKey(format, input);
      if (!imported.ok) {
        if (imported.reason !== 'request.malformed') throw new Error(`refused with ${imported.reason}`);
        return;
      }
      const { jwk } = imported.value;
      const members = parseJson(jwk) as Json;
      if (!canonicalJson(members).equals(jwk)) throw new Error('material is not canonical');
      const again = importKey('jwk', jwk);
      if (!again.ok || !again.value.jwk.equals(jwk)) throw new Error('material does not import as itself');
      assertPair(members as JsonWebKey);
    },
  };
}

function jsonObject(input: Buffer): Record<string, unknown> | undefined {
  let value: unknown;
  try {
    value = parseJson(input);
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/** An oracle for accepted recipients that shares nothing with the parser. */
function assertSoundPublic(jwk: JsonWebKey): void {
  const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
  if (jwk.kty === 'RSA') {
    const bits = integer(jwk.n ?? '').toString(2).length;
    if (bits < 2048 || bits > 4096 || jwk.e !== 'AQAB') throw new Error('accepted an RSA key out of range');
  } else if (jwk.kty === 'OKP') {
    diffieHellman({ privateKey: alice, publicKey });
  } else {
    const curve = CURVES[jwk.crv ?? ''];
    if (curve === undefined) throw new Error('accepted an unknown curve');
    const [x, y] = [integer(jwk.x ?? ''), integer(jwk.y ?? '')];
    if (x >= curve.p || y >= curve.p || (y * y - x ** 3n + 3n * x - curve.b) % curve.p !== 0n)
      throw new Error('accepted a point off its curve');
  }
}

/** What the private members do, the public ones undo. */
function assertPair(jwk: JsonWebKey): void {
  if (jwk.kty === 'oct') return;
  const { kty, crv, x, y, n, e } = jwk;
  const publicMembers = Object.entries({ kty, crv, x, y, n, e }).filter(([, value]) => value !== undefined);
  const publicKey = createPublicKey({ key: Object.fromEntries(publicMembers) as JsonWebKey, format: 'jwk' });
  const privateKey = createPrivateKey({ key: jwk, format: 'jwk' });
  const fits =
    crv === 'X25519'
      ? diffieHellman({ privateKey, publicKey: createPublicKey(alice) }).equals(
          diffieHellman({ privateKey: alice, publicKey }),
        )
      : verify(hashFor(crv), Buffer.from('probe'), publicKey, sign(hashFor(crv), Buffer.from('probe'), privateKey));
  if (!fits) throw new Error('accepted a public key that is not the private one’s');
}

function hashFor(crv: string | undefined): string | undefined {
  return crv === 'Ed25519' ? undefined : 'sha256';
}

function integer(base64url: string): bigint {
  return BigInt(`0x${Buffer.from(base64url, 'base64url').toString('hex') || '0'}`);
}

function text(value: bigint): string {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url');
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n];
  while (a > 1n) {
    const q = a / b;
    [a, b, x, y] = [b, a % b, y, x - q * y];
  }
  return ((x % modulus) + modulus) % modulus;
}
