import { fromBase64url } from '../../bytes/base64url.js';
import { equalBytes } from '../../bytes/equal.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { asObject, type JsonObject } from './token.js';

const HEX = /^[0-9A-Fa-f]{64}$/;
const BASE64URL = /^[0-9A-Za-z_-]{43}$/;

/**
 * Demands that a token answers the nonce: `eat_nonce`, or `x-ms-runtime.client-payload.nonce`, is the nonce in base64url without
 * padding, or in hex of either case, as NVIDIA's service echoes what it was asked with. Where both claims are there both must.
 * evidence.unbound: another nonce, several, or none.
 */
export function checkNonce(claims: JsonObject, nonce: Buffer): Result<undefined> {
  const clientPayload = asObject(asObject(claims['x-ms-runtime'])?.['client-payload']);
  const found = [claims['eat_nonce'], clientPayload?.['nonce']].filter((value) => value !== undefined);
  if (found.length === 0) return reject('evidence.unbound', 'the token has no nonce claim');
  if (!found.every((value) => isNonce(value, nonce))) {
    return reject('evidence.unbound', 'the token answers another nonce');
  }
  return accept(undefined);
}

function isNonce(value: unknown, nonce: Buffer): boolean {
  const found = nonceIn(value);
  return found !== undefined && equalBytes(found, nonce);
}

/** Whether two claims are of the same nonce, in whatever spelling; of a nonce that is no such, only the same value is. */
export function isSameNonce(a: unknown, b: unknown): boolean {
  const [one, other] = [nonceIn(a), nonceIn(b)];
  return one === undefined || other === undefined ? a === b : equalBytes(one, other);
}

/** The 32 bytes of a claim; undefined: it is none of the spellings. Of 64 characters it is hex, of 43 base64url. */
function nonceIn(value: unknown): Buffer | undefined {
  if (typeof value !== 'string') return undefined;
  if (HEX.test(value)) return Buffer.from(value, 'hex');
  if (!BASE64URL.test(value)) return undefined;
  try {
    return fromBase64url(value, 'nonce');
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}
