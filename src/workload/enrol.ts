import { fromBase64url, toBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { sha256Hex } from '../crypto/digest.js';
import { parseCertificate } from '../crypto/x509.js';
import type { EkAlgorithm } from '../simulator/ek.js';
import { ask, membersIn, textIn, type Members } from './ask.js';
import type { Attester, EkMember, EnrollingAttester, PlatformAttester, ProtectedCredential } from './attester.js';
import { akHashes, type AkHashes } from './enrol-identity.js';
import { AttesterError, BrokerAnswerError } from './errors.js';
import { httpTransport, type HttpTransportOptions, type Transport } from './transport.js';

/** What is enrolled, and for what. */
export interface EnrolmentWish {
  readonly deployment: string;
  readonly attester: EnrollingAttester;
  /** Which EK vouches for the AK; default: the first that the TPM has a certificate for. */
  readonly ek?: EkAlgorithm;
}

/** Where the broker is, or a transport of the caller's own, which the caller closes. */
export type EnrolOptions = EnrolmentWish & (HttpTransportOptions | { readonly transport: Transport });

/** An AK that the broker knows, and its TPM. Hashes are lower-case hex. */
export interface Enrolment {
  readonly deployment: string;
  readonly akName: string;
  readonly akSpkiSha256: string;
  /** What `attesters.allow.ek` of a deployment names. */
  readonly ekSpkiSha256: string;
  /** DER, the leaf first, as they were sent. */
  readonly ekCertificates: readonly Buffer[];
  /** `pending`: the TPM is genuine, but neither the rules of the deployment nor an administrator let it in yet. */
  readonly state: 'trusted' | 'pending';
}

const MAX_NAME = 256;
/** The token is the broker's own: it may hold what was sent, the certificates too. */
const MAX_TOKEN = 64 * 1024;
/** Of TPM2B_ID_OBJECT (an HMAC and an encrypted digest, of 64 bytes at most) and of TPM2B_ENCRYPTED_SECRET. */
const MAX_ID_OBJECT_BYTES = 2 * (2 + 64);
const MAX_SECRET_BYTES = 512;

/**
 * Has a broker enrol the AK of an attester for a deployment by the EK of its TPM: sends the EK's certificates and the AK,
 * has the TPM open the credential that comes back, and returns what the broker then knows. Doing it again for the same pair is no
 * harm. What the broker answers is compared with what was sent; nothing is retried. Throws ReleaseDeniedError (the broker
 * refused: `ek.chain`, `attester.conflict`, …), BrokerUnreachableError, BrokerAnswerError (the answer is not one to what was
 * asked), AttesterError (no certificate, no EK for it, or the TPM does not open the credential).
 */
export async function enrol(options: EnrolOptions): Promise<Enrolment> {
  if ('transport' in options) return enrolOver(options.transport, options);
  const transport = httpTransport(options);
  try {
    return await enrolOver(transport, options);
  } finally {
    await transport.close();
  }
}

/** Whether an attester can prove where its AK lives. */
export function canEnrol(attester: Attester | PlatformAttester): attester is EnrollingAttester {
  return 'readAkPublic' in attester && 'ek' in attester && 'activateCredential' in attester;
}

async function enrolOver(transport: Transport, { deployment, attester, ek }: EnrolmentWish): Promise<Enrolment> {
  const ak = await attester.readAkPublic();
  const hashes = akHashes(ak);
  const endorsed = await attester.ek(ek);
  const ekSpkiSha256 = spkiHash(endorsed);
  const offer = await ask(
    transport,
    '/v1/attesters/enrolments',
    {
      deployment,
      ek_certificates: endorsed.certificates.map(toBase64url),
      ek: toBase64url(endorsed.tpm2bPublic),
      ak: toBase64url(ak),
    },
    201,
  );
  const enrolment = textIn(offer, 'enrolment', MAX_TOKEN);
  if (Number.isNaN(Date.parse(textIn(offer, 'expires_at', MAX_NAME)))) {
    throw new BrokerAnswerError("the enrolment's expires_at is not a time");
  }
  const secret = await attester.activateCredential(endorsed, credentialIn(offer));
  try {
    const activation = { enrolment, secret: toBase64url(secret) };
    const answer = await ask(transport, '/v1/attesters/enrolments/activations', activation, [201, 200]);
    return {
      deployment,
      akName: hashes.name,
      akSpkiSha256: hashes.spkiSha256,
      ekSpkiSha256,
      ekCertificates: endorsed.certificates,
      state: stateIn(membersIn(answer, 'attester'), hashes),
    };
  } finally {
    secret.fill(0);
  }
}

function spkiHash({ certificates }: EkMember): string {
  try {
    return sha256Hex(parseCertificate(certificates[0] ?? Buffer.alloc(0)).spki);
  } catch (cause) {
    if (!(cause instanceof MalformedError)) throw cause;
    throw new AttesterError(`the EK certificate cannot be read: ${cause.message}`, { cause });
  }
}

function credentialIn(offer: Members): ProtectedCredential {
  return {
    credentialBlob: sizedIn(offer, 'credential_blob', MAX_ID_OBJECT_BYTES),
    encryptedSecret: sizedIn(offer, 'encrypted_secret', MAX_SECRET_BYTES),
  };
}

/** A TPM2B in base64url: its size, then as many bytes, at least one and at most `maxBytes`. */
function sizedIn(members: Members, name: string, maxBytes: number): Buffer {
  const text = textIn(members, name, Math.ceil(((2 + maxBytes) * 4) / 3));
  try {
    const bytes = fromBase64url(text, name);
    if (bytes.length > 2 && bytes.length <= 2 + maxBytes && bytes.readUInt16BE(0) === bytes.length - 2) return bytes;
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
  }
  throw new BrokerAnswerError(`the enrolment's ${name} is no structure of a TPM in base64url`);
}

function stateIn(attester: Members, { name, spkiSha256 }: AkHashes): Enrolment['state'] {
  const expected = { ak_name: name, ak_spki_sha256: spkiSha256, trust: 'ek-certificate' };
  for (const [member, value] of Object.entries(expected)) {
    if (textIn(attester, member, MAX_NAME) !== value) {
      throw new BrokerAnswerError(`the broker enrolled another AK than it was asked to: its ${member} differs`);
    }
  }
  const { state } = attester;
  if (state === 'trusted' || state === 'pending') return state;
  throw new BrokerAnswerError('the broker does not say whether the enrolled AK is trusted');
}
