import { createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';

/** Keys of one set. */
export const MAX_KEYS = 128;
const MAX_DEPTH = 8;
const MAX_KID_LENGTH = 512;

/** The public keys of an authority. */
export interface KeySet {
  /** Under this id, in the order of the set; all of them for undefined. */
  find(kid: string | undefined): readonly KeyObject[];
}

/**
 * Parses a JWK set (RFC 7517 section 5). A key is taken from its parameters, or, where it has none (as Microsoft Azure Attestation
 * writes its keys), from the first certificate of `x5c`, whose own signature and dates nobody looks at: what makes the
 * key believed is where the set came from. Keys for encryption, and of kinds that sign no tokens here, are left out. Throws
 * MalformedError for what is no set, or one of more than 128 keys.
 */
export function parseKeySet(bytes: Buffer): KeySet {
  const keys = (parseJson(bytes, MAX_DEPTH) as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) throw new MalformedError('key set: no list of keys');
  if (keys.length > MAX_KEYS) throw new MalformedError(`key set: more than ${String(MAX_KEYS)} keys`);
  const all: { readonly kid: string | undefined; readonly key: KeyObject }[] = [];
  for (const entry of keys as readonly unknown[]) {
    if (typeof entry !== 'object' || entry === null) throw new MalformedError('key set: a key is not an object');
    const jwk = entry as Readonly<Record<string, unknown>>;
    const kid = jwk['kid'];
    const key = publicKeyOf(jwk);
    if (key === undefined || (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_LENGTH))) continue;
    all.push({ kid, key });
  }
  return { find: (kid) => all.filter((one) => kid === undefined || one.kid === kid).map(({ key }) => key) };
}

function publicKeyOf(jwk: Readonly<Record<string, unknown>>): KeyObject | undefined {
  const { kty, use, n, e, crv, x, y, x5c } = jwk;
  if (use !== undefined && use !== 'sig') return undefined;
  try {
    if (kty === 'RSA' && typeof n === 'string' && typeof e === 'string') {
      return createPublicKey({ key: { kty, n, e }, format: 'jwk' });
    }
    if (kty === 'EC' && typeof crv === 'string' && typeof x === 'string' && typeof y === 'string') {
      return createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' });
    }
    const leaf: unknown = Array.isArray(x5c) ? x5c[0] : undefined;
    if ((kty !== 'RSA' && kty !== 'EC') || typeof leaf !== 'string') return undefined;
    const { publicKey } = new X509Certificate(Buffer.from(leaf, 'base64'));
    return publicKey.asymmetricKeyType === kty.toLowerCase() ? publicKey : undefined;
  } catch {
    // A key that OpenSSL does not take signs nothing; the others of the set still do.
    return undefined;
  }
}
