import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import type { TpmEvidence } from '../evidence/tpm/evidence.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { EvidenceMember } from './broker.js';

/** Kinds of evidence that the wire knows and this version does not appraise: sent, they are tied to nothing. */
const UNAPPRAISED = ['hcl', 'snp', 'tdx', 'gpus', 'tokens'] as const;

/**
 * Decodes the bytes of the TPM evidence; nothing is parsed or verified yet. Empty members count as absent. The event log
 * is accepted and yields no claims. Refusals: request.malformed (not canonical base64url), evidence.malformed (no TPM
 * evidence, no AK).
 */
export function decodeTpmEvidence(evidence: EvidenceMember): Result<TpmEvidence> {
  const { tpm } = evidence;
  if (tpm === undefined) {
    return reject(
      'evidence.malformed',
      'evidence.tpm is missing: the deployment measures its policy in a PCR of the TPM',
    );
  }
  if (tpm.ak === undefined)
    return reject('evidence.malformed', 'evidence.tpm.ak is missing: send the public area of the AK');
  try {
    return accept({
      quoted: fromBase64url(tpm.quoted, 'evidence.tpm.quoted'),
      signature: fromBase64url(tpm.signature, 'evidence.tpm.signature'),
      ak: fromBase64url(tpm.ak, 'evidence.tpm.ak'),
      pcrs: tpm.pcrs,
      akCertificates: (tpm.ak_certificates ?? []).map((text, at) =>
        fromBase64url(text, `evidence.tpm.ak_certificates/${String(at)}`),
      ),
    });
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
}

/**
 * That nothing was sent beside the TPM evidence which this version cannot tie to it: evidence.unbound. Refused even where
 * the policy does not ask for it, so that nobody takes unverified evidence for verified.
 */
export function refuseUnbound(evidence: EvidenceMember): Result<undefined> {
  for (const kind of UNAPPRAISED) {
    const sent = evidence[kind];
    if (sent !== undefined && Object.keys(sent).length > 0) {
      return reject(
        'evidence.unbound',
        `evidence.${kind} is not appraised by this version, so nothing ties it to the quote; leave it out`,
      );
    }
  }
  return accept(undefined);
}
