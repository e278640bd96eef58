import { canonicalJson } from '../bytes/canonical-json.js';
import { toBase64url } from '../bytes/base64url.js';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { accept, reject, type Result } from '../reason/reason.js';
import { parsePkcs8 } from './pkcs8.js';
import { checkPrivateJwk, MAX_SECRET_BYTES } from './private-jwk.js';

export type KeyType = 'oct' | 'RSA' | 'EC' | 'OKP';

/** A secret or private key, checked. */
export interface KeyMaterial {
  readonly kty: KeyType;
  /** Bits: of the modulus for RSA, of the secret for oct. */
  readonly sizeBits?: number;
  /** JWK `crv` for EC and OKP. */
  readonly curve?: string;
  /** The private JWK without `kid`, canonical JSON (RFC 8785), so it begins with `{"`. Secret: whoever holds it zeroises it. */
  readonly jwk: Buffer;
}

/** The format that key material comes in; `raw` becomes a key of type oct. */
export type KeyFormat = 'jwk' | 'pkcs8' | 'raw';

/** The longest secret in base64url, with room for the other members. */
const MAX_JWK_BYTES = Math.ceil((MAX_SECRET_BYTES * 4) / 3) + 4096;
const MAX_JWK_DEPTH = 2;

/**
 * Takes in key material from outside: a private JWK, PKCS#8 (DER, or one PEM block), or 1 to 65,536 raw bytes. Keys whose
 * public part does not follow from their private part are refused, and so are public keys. Of the JWK, alg, use and
 * key_ops are kept; kid and ext are dropped. Refusal: request.malformed, whose detail holds no byte of the key. `data`
 * stays the caller's to zeroise; the strings that a JSON parser makes of it cannot be.
 */
export function importKey(format: KeyFormat, data: Buffer): Result<KeyMaterial> {
  try {
    const { members, ...description } = checkPrivateJwk(privateJwkOf(format, data));
    return accept({ ...description, jwk: canonicalJson(members) });
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
}

function privateJwkOf(format: KeyFormat, data: Buffer): unknown {
  switch (format) {
    case 'jwk':
      if (data.length > MAX_JWK_BYTES) throw new MalformedError(`jwk: longer than ${String(MAX_JWK_BYTES)} bytes`);
      return parseJson(data, MAX_JWK_DEPTH);
    case 'pkcs8':
      return parsePkcs8(data);
    case 'raw':
      if (data.length === 0) throw new MalformedError('raw: empty');
      if (data.length > MAX_SECRET_BYTES)
        throw new MalformedError(`raw: longer than ${String(MAX_SECRET_BYTES)} bytes`);
      return { kty: 'oct', k: toBase64url(data) };
  }
}
