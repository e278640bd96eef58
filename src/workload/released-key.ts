import { compactDecrypt, errors, type CompactJWEHeaderParameters, type JWK } from 'jose';
import { fromBase64url } from '../bytes/base64url.js';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import type { WitnessPolicy } from '../translog/quorum.js';
import { type Receipt, type VerifiedReceipt, verifyReceipt } from '../translog/receipt.js';
import { isObject, membersIn, textIn, type Members } from './ask.js';
import type { Challenge } from './challenge.js';
import { BrokerAnswerError } from './errors.js';
import type { BelievedLog } from './log-trust.js';
import type { Recipient } from './recipient.js';

/** A key in the hands of the workload. Keep it in memory; overwrite `jwk` when done with it. */
export interface ReleasedKey {
  /** The private or symmetric key, with `kid`. */
  readonly key: JWK;
  /** The same, the bytes as decrypted: UTF-8 JSON. */
  readonly jwk: Buffer;
  /** `<key>/<version>`: a name for people. */
  readonly kid: string;
  /** The version that came, also where `latest` was asked for: 32 hex digits. */
  readonly version: string;
  /** Names the release in the broker's records. */
  readonly releaseId: string;
  /** The record of the release, as received: keep it, and anyone with the log key can check it offline. */
  readonly receipt: Receipt;
  /** What the receipt proved; see `verifyReceipt` for what it does not. */
  readonly recorded: RecordedRelease;
  /** The broker's whole answer, as received; holds no plaintext. */
  readonly answer: Members;
}

/** The log entry of a release and its place in the log, verified. */
export interface RecordedRelease {
  /** The name of the log: `<broker id>/<log id>`. */
  readonly origin: string;
  readonly index: number;
  /** Entries in the tree that the receipt is for. */
  readonly size: number;
  /** RFC 3339, by the broker's clock. */
  readonly time: string;
  /** `development` brokers believe simulators: their keys protect nothing. */
  readonly profile: 'development' | 'production';
  /** The policy hash that was measured, lower-case hex. */
  readonly policySha256: string;
  /** Whether the deployment pins a boot chain; without one, a policy hash proves only that somebody extended it. */
  readonly boot: 'pinned' | 'unmeasured';
  /** Whether the log key was pinned by the caller; else it is what the broker said. */
  readonly logKeyPinned: boolean;
  /** The believed witnesses that cosigned, by name. */
  readonly witnesses: readonly string[];
}

/** What an answer is checked against. */
export interface AskedWith {
  readonly challenge: Challenge;
  readonly recipient: Recipient;
  readonly log: BelievedLog;
  readonly witnesses?: WitnessPolicy | undefined;
}

const CONTENT_ENCRYPTION = 'A256GCM';
const CONTENT_TYPE = 'jwk+json';
const VERSION = /^[0-9a-f]{32}$/;
const MAX_NAME = 256;
const MAX_JWE = 1024 * 1024;
const MAX_JWK_DEPTH = 8;

/**
 * Turns the answer to a release into the key: the one place where that happens. The answer must name the key and version
 * asked for; its receipt must be of the believed log, for this wrapped key and for exactly this request; the JWE must open
 * with the recipient's private key under exactly the algorithms asked for; header and plaintext must name the same key.
 * Throws BrokerAnswerError otherwise, with the reason code where the receipt is refused.
 */
export async function openReleaseAnswer(answer: Members, asked: AskedWith): Promise<ReleasedKey> {
  const { challenge, recipient } = asked;
  const releaseId = textIn(answer, 'release_id', MAX_NAME);
  const described = membersIn(answer, 'key');
  const version = textIn(described, 'version', MAX_NAME);
  const kty = textIn(described, 'kty', MAX_NAME);
  if (textIn(described, 'name', MAX_NAME) !== challenge.key) {
    throw new BrokerAnswerError('the broker answered with another key than was asked for');
  }
  if (!VERSION.test(version) || (challenge.version !== 'latest' && version !== challenge.version)) {
    throw new BrokerAnswerError('the broker answered with another version than was asked for');
  }
  const kid = `${challenge.key}/${version}`;

  const jwe = textIn(answer, 'jwe', MAX_JWE);
  const recorded = recordOf(answer, { releaseId, version, jwe }, asked);
  const receipt = answer['receipt'] as Receipt;
  const { plaintext, protectedHeader } = await decrypt(jwe, recipient);
  const jwk = Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength);
  try {
    if (protectedHeader.kid !== kid) throw new BrokerAnswerError('the JWE is for another key or version');
    if (protectedHeader.cty !== CONTENT_TYPE) throw new BrokerAnswerError(`the JWE does not hold ${CONTENT_TYPE}`);
    return { key: keyIn(jwk, kid, kty), jwk, kid, version, releaseId, receipt, recorded, answer };
  } catch (error) {
    jwk.fill(0);
    throw error;
  }
}

/** What the receipt of the answer proves. */
function recordOf(
  answer: Members,
  { releaseId, version, jwe }: { readonly releaseId: string; readonly version: string; readonly jwe: string },
  { challenge, recipient, log, witnesses }: AskedWith,
): RecordedRelease {
  const { broker, deployment, key } = challenge;
  const nonce = fromBase64url(challenge.nonce, 'nonce');
  const verified = verifyReceipt(answer['receipt'], {
    logKey: log.key,
    jwe,
    expected: { releaseId, broker, deployment, key, version, recipient: recipient.thumbprint, nonce },
    ...(witnesses === undefined ? {} : { witnesses }),
  });
  if (verified.ok) return recordedRelease(verified.value, log.pinned);
  const { reason, detail } = verified;
  throw new BrokerAnswerError(`the receipt is refused: ${reason}: ${detail}`, { reason });
}

function recordedRelease({ entry, index, head, cosigned }: VerifiedReceipt, logKeyPinned: boolean): RecordedRelease {
  const { origin, size } = head;
  const { time, profile, policy_sha256: policySha256, boot } = entry;
  const witnesses = cosigned.map(({ name }) => name);
  return { origin, index, size, time, profile, policySha256, boot, logKeyPinned, witnesses };
}

async function decrypt(
  jwe: string,
  recipient: Recipient,
): Promise<{ plaintext: Uint8Array; protectedHeader: CompactJWEHeaderParameters }> {
  try {
    return await compactDecrypt(jwe, recipient.privateKey, {
      keyManagementAlgorithms: [recipient.alg],
      contentEncryptionAlgorithms: [CONTENT_ENCRYPTION],
      maxDecompressedLength: 0,
    });
  } catch (cause) {
    if (!(cause instanceof errors.JOSEError)) throw cause;
    throw new BrokerAnswerError(`the JWE does not open with the recipient key: ${cause.code}`, { cause });
  }
}

/** The JWK in the plaintext: of the kind and name announced, and with its secret part. */
function keyIn(plaintext: Buffer, kid: string, kty: string): JWK {
  let jwk: unknown;
  try {
    jwk = parseJson(plaintext, MAX_JWK_DEPTH);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new BrokerAnswerError('the released key is not JSON');
  }
  if (!isObject(jwk) || jwk['kid'] !== kid || jwk['kty'] !== kty) {
    throw new BrokerAnswerError('the released key is another than the answer names');
  }
  if (typeof jwk[kty === 'oct' ? 'k' : 'd'] !== 'string') {
    throw new BrokerAnswerError('the released key has no secret part');
  }
  return jwk;
}
