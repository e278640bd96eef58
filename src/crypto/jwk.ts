import { toBase64url } from '../bytes/base64url.js';
import { canonicalJson } from '../bytes/canonical-json.js';
import { sha256 } from './digest.js';

/** The members of a public EC key that are needed to use it; coordinates are base64url, of full field length. */
export interface EcPublicJwk {
  readonly kty: 'EC';
  readonly crv: string;
  readonly x: string;
  readonly y: string;
}

/** A public X25519 or Ed25519 key; `x` is base64url of 32 bytes. */
export interface OkpPublicJwk {
  readonly kty: 'OKP';
  readonly crv: string;
  readonly x: string;
}

/** A public RSA key; both members are base64url of big-endian integers without leading zeros. */
export interface RsaPublicJwk {
  readonly kty: 'RSA';
  readonly n: string;
  readonly e: string;
}

export type PublicJwk = EcPublicJwk | OkpPublicJwk | RsaPublicJwk;

/**
 * The RFC 7638 thumbprint with SHA-256, base64url: over the required members alone, in lexical order, so that `alg`,
 * `kid` and the like do not change it. The members are taken as they are: nothing is verified.
 */
export function jwkThumbprint(jwk: PublicJwk): string {
  return toBase64url(sha256(canonicalJson(requiredMembers(jwk))));
}

function requiredMembers(jwk: PublicJwk): Readonly<Record<string, string>> {
  switch (jwk.kty) {
    case 'EC':
      return { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y };
    case 'OKP':
      return { kty: jwk.kty, crv: jwk.crv, x: jwk.x };
    case 'RSA':
      return { kty: jwk.kty, n: jwk.n, e: jwk.e };
  }
}
