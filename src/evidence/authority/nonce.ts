import { toBase64url } from '../../bytes/base64url.js';
import { toHex } from '../../bytes/hex.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { asObject, type JsonObject } from './token.js';

/**
 * Demands that a token answers the nonce: `eat_nonce`, or `x-ms-runtime.client-payload.nonce`, is the nonce in base64url without
 * padding, or in lower-case hex, as NVIDIA's service writes it. Where both claims are there both must. evidence.unbound: another
 * nonce, several, or none.
 */
export function checkNonce(claims: JsonObject, nonce: Buffer): Result<undefined> {
  const clientPayload = asObject(asObject(claims['x-ms-runtime'])?.['client-payload']);
  const found = [claims['eat_nonce'], clientPayload?.['nonce']].filter((value) => value !== undefined);
  if (found.length === 0) return reject('evidence.unbound', 'the token has no nonce claim');
  const spellings: readonly unknown[] = [toBase64url(nonce), toHex(nonce)];
  if (!found.every((value) => spellings.includes(value))) {
    return reject('evidence.unbound', 'the token answers another nonce');
  }
  return accept(undefined);
}
