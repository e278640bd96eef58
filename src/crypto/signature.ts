import { constants, createPublicKey, verify, type KeyObject } from 'node:crypto';
import { toBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import type { HashName } from './digest.js';

/** The curves whose ECDSA signatures are verified, by their JWK names. */
export type CurveName = 'P-256' | 'P-384' | 'P-521';

/** Field lengths in bytes. */
export const FIELD_BYTES: Readonly<Record<CurveName, number>> = { 'P-256': 32, 'P-384': 48, 'P-521': 66 };

/** SubjectPublicKeyInfo up to the point: SEQUENCE { SEQUENCE { id-ecPublicKey, curve }, BIT STRING { 04 x y } }, RFC 5480. */
const EC_SPKI_PREFIX: Readonly<Record<CurveName, Buffer>> = {
  'P-256': Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex'),
  'P-384': Buffer.from('3076301006072a8648ce3d020106052b8104002203620004', 'hex'),
  'P-521': Buffer.from('30819b301006072a8648ce3d020106052b810400230381860004', 'hex'),
};
/** SEQUENCE { rsaEncryption, NULL }, RFC 3279. */
const RSA_ALGORITHM = Buffer.from('300d06092a864886f70d0101010500', 'hex');
/** INTEGER 65537. */
const RSA_E = Buffer.from('0203010001', 'hex');

/**
 * SubjectPublicKeyInfo (DER) of an RSA key with e = 65537. `n` is big-endian, its top bit set, 256 to 8000 bytes:
 * every length below then takes the form 82 xx xx.
 */
export function rsaSpki(n: Buffer): Buffer {
  if (n.length < 256 || n.length > 8000 || ((n[0] ?? 0) & 0x80) === 0)
    throw new RangeError('not an RSA modulus of 2048 bits or more');
  const modulus = tlv(0x02, Buffer.of(0), n);
  return tlv(0x30, RSA_ALGORITHM, tlv(0x03, Buffer.of(0), tlv(0x30, modulus, RSA_E)));
}

/** SubjectPublicKeyInfo (DER) of an EC key; x and y big-endian, of full field length. */
export function ecSpki(curve: CurveName, x: Buffer, y: Buffer): Buffer {
  if (x.length !== FIELD_BYTES[curve] || y.length !== FIELD_BYTES[curve])
    throw new RangeError('coordinates not of field length');
  return Buffer.concat([EC_SPKI_PREFIX[curve], x, y]);
}

function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.of(tag, 0x82, length >> 8, length & 0xff), ...parts]);
}

/** The RSA key with modulus `n` (big-endian, no leading zeros) and e = 65537. By JWK, which costs a fortieth of SPKI. */
export function rsaKey(n: Buffer): KeyObject {
  return importJwk({ kty: 'RSA', n: toBase64url(n), e: 'AQAB' });
}

/** The EC key with this point; x and y big-endian, of full field length. Throws MalformedError for a point off the curve. */
export function ecKey(curve: CurveName, x: Buffer, y: Buffer): KeyObject {
  // By JWK OpenSSL multiplies the point by the order of the group, which is cheap for P-256 alone.
  return curve === 'P-256'
    ? importJwk({ kty: 'EC', crv: curve, x: toBase64url(x), y: toBase64url(y) })
    : importSpki(ecSpki(curve, x, y));
}

function importSpki(key: Buffer): KeyObject {
  try {
    return createPublicKey({ key, format: 'der', type: 'spki' });
  } catch {
    throw new MalformedError(NO_KEY);
  }
}

function importJwk(key: Record<string, string>): KeyObject {
  try {
    return createPublicKey({ key, format: 'jwk' });
  } catch {
    throw new MalformedError(NO_KEY);
  }
}

const NO_KEY = 'not a public key, or its point is not on the curve';

/** RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2) over the bytes of `data`. */
export function verifyRsassa(hash: HashName, key: KeyObject, data: Buffer, signature: Buffer): boolean {
  return verify(hash, data, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
}

/** RSASSA-PSS (RFC 8017 section 8.1), MGF1 with the same hash, the salt length as found: TPMs use the longest or that of the digest. */
export function verifyRsapss(hash: HashName, key: KeyObject, data: Buffer, signature: Buffer): boolean {
  const saltLength = constants.RSA_PSS_SALTLEN_AUTO;
  return verify(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature);
}

/**
 * ECDSA over the bytes of `data`; r and s are big-endian numbers as TPMs write them: they may be shorter than the field
 * (leading zeros cut), longer or zero is not valid.
 */
export function verifyEcdsa(
  hash: HashName,
  curve: CurveName,
  key: KeyObject,
  data: Buffer,
  signature: { readonly r: Buffer; readonly s: Buffer },
): boolean {
  const r = toField(signature.r, FIELD_BYTES[curve]);
  const s = toField(signature.s, FIELD_BYTES[curve]);
  if (r === undefined || s === undefined) return false;
  return verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, Buffer.concat([r, s]));
}

function toField(number: Buffer, fieldBytes: number): Buffer | undefined {
  if (number.length > fieldBytes || number.every((byte) => byte === 0)) return undefined;
  return leftPad(number, fieldBytes);
}

/** The big-endian number in exactly `length` bytes; it must not be longer. */
export function leftPad(number: Buffer, length: number): Buffer {
  return number.length === length ? number : Buffer.concat([Buffer.alloc(length - number.length), number]);
}
