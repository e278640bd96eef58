import { MalformedError } from '../bytes/malformed-error.js';
import { pemBlocks } from '../crypto/pem.js';
import { MAX_CERTIFICATE_BYTES, parseCertificate, type Certificate } from '../crypto/x509.js';
import { authorityFault, criticalFault } from './certificate-checks.js';

/** The most certificates that one set of anchors is made of. */
export const MAX_ANCHORS = 256;

/** CA certificates that are believed because somebody configured them; roots or intermediates. Parsed once, used often. */
export interface TrustAnchors {
  readonly certificates: readonly Certificate[];
  /** Those with this subject, by the hex of the name's DER. */
  readonly bySubject: ReadonlyMap<string, readonly Certificate[]>;
}

/**
 * The anchors of a PEM text, 1 to 256 CERTIFICATE blocks; what stands twice counts once. Each must be a CA certificate
 * with a key that is used here (see parseSpki) and without constraints that are not understood. Its own signature is not
 * checked, nor by which algorithm it is, since the configuration vouches for it; its validity is looked at when a path is
 * validated. Throws MalformedError, which names the block, counted from 1.
 */
export function trustAnchors(pem: string): TrustAnchors {
  return trustAnchorsOf(pemBlocks(pem, 'CERTIFICATE', MAX_ANCHORS, MAX_CERTIFICATE_BYTES));
}

/** The same of certificates in DER. */
export function trustAnchorsOf(certificates: readonly Buffer[]): TrustAnchors {
  if (certificates.length === 0) throw new MalformedError('trust anchors: no certificate');
  if (certificates.length > MAX_ANCHORS) throw new MalformedError('trust anchors: too many certificates');
  const known = new Map<string, Certificate>();
  certificates.forEach((der, index) => {
    known.set(der.toString('latin1'), parseAnchor(der, `certificate ${String(index + 1)} of the trust anchors`));
  });
  const bySubject = new Map<string, Certificate[]>();
  for (const certificate of known.values()) {
    const subject = certificate.subject.der.toString('hex');
    bySubject.set(subject, [...(bySubject.get(subject) ?? []), certificate]);
  }
  return { certificates: [...known.values()], bySubject };
}

function parseAnchor(der: Buffer, field: string): Certificate {
  try {
    const certificate = parseCertificate(der);
    certificate.publicKey();
    const fault = authorityFault(certificate, 0) ?? criticalFault(certificate, [], true);
    if (fault !== undefined) throw new MalformedError(fault);
    return certificate;
  } catch (error) {
    if (error instanceof MalformedError) throw new MalformedError(`${field}: ${error.message}`);
    throw error;
  }
}
