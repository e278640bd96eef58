import { fromBase64url, toBase64url } from '../bytes/base64url.js';
import { fromHex } from '../bytes/hex.js';
import { MalformedError } from '../bytes/malformed-error.js';
import type { Certificate } from '../crypto/x509.js';
import { type AkIdentity, parseAk } from '../evidence/tpm/ak.js';
import { makeCredential } from '../evidence/tpm/credential.js';
import { type EkPublic, hasKey, parseEk } from '../evidence/tpm/ek.js';
import { defaultEkTemplate } from '../evidence/tpm/ek-template.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { EnrolmentRequest } from './broker.js';
import type { BrokerContext } from './context.js';
import { examine } from './enrolment-checks.js';
import { ENROLMENT_RANDOM_BYTES, MAX_EK_CHAIN_BYTES, sealEnrolment } from './enrolment-token.js';
import { rfc3339 } from './time.js';
import type { EnrolmentView } from './views.js';
import { vouchersOf } from './vouchers.js';

/**
 * Asks for the enrolment of an AK by the EK of its TPM: gives a credential that only this TPM gives out, and a token that
 * holds everything else. Writes nothing, whoever asks and however often. That the AK is in the TPM of the EK is not known
 * yet: `activateEnrolment` proves it. Refusals: request.malformed, evidence.malformed, ak.attributes, those of
 * `examine`, and ek.chain where the certificate is for another key than the EK.
 */
export async function enrol(context: BrokerContext, request: EnrolmentRequest): Promise<Result<EnrolmentView>> {
  const presented = decode(request);
  if (!presented.ok) return presented;
  const { ak, ek: given, certificates } = presented.value;
  const { deployment } = request;

  const vouchers = vouchersOf(context);
  const found = await context.store.read(async (view) => ({
    epoch: (await view.state()).epoch,
    examined: await examine(view, vouchers, { deployment, ak, certificates }, (leaf) => ekOf(leaf, given)),
  }));
  if (!found.examined.ok) return reject(found.examined.reason, found.examined.detail);
  const { ek } = found.examined.value;

  const { token, credential } = sealEnrolment(context, {
    issuedAtMs: vouchers.nowMs,
    epoch: found.epoch,
    deployment,
    ekSpkiSha256: ek.spkiSha256,
    akPublic: ak.publicArea,
    ekCertificates: certificates,
    random: context.random(ENROLMENT_RANDOM_BYTES),
  });
  try {
    const { credentialBlob, encryptedSecret } = makeCredential(
      { ek, akName: fromHex(ak.name, 'AK Name'), credential },
      context.random,
    );
    return accept({
      enrolment: token,
      credential_blob: toBase64url(credentialBlob),
      encrypted_secret: toBase64url(encryptedSecret),
      expires_at: rfc3339(vouchers.nowMs + context.challengeTtlMs),
    });
  } finally {
    credential.fill(0);
  }
}

interface Presented {
  readonly ak: AkIdentity;
  /** undefined: what the default template makes of the certificate's key. */
  readonly ek: EkPublic | undefined;
  readonly certificates: readonly Buffer[];
}

function decode(request: EnrolmentRequest): Result<Presented> {
  let bytes: { readonly ak: Buffer; readonly ek: Buffer | undefined; readonly certificates: readonly Buffer[] };
  try {
    bytes = {
      ak: fromBase64url(request.ak, 'ak'),
      ek: request.ek === undefined ? undefined : fromBase64url(request.ek, 'ek'),
      certificates: request.ek_certificates.map((certificate) => fromBase64url(certificate, 'ek_certificates')),
    };
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
  const size = bytes.certificates.reduce((sum, { length }) => sum + length, 0);
  if (size > MAX_EK_CHAIN_BYTES) {
    return reject('request.malformed', `ek_certificates: more than ${String(MAX_EK_CHAIN_BYTES)} bytes in all`);
  }
  const ak = parseAk(bytes.ak);
  if (!ak.ok) return ak;
  const ek = bytes.ek === undefined ? undefined : parseEk(bytes.ek);
  if (ek?.ok === false) return ek;
  return accept({ ak: ak.value, ek: ek?.value, certificates: bytes.certificates });
}

/** The EK whose key the certificate is for: the one presented, or the default one. */
function ekOf(leaf: Certificate, given: EkPublic | undefined): Result<EkPublic> {
  let spki: Buffer;
  try {
    spki = leaf.publicKey().key.export({ type: 'spki', format: 'der' });
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return reject('ek.chain', `the EK certificate is for a key of no use here: ${error.message}`);
  }
  if (given === undefined) return defaultEkTemplate(spki);
  return hasKey(given, spki) ? accept(given) : reject('ek.chain', 'the EK certificate is for another key than the EK');
}
