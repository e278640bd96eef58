import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { toBase64url } from '../bytes/base64url.js';
import { toHex } from '../bytes/hex.js';

/** Lengths in bytes (RFC 8032). */
export const ED25519_KEY_BYTES = 32;
export const ED25519_SIGNATURE_BYTES = 64;

/** DER of a PKCS#8 private key up to its 32-byte seed (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
/**
 * The points of order 1, 2, 4 and 8, computed from the equation of the curve: their encodings without the sign bit, those
 * that are not reduced modulo 2^255 - 19 as well.
 */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
]);

/** The private key of a 32-byte seed. The caller zeroises the seed. */
export function ed25519PrivateKey(seed: Uint8Array): KeyObject {
  if (seed.length !== ED25519_KEY_BYTES) throw new RangeError('an Ed25519 seed is 32 bytes');
  const der = Buffer.concat([PKCS8_PREFIX, seed]);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}

/** Whether 32 bytes are a point of small order: such a key has signatures that anybody can make. */
export function isSmallOrder(bytes: Uint8Array): boolean {
  const y = Buffer.from(bytes);
  y.writeUInt8(y.readUInt8(ED25519_KEY_BYTES - 1) & 0x7f, ED25519_KEY_BYTES - 1);
  return SMALL_ORDER.has(toHex(y));
}

/** The public key of 32 bytes. Whether they are a point of the curve shows when a signature is verified. */
export function ed25519PublicKey(bytes: Uint8Array): KeyObject {
  if (bytes.length !== ED25519_KEY_BYTES) throw new RangeError('an Ed25519 public key is 32 bytes');
  // A JWK is read ten times as fast as the same key in DER.
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: toBase64url(bytes) }, format: 'jwk' });
}

/** The 32 bytes of the public key that belongs to a private key. */
export function ed25519PublicBytes(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-ED25519_KEY_BYTES);
}

/** The signature of a message, 64 bytes. */
export function ed25519Sign(privateKey: KeyObject, message: Uint8Array): Buffer {
  return sign(null, message, privateKey);
}

/** Whether the signature is one of this key over this message; false too for a key that is no point of the curve. */
export function ed25519Verify(publicKey: KeyObject, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== ED25519_SIGNATURE_BYTES) return false;
  try {
    return verify(null, message, publicKey, signature);
  } catch {
    return false;
  }
}
