import type { KeyObject } from 'node:crypto';
import { compactVerify, errors } from 'jose';
import { accept, reject, type Result } from '../../reason/reason.js';
import { type Authority, type AuthorityKeys, TOKEN_ALGORITHMS, type TokenAlgorithm } from './authority-keys.js';
import type { ParsedToken } from './token.js';

/** A token whose issuer is configured and has signed it. */
export interface SignedToken extends ParsedToken {
  readonly authority: Authority;
}

/** How far the clock of an authority may be ahead of ours. */
const MAX_SKEW_MS = 5_000;
/** Keys with one id that are tried. */
const MAX_CANDIDATES = 4;
const MIN_RSA_BITS = 2048;

/**
 * Verifies who signed a token, and when it is valid: configured issuer, algorithm of the configuration, a key of the issuer's key
 * set, signature over the bytes received, `exp` (demanded) and `nbf` by the given clock. token.untrusted: any of the first
 * four. collateral.unavailable: the issuer's keys cannot be had now. token.invalid: expired, not yet valid, without expiry.
 * NOT verified: what the token says, and that it is about this request.
 */
export async function verifySigned(
  token: ParsedToken,
  authorities: AuthorityKeys,
  atMs: number,
): Promise<Result<SignedToken>> {
  const authority = authorities.authorityOf(token.issuer);
  if (authority === undefined)
    return reject('token.untrusted', 'the issuer of the token is not a configured authority');
  const alg = TOKEN_ALGORITHMS.find((name) => name === token.alg);
  if (alg === undefined || !authority.algorithms.includes(alg)) {
    return reject('token.untrusted', 'the token is signed with an algorithm that its authority may not use');
  }
  if (token.critical)
    return reject('token.untrusted', 'the token has critical header parameters, and none is understood');
  const keys = await authorities.keys(authority, token.kid);
  if (!keys.ok) return keys;
  const fitting = keys.value.filter((key) => isFor(alg, key)).slice(0, MAX_CANDIDATES);
  if (fitting.length === 0) return reject('token.untrusted', 'the authority has no key of this id for this algorithm');
  for (const key of fitting) {
    if (await isSignedBy(token.text, key, alg)) return checkDates(token, authority, atMs);
  }
  return reject('token.untrusted', 'the token is not signed by its authority');
}

/** RSA of 2048 bits or more for RS and PS; the one curve of each ES. */
function isFor(alg: TokenAlgorithm, key: KeyObject): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  switch (alg) {
    case 'RS256':
    case 'PS256':
    case 'PS384':
      return type === 'rsa' && (details?.modulusLength ?? 0) >= MIN_RSA_BITS;
    case 'ES256':
      return type === 'ec' && details?.namedCurve === 'prime256v1';
    case 'ES384':
      return type === 'ec' && details?.namedCurve === 'secp384r1';
  }
}

async function isSignedBy(text: string, key: KeyObject, alg: TokenAlgorithm): Promise<boolean> {
  try {
    await compactVerify(text, key, { algorithms: [alg] });
    return true;
  } catch (error) {
    // TypeError is how jose refuses a key that is not for the algorithm.
    if (error instanceof errors.JOSEError || error instanceof TypeError) return false;
    throw error;
  }
}

function checkDates(token: ParsedToken, authority: Authority, atMs: number): Result<SignedToken> {
  const { exp, nbf, iat } = token.claims;
  if (typeof exp !== 'number' || !Number.isFinite(exp))
    return reject('token.invalid', 'the token does not say when it expires');
  if (exp * 1000 <= atMs) return reject('token.invalid', 'the token is expired');
  for (const from of [nbf, iat]) {
    if (from === undefined) continue;
    if (typeof from !== 'number' || from * 1000 > atMs + MAX_SKEW_MS) {
      return reject('token.invalid', 'the token is not yet valid');
    }
  }
  return accept({ ...token, authority });
}
