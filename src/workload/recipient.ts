import { createECDH, generateKeyPair, webcrypto } from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint } from 'jose';
import { toBase64url } from '../bytes/base64url.js';

/** The kinds of recipient key that brokers accept. RSA is 3072 bits. */
export type RecipientKind = 'P-256' | 'P-384' | 'X25519' | 'RSA';

/** An ephemeral key pair that one released key is encrypted to. The private half cannot be exported. */
export interface Recipient {
  /** The public JWK as it stands in the request: exactly kty, alg and crv, x (y) or n, e. */
  readonly jwk: Readonly<Record<string, string>>;
  /** RFC 7638 SHA-256 thumbprint of `jwk`, base64url. */
  readonly thumbprint: string;
  readonly alg: 'ECDH-ES+A256KW' | 'RSA-OAEP-256';
  readonly privateKey: webcrypto.CryptoKey;
}

const { subtle } = webcrypto;
const generate = promisify(generateKeyPair);
const ECDH_ALG = 'ECDH-ES+A256KW';
const RSA_ALG = 'RSA-OAEP-256';
const RSA_BITS = 3072;
/** Where the modulus lies in the DER of an RSAPublicKey (PKCS#1) of RSA_BITS with exponent 65537. */
const RSA_HEAD_BYTES = 9;
const RSA_TAIL_BYTES = 5;

/**
 * A fresh key pair. Node 20 can dead-lock when a generated KeyObject is exported as JWK, so that no key is: EC keys come
 * from createECDH, the others leave the generator as DER.
 */
export async function createRecipient(kind: RecipientKind): Promise<Recipient> {
  switch (kind) {
    case 'P-256':
      return ecRecipient('P-256', 'prime256v1', 32);
    case 'P-384':
      return ecRecipient('P-384', 'secp384r1', 48);
    case 'X25519':
      return x25519Recipient();
    case 'RSA':
      return rsaRecipient();
  }
}

async function ecRecipient(crv: string, curve: string, fieldBytes: number): Promise<Recipient> {
  const ecdh = createECDH(curve);
  const point = ecdh.generateKeys();
  const secret = ecdh.getPrivateKey();
  // Node leaves leading zeros out of the private key; a JWK wants the full length.
  const d = Buffer.concat([Buffer.alloc(fieldBytes - secret.length), secret]);
  const x = toBase64url(point.subarray(1, 1 + fieldBytes));
  const y = toBase64url(point.subarray(1 + fieldBytes));
  const algorithm = { name: 'ECDH', namedCurve: crv };
  const privateJwk = { kty: 'EC', crv, x, y, d: toBase64url(d) };
  const privateKey = await subtle.importKey('jwk', privateJwk, algorithm, false, ['deriveBits']);
  secret.fill(0);
  d.fill(0);
  return recipient({ kty: 'EC', crv, x, y, alg: ECDH_ALG }, ECDH_ALG, privateKey);
}

async function x25519Recipient(): Promise<Recipient> {
  const { publicKey, privateKey: pkcs8 } = await generate('x25519', {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  });
  const privateKey = await subtle.importKey('pkcs8', pkcs8, { name: 'X25519' }, false, ['deriveBits']);
  pkcs8.fill(0);
  const x = toBase64url(publicKey.subarray(-32));
  return recipient({ kty: 'OKP', crv: 'X25519', x, alg: ECDH_ALG }, ECDH_ALG, privateKey);
}

async function rsaRecipient(): Promise<Recipient> {
  const { publicKey, privateKey: pkcs8 } = await generate('rsa', {
    modulusLength: RSA_BITS,
    publicKeyEncoding: { type: 'pkcs1', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  });
  const algorithm = { name: 'RSA-OAEP', hash: 'SHA-256' };
  const privateKey = await subtle.importKey('pkcs8', pkcs8, algorithm, false, ['decrypt']);
  pkcs8.fill(0);
  const n = toBase64url(publicKey.subarray(RSA_HEAD_BYTES, publicKey.length - RSA_TAIL_BYTES));
  return recipient({ kty: 'RSA', n, e: 'AQAB', alg: RSA_ALG }, RSA_ALG, privateKey);
}

async function recipient(
  jwk: Readonly<Record<string, string>>,
  alg: Recipient['alg'],
  privateKey: webcrypto.CryptoKey,
): Promise<Recipient> {
  return { jwk, alg, privateKey, thumbprint: await calculateJwkThumbprint(jwk, 'sha256') };
}
