/**
 * Self-authenticating nonces. This room may assume a secret key that only brokers of one store have; it keeps no state:
 * that a nonce is spent once is the store's part, that it is ours, for this request and fresh is decided here.
 */
import { MalformedError } from '../bytes/malformed-error.js';
import { fromBase64url, toBase64url } from '../bytes/base64url.js';
import { equalBytes } from '../bytes/equal.js';
import { macOfFields } from '../crypto/derive.js';
import { accept, reject, type Result } from '../reason/reason.js';

/** What a nonce is issued for. `version` is as asked: a version id, or `latest`. */
export interface NonceScope {
  readonly broker: string;
  readonly deployment: string;
  readonly key: string;
  readonly version: string;
}

/** The key and epoch that nonces are made under. */
export interface NonceKey {
  /** 32 bytes, derived from the root secret for this epoch. */
  readonly key: Buffer;
  readonly epoch: number;
}

/** A nonce that is ours, for this scope and fresh. Whether it was spent is not known here. */
export interface FreshNonce {
  /** The 32 decoded bytes: what spent nonces are keyed by. */
  readonly bytes: Buffer;
  readonly issuedAtMs: number;
}

export const NONCE_BYTES = 32;
/** Random bytes that `mintNonce` wants. */
export const NONCE_RANDOM_BYTES = 10;
/** How far ahead of our clock a nonce may have been issued: replicas' clocks differ. */
export const MAX_AHEAD_MS = 5_000;

const TIME_BYTES = 6;
const MAC_BYTES = 16;
const PURPOSE = 'portcullis/challenge/v1';

/**
 * A new nonce, base64url: 6 bytes issue time in ms since the Unix epoch (big-endian), 10 random bytes, 16 bytes of
 * HMAC-SHA-256 over the length-prefixed purpose, epoch, broker, deployment, key, version, time and random bytes.
 */
export function mintNonce(nonceKey: NonceKey, scope: NonceScope, nowMs: number, random: Buffer): string {
  if (random.length !== NONCE_RANDOM_BYTES) throw new RangeError('a nonce takes 10 random bytes');
  const head = Buffer.alloc(TIME_BYTES + NONCE_RANDOM_BYTES);
  head.writeUIntBE(nowMs, 0, TIME_BYTES);
  random.copy(head, TIME_BYTES);
  return toBase64url(Buffer.concat([head, authenticator(nonceKey, scope, head)]));
}

/**
 * Checks a nonce as received: its spelling (canonical base64url of 32 bytes), that it was issued under this key for this
 * scope (challenge.invalid), and that it is neither older than `ttlMs`, nor more than 5 s ahead of `nowMs`, nor at or
 * below the floor (challenge.expired). Not checked: whether it was spent.
 */
export function checkNonce(
  nonceKey: NonceKey,
  scope: NonceScope,
  nonce: string,
  clock: { readonly nowMs: number; readonly ttlMs: number; readonly floorMs: number },
): Result<FreshNonce> {
  const invalid = reject(
    'challenge.invalid',
    'the nonce was not issued by this broker for this deployment, key and version; ask for a new challenge',
  );
  let bytes: Buffer;
  try {
    bytes = fromBase64url(nonce, 'nonce');
  } catch (error) {
    if (error instanceof MalformedError) return invalid;
    throw error;
  }
  if (bytes.length !== NONCE_BYTES) return invalid;
  const head = bytes.subarray(0, NONCE_BYTES - MAC_BYTES);
  if (!equalBytes(bytes.subarray(NONCE_BYTES - MAC_BYTES), authenticator(nonceKey, scope, head))) return invalid;

  const issuedAtMs = head.readUIntBE(0, TIME_BYTES);
  if (issuedAtMs > clock.nowMs + MAX_AHEAD_MS) {
    return reject('challenge.expired', 'the nonce is from the future: check the clocks of the brokers');
  }
  if (issuedAtMs + clock.ttlMs <= clock.nowMs || issuedAtMs <= clock.floorMs) {
    return reject('challenge.expired', 'the nonce is too old; ask for a new challenge');
  }
  return accept({ bytes, issuedAtMs });
}

function authenticator(nonceKey: NonceKey, scope: NonceScope, head: Buffer): Buffer {
  return macOfFields(nonceKey.key, [
    PURPOSE,
    String(nonceKey.epoch),
    scope.broker,
    scope.deployment,
    scope.key,
    scope.version,
    head.subarray(0, TIME_BYTES),
    head.subarray(TIME_BYTES),
  ]).subarray(0, MAC_BYTES);
}
