import { createPublicKey, type KeyObject } from 'node:crypto';
import { toBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { DerReader, TAG } from './der.js';
import { derNull, derOid, derUnsigned, derWholeBits } from './der-values.js';
import { ecKey, FIELD_BYTES, type CurveName } from './signature.js';

/** RSA moduli in bits: less is broken, more costs too much to verify with. */
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;
const MAX_EXPONENT_BYTES = 4;

const RSA_ENCRYPTION = '1.2.840.113549.1.1.1';
const EC_PUBLIC_KEY = '1.2.840.10045.2.1';
const CURVES: Readonly<Record<string, CurveName>> = {
  '1.2.840.10045.3.1.7': 'P-256',
  '1.3.132.0.34': 'P-384',
  '1.3.132.0.35': 'P-521',
};

/** A public key of a kind that is used here. */
export type CertifiedKey =
  | { readonly type: 'rsa'; readonly bits: number; readonly key: KeyObject }
  | { readonly type: 'ec'; readonly curve: CurveName; readonly key: KeyObject };

/**
 * The key of a SubjectPublicKeyInfo (RFC 3279 section 2.3, RFC 5480 section 2): RSA of 2048 to 8192 bits with an odd
 * exponent of 3 to 2^32 - 1, or an uncompressed point of P-256, P-384 or P-521. Everything else throws MalformedError.
 */
export function parseSpki(der: Buffer): CertifiedKey {
  const outer = new DerReader(der);
  const spki = outer.enter(TAG.sequence, 'SubjectPublicKeyInfo');
  outer.end('SubjectPublicKeyInfo');
  const algorithm = spki.enter(TAG.sequence, 'key algorithm');
  const bits = derWholeBits(spki.content(TAG.bitString, 'subjectPublicKey'), 'subjectPublicKey');
  spki.end('SubjectPublicKeyInfo');
  const oid = derOid(algorithm.content(TAG.oid, 'key algorithm'), 'key algorithm');
  switch (oid) {
    case RSA_ENCRYPTION:
      derNull(algorithm.content(TAG.null, 'key parameters'), 'key parameters');
      algorithm.end('key algorithm');
      return rsa(bits);
    case EC_PUBLIC_KEY: {
      const curve = CURVES[derOid(algorithm.content(TAG.oid, 'curve'), 'curve')];
      algorithm.end('key algorithm');
      if (curve === undefined) throw new MalformedError('curve: not P-256, P-384 or P-521');
      return ec(curve, bits);
    }
    default:
      throw new MalformedError('key algorithm: neither RSA nor EC');
  }
}

function rsa(bytes: Buffer): CertifiedKey {
  const outer = new DerReader(bytes);
  const key = outer.enter(TAG.sequence, 'RSAPublicKey');
  outer.end('RSAPublicKey');
  const n = derUnsigned(key.content(TAG.integer, 'modulus'), MAX_RSA_BITS / 8, 'modulus');
  const e = derUnsigned(key.content(TAG.integer, 'publicExponent'), MAX_EXPONENT_BYTES, 'publicExponent');
  key.end('RSAPublicKey');
  const bits = n.length * 8 - Math.clz32(n[0] ?? 0) + 24;
  if (bits < MIN_RSA_BITS || ((n.at(-1) ?? 0) & 1) === 0) throw new MalformedError('modulus: too small, or even');
  const exponent = e.readUIntBE(0, e.length);
  if (exponent < 3 || exponent % 2 === 0) throw new MalformedError('publicExponent: even, or less than 3');
  // By JWK, which costs a fortieth of SPKI.
  const jwk = { kty: 'RSA', n: toBase64url(n), e: toBase64url(e) };
  try {
    return { type: 'rsa', bits, key: createPublicKey({ key: jwk, format: 'jwk' }) };
  } catch {
    throw new MalformedError('RSAPublicKey: not a key');
  }
}

function ec(curve: CurveName, point: Buffer): CertifiedKey {
  const size = FIELD_BYTES[curve];
  if (point.length !== 1 + 2 * size || point[0] !== 0x04) {
    throw new MalformedError('subjectPublicKey: not an uncompressed point of the curve');
  }
  return { type: 'ec', curve, key: ecKey(curve, point.subarray(1, 1 + size), point.subarray(1 + size)) };
}
