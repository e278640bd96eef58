import { compactDecrypt, errors, type CompactJWEHeaderParameters, type JWK } from 'jose';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { isObject, membersIn, textIn, type Members } from './ask.js';
import type { Challenge } from './challenge.js';
import { BrokerAnswerError } from './errors.js';
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
  /** The broker's whole answer, as received; holds no plaintext. */
  readonly answer: Members;
}

const CONTENT_ENCRYPTION = 'A256GCM';
const CONTENT_TYPE = 'jwk+json';
const VERSION = /^[0-9a-f]{32}$/;
const MAX_NAME = 256;
const MAX_JWE = 1024 * 1024;
const MAX_JWK_DEPTH = 8;

/**
 * Turns the answer to a release into the key: the one place where that happens. The answer must name the key and version
 * asked for, the JWE must open with the recipient's private key under exactly the algorithms asked for, and header and
 * plaintext must name the same key. Throws BrokerAnswerError otherwise.
 *
 * Not verified: that the broker recorded the release. Whoever holds the recipient's public key can make such an answer,
 * so today TLS alone says that it is the broker's; a receipt, once brokers send one, is to be verified here first.
 */
export async function openReleaseAnswer(
  answer: Members,
  challenge: Challenge,
  recipient: Recipient,
): Promise<ReleasedKey> {
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

  const { plaintext, protectedHeader } = await decrypt(textIn(answer, 'jwe', MAX_JWE), recipient);
  const jwk = Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength);
  try {
    if (protectedHeader.kid !== kid) throw new BrokerAnswerError('the JWE is for another key or version');
    if (protectedHeader.cty !== CONTENT_TYPE) throw new BrokerAnswerError(`the JWE does not hold ${CONTENT_TYPE}`);
    return { key: keyIn(jwk, kid, kty), jwk, kid, version, releaseId, answer };
  } catch (error) {
    jwk.fill(0);
    throw error;
  }
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
