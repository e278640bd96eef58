import { equalBytes } from '../bytes/equal.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { parseCertificate } from '../crypto/x509.js';
import { accept, reject, type Result } from '../reason/reason.js';

/**
 * That no certificate was sent for another key than the AK: evidence.unbound, so that nobody takes unverified evidence for
 * verified. `certificates` are those that made nothing believed; `akSpki` is SubjectPublicKeyInfo, DER.
 */
export function refuseUnbound(certificates: readonly Buffer[], akSpki: Buffer): Result<undefined> {
  const [leaf] = certificates;
  if (leaf === undefined || certifies(leaf, akSpki)) return accept(undefined);
  return reject(
    'evidence.unbound',
    'the first of evidence.tpm.ak_certificates is not a certificate of the AK; leave it out',
    { claim: 'evidence.tpm.ak_certificates', operator: 'exists', expected: false, found: true },
  );
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
