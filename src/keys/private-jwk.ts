import { createECDH, createPrivateKey, createPublicKey } from 'node:crypto';
import { fromBase64url } from '../bytes/base64url.js';
import type { Json } from '../bytes/canonical-json.js';
import { equalBytes } from '../bytes/equal.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { ecCurve, uncompressedPoint } from './ec-curve.js';
import { checkRsaPrivate, RSA_PRIVATE_MEMBERS } from './rsa-private.js';

/** Symmetric keys and raw secrets are at most this long. */
export const MAX_SECRET_BYTES = 65_536;

/** A private JWK whose public part was found to follow from its private part. `members` has no kid. */
export interface PrivateJwk {
  readonly kty: 'oct' | 'RSA' | 'EC' | 'OKP';
  readonly sizeBits?: number;
  readonly curve?: string;
  readonly members: Readonly<Record<string, Json>>;
}

/** DER of a PKCS#8 private key (RFC 8410) up to its 32 bytes. */
const OKP_PKCS8_PREFIX: Readonly<Record<string, Buffer>> = {
  X25519: Buffer.from('302e020100300506032b656e04220420', 'hex'),
  Ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
};

const REQUIRED = {
  oct: ['k'],
  RSA: RSA_PRIVATE_MEMBERS,
  EC: ['crv', 'x', 'y', 'd'],
  OKP: ['crv', 'x', 'd'],
} as const;

/** What a key is for is kept, since it belongs to the key; what it was called elsewhere (kid) and ext are dropped. */
const KEPT = ['alg', 'use', 'key_ops'];
const DROPPED = ['kid', 'ext'];
const WORD = /^[A-Za-z0-9+_.-]{1,64}$/;
const MAX_KEY_OPS = 16;

/**
 * Checks a private JWK of type oct, RSA, EC (P-256, P-384, P-521) or OKP (X25519, Ed25519): exactly the members of its
 * type, besides alg, use, key_ops, kid and ext; one spelling per value; a public part that follows from the private one.
 * NOT verified: that `alg`, `use` and `key_ops` make sense for the type. Throws MalformedError, whose message holds no member's value.
 */
export function checkPrivateJwk(jwk: unknown): PrivateJwk {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) throw new MalformedError('jwk: not a JSON object');
  const given = jwk as Readonly<Record<string, unknown>>;
  switch (given['kty']) {
    case 'oct': {
      const { k } = required(given, 'oct');
      return { kty: 'oct', sizeBits: 8 * secretLength(k), members: kept(given, { kty: 'oct', k }) };
    }
    case 'RSA': {
      const numbers = required(given, 'RSA');
      return { kty: 'RSA', sizeBits: checkRsaPrivate(numbers), members: kept(given, { kty: 'RSA', ...numbers }) };
    }
    case 'EC': {
      const { crv, x, y, d } = required(given, 'EC');
      checkEc(crv, x, y, d);
      return { kty: 'EC', curve: crv, members: kept(given, { kty: 'EC', crv, x, y, d }) };
    }
    case 'OKP': {
      const { crv, x, d } = required(given, 'OKP');
      checkOkp(crv, x, d);
      return { kty: 'OKP', curve: crv, members: kept(given, { kty: 'OKP', crv, x, d }) };
    }
    default:
      throw new MalformedError('jwk.kty: one of oct, RSA, EC, OKP');
  }
}

function required<T extends keyof typeof REQUIRED>(
  given: Readonly<Record<string, unknown>>,
  kty: T,
): Record<(typeof REQUIRED)[T][number], string> {
  const names: readonly string[] = REQUIRED[kty];
  if (kty !== 'oct' && !Object.hasOwn(given, 'd')) {
    throw new MalformedError('jwk: a public key, without the private member d; import the private key');
  }
  for (const name of names) {
    if (!Object.hasOwn(given, name) || typeof given[name] !== 'string') {
      throw new MalformedError(`jwk.${name}: missing, or not a string`);
    }
  }
  const allowed = ['kty', ...names, ...KEPT, ...DROPPED];
  if (Object.keys(given).some((name) => !allowed.includes(name))) {
    throw new MalformedError(`jwk: has other members than ${allowed.join(', ')}`);
  }
  return Object.fromEntries(names.map((name) => [name, given[name]])) as Record<(typeof REQUIRED)[T][number], string>;
}

function kept(given: Readonly<Record<string, unknown>>, members: Record<string, Json>): Readonly<Record<string, Json>> {
  for (const name of ['alg', 'use']) {
    if (Object.hasOwn(given, name)) members[name] = word(given[name], `jwk.${name}`);
  }
  if (Object.hasOwn(given, 'key_ops')) members['key_ops'] = keyOps(given['key_ops']);
  return members;
}

function word(value: unknown, field: string): string {
  if (typeof value !== 'string' || !WORD.test(value)) throw new MalformedError(`${field}: not a registered name`);
  return value;
}

function keyOps(value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length > MAX_KEY_OPS || new Set(value).size !== value.length) {
    throw new MalformedError(`jwk.key_ops: not a list of at most ${String(MAX_KEY_OPS)} different names`);
  }
  return value.map((operation) => word(operation, 'jwk.key_ops'));
}

/** Length in bytes of a symmetric key. */
function secretLength(k: string): number {
  if (k.length > Math.ceil((MAX_SECRET_BYTES * 4) / 3)) {
    throw new MalformedError(`jwk.k: longer than ${String(MAX_SECRET_BYTES)} bytes`);
  }
  const secret = fromBase64url(k, 'jwk.k');
  secret.fill(0);
  if (secret.length === 0) throw new MalformedError('jwk.k: empty');
  return secret.length;
}

function checkEc(crv: string, x: string, y: string, d: string): void {
  const curve = ecCurve(crv, ['P-256', 'P-384', 'P-521']);
  if (curve === undefined) throw new MalformedError('jwk.crv: a key of type EC needs P-256, P-384 or P-521');
  const point = uncompressedPoint(exactly(curve.fieldBytes, x, 'jwk.x'), exactly(curve.fieldBytes, y, 'jwk.y'));
  const scalar = exactly(curve.fieldBytes, d, 'jwk.d');
  const pair = createECDH(curve.openssl);
  try {
    pair.setPrivateKey(scalar);
  } catch {
    throw new MalformedError('jwk.d: zero, or not below the order of the curve');
  } finally {
    scalar.fill(0);
  }
  if (!equalBytes(pair.getPublicKey(), point)) throw notAPair();
}

function checkOkp(crv: string, x: string, d: string): void {
  const prefix = Object.hasOwn(OKP_PKCS8_PREFIX, crv) ? OKP_PKCS8_PREFIX[crv] : undefined;
  if (prefix === undefined) throw new MalformedError('jwk.crv: a key of type OKP needs X25519 or Ed25519');
  const publicKey = exactly(32, x, 'jwk.x');
  const secret = exactly(32, d, 'jwk.d');
  const der = Buffer.concat([prefix, secret]);
  const spki = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })).export({
    format: 'der',
    type: 'spki',
  });
  der.fill(0);
  secret.fill(0);
  if (!equalBytes(spki.subarray(-32), publicKey)) throw notAPair();
}

function notAPair(): MalformedError {
  return new MalformedError('jwk: the public key does not belong to the private key');
}

function exactly(length: number, text: string, field: string): Buffer {
  if (text.length !== Math.ceil((length * 4) / 3))
    throw new MalformedError(`${field}: must be ${String(length)} bytes long`);
  return fromBase64url(text, field);
}
