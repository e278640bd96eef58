import { equalBytes } from '../bytes/equal.js';
import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { parseCertificate } from '../crypto/x509.js';
import type { TpmEvidence } from '../evidence/tpm/evidence.js';
import { accept, type Finding, reject, type Result } from '../reason/reason.js';
import type { EvidenceMember } from './broker.js';

/** Kinds of evidence that the wire knows and this version does not appraise: sent, they are tied to nothing. */
const UNAPPRAISED = ['hcl', 'snp', 'tdx', 'gpus', 'tokens'] as const;

/**
 * Decodes the bytes of the TPM evidence; nothing is parsed or verified yet. Empty members count as absent. The event log
 * is accepted and yields no claims. Refusals: request.malformed (not canonical base64url), evidence.malformed (no TPM
 * evidence, neither the AK nor a certificate of it).
 */
export function decodeTpmEvidence(evidence: EvidenceMember): Result<TpmEvidence> {
  const { tpm } = evidence;
  if (tpm === undefined) {
    return reject(
      'evidence.malformed',
      'evidence.tpm is missing: the deployment measures its policy in a PCR of the TPM',
    );
  }
  const { ak_certificates: certificates = [] } = tpm;
  if (tpm.ak === undefined && certificates.length === 0) {
    return reject(
      'evidence.malformed',
      'evidence.tpm.ak is missing: send the public area of the AK, or its certificate in ak_certificates',
    );
  }
  try {
    return accept({
      quoted: fromBase64url(tpm.quoted, 'evidence.tpm.quoted'),
      signature: fromBase64url(tpm.signature, 'evidence.tpm.signature'),
      ak: tpm.ak === undefined ? undefined : fromBase64url(tpm.ak, 'evidence.tpm.ak'),
      pcrs: tpm.pcrs,
      akCertificates: certificates.map((text, at) => fromBase64url(text, `evidence.tpm.ak_certificates/${String(at)}`)),
    });
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
}

/**
 * That nothing was sent beside the quote which is not tied to it: evidence of other kinds, or a certificate for another
 * key than the AK. evidence.unbound, even where the policy does not ask for it, so that nobody takes unverified evidence
 * for verified. `certificates` are those that made nothing believed; `akSpki` is SubjectPublicKeyInfo, DER.
 */
export function refuseUnbound(
  evidence: EvidenceMember,
  certificates: readonly Buffer[],
  akSpki: Buffer,
): Result<undefined> {
  const [leaf] = certificates;
  if (leaf !== undefined && !certifies(leaf, akSpki)) {
    return reject(
      'evidence.unbound',
      'the first of evidence.tpm.ak_certificates is not a certificate of the AK; leave it out',
      unexpected('tpm.ak_certificates'),
    );
  }
  for (const kind of UNAPPRAISED) {
    const sent = evidence[kind];
    if (sent !== undefined && Object.keys(sent).length > 0) {
      return reject(
        'evidence.unbound',
        `evidence.${kind} is not appraised by this version, so nothing ties it to the quote; leave it out`,
        unexpected(kind),
      );
    }
  }
  return accept(undefined);
}

function unexpected(member: string): Finding {
  return { claim: `evidence.${member}`, operator: 'exists', expected: false, found: true };
}

/** Whether a certificate names the key. Who issued it, and whether it is valid, is the business of the trust that goes by certificates. */
function certifies(certificate: Buffer, spki: Buffer): boolean {
  try {
    return equalBytes(parseCertificate(certificate).spki, spki);
  } catch (error) {
    if (error instanceof MalformedError) return false;
    throw error;
  }
}
