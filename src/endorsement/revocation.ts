import type { RevocationList } from '../crypto/x509-crl.js';
import type { Certificate } from '../crypto/x509.js';
import { mayHaveIssued, signatureFault } from './certificate-checks.js';

/**
 * Whether CRLs are looked at: never; where one of the issuer is given; one for every certificate below the anchor; one
 * for every CA below the anchor, and for the leaf where given (AMD's CRLs leave the leaves out). What is given must
 * be good under each policy but `none`: a CRL of the issuer that cannot be used is `collateral`, not passed over.
 */
export type CrlPolicy = 'none' | 'if-present' | 'required' | 'required-for-authorities';

/** What speaks against a certificate. */
export interface RevocationFault {
  readonly fault: 'revoked' | 'collateral';
  readonly detail: string;
}

/**
 * Looks a certificate up in the CRLs of its issuer (RFC 5280 section 6.3.3, for complete CRLs that the issuer itself
 * signs). Only one that the issuer's key signed counts; one that is past its nextUpdate still revokes, but no longer clears.
 */
export function revocationFault(
  certificate: Certificate,
  issuer: Certificate,
  isLeaf: boolean,
  crls: readonly RevocationList[],
  policy: CrlPolicy,
  atMs: number,
): RevocationFault | undefined {
  if (policy === 'none') return undefined;
  let clear = false;
  let problem: string | undefined;
  for (const crl of crls) {
    if (!issuer.subject.der.equals(crl.issuer.der)) continue;
    const fault = authenticityFault(crl, issuer);
    // One of another key of that name is no CRL of this issuer; one that this key signed is, whatever it is marked with.
    if (fault !== undefined && !mayHaveIssued(issuer, crl)) continue;
    if (fault === undefined && covers(crl, certificate, isLeaf)) {
      if (crl.lists(certificate.serial)) return { fault: 'revoked', detail: 'revoked by its issuer' };
      const stale = freshnessFault(crl, atMs);
      clear ||= stale === undefined;
      problem ??= stale;
    }
    problem ??= fault;
  }
  if (clear) return undefined;
  if (problem !== undefined) return { fault: 'collateral', detail: `the CRL of its issuer ${problem}` };
  const required = policy === 'required' || (policy === 'required-for-authorities' && !isLeaf);
  return required ? { fault: 'collateral', detail: 'no CRL of its issuer covers it' } : undefined;
}

function authenticityFault(crl: RevocationList, issuer: Certificate): string | undefined {
  if (issuer.keyUsage?.includes('cRLSign') === false) return 'is by a CA that may not sign CRLs';
  const fault = signatureFault(issuer, crl);
  return fault === undefined ? undefined : `is ${fault}`;
}

function freshnessFault(crl: RevocationList, atMs: number): string | undefined {
  if (!(crl.thisUpdateMs <= atMs)) return 'is from the future';
  return atMs <= crl.nextUpdateMs ? undefined : 'is past its nextUpdate';
}

/** RFC 5280 section 6.3.3 (b) (2). */
function covers({ scope }: RevocationList, certificate: Certificate, isLeaf: boolean): boolean {
  if (scope.only !== undefined && (scope.only === 'leaves') !== isLeaf) return false;
  if (scope.distributionPoints === undefined) return true;
  return scope.distributionPoints.some((uri) => certificate.crlDistributionPoints?.includes(uri) === true);
}
