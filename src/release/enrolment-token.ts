import { fromBase64url, toBase64url } from '../bytes/base64url.js';
import { equalBytes } from '../bytes/equal.js';
import { fromHex, toHex } from '../bytes/hex.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { Reader } from '../bytes/reader.js';
import { Writer } from '../bytes/writer.js';
import { macOfFields } from '../crypto/derive.js';
import { accept, reject, type Result } from '../reason/reason.js';

/** What an enrolment is about: all that its activation needs, so that nothing is stored in between. */
export interface Enrolment {
  /** Ms since the Unix epoch. */
  readonly issuedAtMs: number;
  /** Of the broker's state: that of the key it is authenticated under. */
  readonly epoch: number;
  readonly deployment: string;
  /** SHA-256 of the EK's SubjectPublicKeyInfo, hex. */
  readonly ekSpkiSha256: string;
  /** TPMT_PUBLIC. */
  readonly akPublic: Buffer;
  /** DER, the EK's own first. */
  readonly ekCertificates: readonly Buffer[];
  /** 16 bytes: no two enrolments are the same. */
  readonly random: Buffer;
}

/** An enrolment whose authenticator is good: this broker has made it. */
export interface OpenedEnrolment {
  readonly enrolment: Enrolment;
  /** 32 bytes, secret: what only the TPM of the EK gives out. The caller's to zeroise. */
  readonly credential: Buffer;
}

/** Under which broker, and by which keys (32 bytes, by epoch), enrolments are made. */
export interface EnrolmentIssuer {
  readonly broker: string;
  readonly enrolmentKey: (epoch: number) => Buffer;
}

export const ENROLMENT_RANDOM_BYTES = 16;
export const MAX_EK_CERTIFICATES = 8;
export const MAX_EK_CERTIFICATE_BYTES = 8192;
/** Of all certificates of an enrolment together. */
export const MAX_EK_CHAIN_BYTES = 24 * 1024;
export const MAX_AK_PUBLIC_BYTES = 2048;

const VERSION = 1;
const MAX_DEPLOYMENT_BYTES = 63;
const HASH_BYTES = 32;
const MAC_BYTES = 32;
/** Version, both numbers, deployment, EK, AK, the certificates with their sizes, random bytes. */
const MAX_BODY_BYTES =
  1 +
  2 * 8 +
  (2 + MAX_DEPLOYMENT_BYTES) +
  HASH_BYTES +
  (2 + MAX_AK_PUBLIC_BYTES) +
  (1 + 2 * MAX_EK_CERTIFICATES + MAX_EK_CHAIN_BYTES) +
  ENROLMENT_RANDOM_BYTES;
export const MAX_ENROLMENT_BYTES = MAX_BODY_BYTES + MAC_BYTES;

const DEPLOYMENT = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const TOKEN_PURPOSE = 'portcullis/enrolment/token/v1';
const CREDENTIAL_PURPOSE = 'portcullis/enrolment/credential/v1';

/** The token of an enrolment: its bytes and HMAC-SHA-256 over purpose, broker and bytes, base64url; and the credential that goes with it. */
export function sealEnrolment(
  issuer: EnrolmentIssuer,
  enrolment: Enrolment,
): { readonly token: string; readonly credential: Buffer } {
  const key = issuer.enrolmentKey(enrolment.epoch);
  const body = encodeEnrolment(enrolment);
  const token = Buffer.concat([body, authenticator(key, issuer.broker, body)]);
  return { token: toBase64url(token), credential: credentialOf(key, issuer.broker, token) };
}

/**
 * Opens a token as received. enrolment.secret: it is none of ours, whichever way. Not checked: how old it is, and whether its
 * epoch is the present one; nor that whoever sends it has the credential.
 */
export function openEnrolment(issuer: EnrolmentIssuer, token: string): Result<OpenedEnrolment> {
  try {
    if (token.length > Math.ceil((MAX_ENROLMENT_BYTES * 4) / 3)) throw new MalformedError('enrolment: too long');
    const bytes = fromBase64url(token, 'enrolment');
    const body = bytes.subarray(0, Math.max(0, bytes.length - MAC_BYTES));
    const enrolment = parseEnrolment(body);
    const key = issuer.enrolmentKey(enrolment.epoch);
    if (!equalBytes(bytes.subarray(body.length), authenticator(key, issuer.broker, body))) return notOurs();
    return accept({ enrolment, credential: credentialOf(key, issuer.broker, bytes) });
  } catch (error) {
    if (error instanceof MalformedError) return notOurs();
    throw error;
  }
}

/** Big-endian: u8 version; u64 time and epoch; deployment behind its u16 length; 32 bytes of hash; AK likewise; u8 count of certificates, each behind its length; 16 random bytes. */
export function encodeEnrolment(enrolment: Enrolment): Buffer {
  const writer = new Writer()
    .u8(VERSION)
    .u64be(BigInt(enrolment.issuedAtMs))
    .u64be(BigInt(enrolment.epoch))
    .sized16(Buffer.from(enrolment.deployment, 'latin1'))
    .bytes(fromHex(enrolment.ekSpkiSha256, 'EK'))
    .sized16(enrolment.akPublic)
    .u8(enrolment.ekCertificates.length);
  for (const certificate of enrolment.ekCertificates) writer.sized16(certificate);
  return writer.bytes(enrolment.random).finish();
}

/** The inverse: one encoding for each value. Throws only MalformedError. Nothing is verified. */
export function parseEnrolment(body: Buffer): Enrolment {
  if (body.length > MAX_BODY_BYTES) throw new MalformedError('enrolment: too long');
  const r = new Reader(body);
  if (r.u8('version') !== VERSION) throw new MalformedError('version: unknown');
  const issuedAtMs = safeInteger(r.u64be('issuedAt'), 'issuedAt');
  const epoch = safeInteger(r.u64be('epoch'), 'epoch');
  const deployment = r.sized16(MAX_DEPLOYMENT_BYTES, 'deployment').toString('latin1');
  if (!DEPLOYMENT.test(deployment)) throw new MalformedError('deployment: not a name');
  const ekSpkiSha256 = toHex(r.take(HASH_BYTES, 'EK'));
  const akPublic = r.sized16(MAX_AK_PUBLIC_BYTES, 'AK');
  const count = r.u8('certificates.count');
  if (count === 0 || count > MAX_EK_CERTIFICATES) throw new MalformedError('certificates: none, or too many');
  const ekCertificates: Buffer[] = [];
  let left = MAX_EK_CHAIN_BYTES;
  for (let index = 0; index < count; index++) {
    const certificate = r.sized16(Math.min(left, MAX_EK_CERTIFICATE_BYTES), 'certificate');
    left -= certificate.length;
    ekCertificates.push(certificate);
  }
  const random = r.take(ENROLMENT_RANDOM_BYTES, 'random');
  r.end('enrolment');
  return { issuedAtMs, epoch, deployment, ekSpkiSha256, akPublic, ekCertificates, random };
}

function safeInteger(value: bigint, field: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new MalformedError(`${field}: too large`);
  return Number(value);
}

function authenticator(key: Buffer, broker: string, body: Buffer): Buffer {
  return macOfFields(key, [TOKEN_PURPOSE, broker, body]);
}

function credentialOf(key: Buffer, broker: string, token: Buffer): Buffer {
  return macOfFields(key, [CREDENTIAL_PURPOSE, broker, token]);
}

function notOurs(): Result<never> {
  return reject('enrolment.secret', 'the enrolment was not issued by this broker; ask for a new one');
}
