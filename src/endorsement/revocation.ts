import type { RevocationList } from '../crypto/x509-crl.js';
import type { Certificate } from '../crypto/x509.js';
import { mayHaveIssued, signatureFault } from './certificate-checks.js';

/**
 * Whether CRLs are looked at: never; where one of the issuer is given; one for every certificate below the anchor; one
 * for every CA below the anchor, and for the leaf where given (AMD's CRLs leave the leaves out). What is given must
 * be good under each policy but `none`: a CRL of the issuer that cannot be used is `collateral`, not passed over.
 */
export type CrlPolicy = 'none' | 'if-present' | 'required' | 'required-for-authorities';

/** The most CRLs of one issuer's name that are looked at: AMD and Intel have two at most. */
export const MAX_CRLS_OF_ISSUER = 64;
/** Of one CRL, by the keys that issuers of its name have. */
const MAX_REMEMBERED_KEYS = 8;

/** What speaks against a certificate. */
export interface RevocationFault {
  readonly fault: 'revoked' | 'collateral';
  readonly detail: string;
}

/**
 * Looks a certificate up in the CRLs of its issuer (RFC 5280 section 6.3.3, for complete CRLs that the issuer itself
 * signs). Only one that the issuer's key signed counts; one that is past its nextUpdate still revokes, but no longer clears. Where
 * more than 64 have the issuer's name, and none of the first 64 revokes, that is `collateral`. Whether a key signed a CRL is
 * remembered for the object.
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
  let looked = 0;
  for (const crl of crls) {
    if (!issuer.subject.der.equals(crl.issuer.der)) continue;
    if (++looked > MAX_CRLS_OF_ISSUER) {
      return {
        fault: 'collateral',
        detail: `more than ${String(MAX_CRLS_OF_ISSUER)} CRLs with the name of its issuer`,
      };
    }
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
  const fault = knownSignatureFault(crl, issuer);
  return fault === undefined ? undefined : `is ${fault}`;
}

/** By SPKI, latin1: nothing else of an issuer decides about a signature. */
const SIGNATURE_FAULTS = new WeakMap<RevocationList, Map<string, string | undefined>>();

/** Whoever presents new certificates makes every CRL of their issuers be looked at: its signature is verified once. */
function knownSignatureFault(crl: RevocationList, issuer: Certificate): string | undefined {
  let known = SIGNATURE_FAULTS.get(crl);
  if (known === undefined) SIGNATURE_FAULTS.set(crl, (known = new Map<string, string | undefined>()));
  const key = issuer.spki.toString('latin1');
  if (known.has(key)) return known.get(key);
  const fault = signatureFault(issuer, crl);
  if (known.size >= MAX_REMEMBERED_KEYS) known.clear();
  known.set(key, fault);
  return fault;
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
