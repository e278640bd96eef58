import { constants, createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { DIGEST_BYTES, type HashName } from '../src/crypto/digest.js';
import { type CurveName, FIELD_BYTES, leftPad } from '../src/crypto/signature.js';
import { signatureScheme } from '../src/crypto/x509-signature.js';
import type { SignedStructure } from '../src/crypto/x509.js';

/** Bytes that a key signed, as node:crypto takes them. */
export interface SignedPiece {
  readonly hash: HashName;
  readonly data: Buffer;
  readonly signature: Buffer;
  readonly options: {
    readonly dsaEncoding?: 'ieee-p1363' | 'der';
    readonly padding?: number;
    readonly saltLength?: number;
  };
}

/** A key and what is verified by it. */
export interface KeyUse {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  /** Whether it was imported beforehand: the key of a root always is, all of a known chain are. */
  readonly isKnown: boolean;
  readonly signed: readonly SignedPiece[];
}

/** What cannot be spared in verifying something. */
export interface BareChecks {
  readonly keys: readonly KeyUse[];
  /** What is hashed beside that, with SHA-384: documents of which the signature covers the digest alone. */
  readonly digested: readonly Buffer[];
}

/** All checks together: each key is imported once, and each signature verified once. */
export function together(...parts: readonly BareChecks[]): BareChecks {
  const keys = new Map<string, KeyUse & { readonly signed: SignedPiece[] }>();
  for (const { spki, isKnown, signed } of parts.flatMap((part) => part.keys)) {
    const name = spki.toString('latin1');
    const use = keys.get(name) ?? { spki, isKnown, signed: [] };
    keys.set(name, use);
    const isThere = (piece: SignedPiece) => use.signed.some(({ signature }) => signature.equals(piece.signature));
    use.signed.push(...signed.filter((piece) => !isThere(piece)));
  }
  return { keys: [...keys.values()], digested: parts.flatMap((part) => part.digested) };
}

export function checksOf(...keys: readonly KeyUse[]): BareChecks {
  return together({ keys, digested: [] });
}

/** How many signatures are verified. */
export function signaturesIn({ keys }: BareChecks): number {
  return keys.reduce((sum, { signed }) => sum + signed.length, 0);
}

/** The checks, with everything but themselves done beforehand. What is returned throws where a signature is not good. */
export function bareRun({ keys, digested }: BareChecks): () => void {
  const prepared = keys.map(({ spki, isKnown, signed }) => ({ importKey: keyImport(spki, isKnown), signed }));
  return () => {
    for (const { importKey, signed } of prepared) {
      const key = importKey();
      for (const { hash, data, signature, options } of signed) {
        if (!verify(hash, data, { key, ...options }, signature)) throw new Error('a signature is not good');
      }
    }
    for (const bytes of digested) createHash('sha384').update(bytes).digest();
  };
}

/** The cheapest way for each kind of key, from input that is ready: JWK for RSA and P-256, SPKI for P-384. */
function keyImport(spki: Buffer, isKnown: boolean): () => KeyObject {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  if (isKnown) return () => key;
  if (key.asymmetricKeyDetails?.namedCurve === 'secp384r1') {
    return () => createPublicKey({ key: spki, format: 'der', type: 'spki' });
  }
  const jwk = key.export({ format: 'jwk' });
  return () => createPublicKey({ key: jwk, format: 'jwk' });
}

/** The signature of a certificate or CRL. */
export function signedStructure({ tbs, signature, signatureAlgorithm }: SignedStructure): SignedPiece {
  const algorithm = signatureScheme(signatureAlgorithm);
  if (algorithm === undefined) throw new TypeError('a certificate of an algorithm that is not accepted');
  const { scheme, hash } = algorithm;
  switch (scheme) {
    case 'ecdsa':
      return { hash, data: tbs, signature, options: { dsaEncoding: 'der' } };
    case 'rsassa':
      return { hash, data: tbs, signature, options: { padding: constants.RSA_PKCS1_PADDING } };
    case 'rsapss': {
      const options = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: DIGEST_BYTES[hash] };
      return { hash, data: tbs, signature, options };
    }
  }
}

/** An ECDSA signature of two numbers, big-endian, which may be shorter or, by leading zeros, longer than the field. */
export function ecdsaPiece(
  hash: HashName,
  curve: CurveName,
  data: Buffer,
  { r, s }: { readonly r: Buffer; readonly s: Buffer },
): SignedPiece {
  const size = FIELD_BYTES[curve];
  const [first, second] = [r, s].map((number) => leftPad(number.subarray(Math.max(0, number.length - size)), size));
  const signature = Buffer.concat([first ?? Buffer.alloc(0), second ?? Buffer.alloc(0)]);
  return { hash, data, signature, options: { dsaEncoding: 'ieee-p1363' } };
}
