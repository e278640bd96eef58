import { MalformedError } from '../bytes/malformed-error.js';
import { signatureScheme, verifyScheme } from '../crypto/x509-signature.js';
import type { Certificate, SignedStructure } from '../crypto/x509.js';
import { EXTENSION, type KeyUsage } from '../crypto/x509-extensions.js';

/** anyExtendedKeyUsage: in a CA it restricts nothing; in a leaf it is no purpose that was asked for. */
const ANY_PURPOSE = '2.5.29.37.0';

/** Understood whether critical or not. certificatePolicies: any policy is accepted, so that none is missing (RFC 5280 section 6.1.1 (c), (e)). */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  EXTENSION.basicConstraints,
  EXTENSION.keyUsage,
  EXTENSION.subjectAltName,
  EXTENSION.certificatePolicies,
]);
/** Refused whether critical or not: they narrow what a CA may certify, and are not evaluated here. */
const NARROWING: readonly string[] = [EXTENSION.nameConstraints, EXTENSION.policyConstraints];

/** What the leaf must be good for. */
export interface Purpose {
  /** One of these OIDs must be in the leaf's extKeyUsage, and in that of each CA that has one. `mayBeAbsent`: of the leaf. */
  readonly extendedKeyUsage?: { readonly oneOf: readonly string[]; readonly mayBeAbsent: boolean };
  /** One of these bits must be in the leaf's keyUsage. `mayBeAbsent`: a leaf without keyUsage is good for everything. */
  readonly keyUsage?: { readonly oneOf: readonly KeyUsage[]; readonly mayBeAbsent: boolean };
  /** Critical extensions that the caller checks itself, in the certificates of the path that is returned. */
  readonly handledCritical?: readonly string[];
}

/** Each check says what is wrong, or undefined where nothing is. The texts hold at most an OID of the certificate. */
type Fault = string | undefined;

/** Both ends inclusive (RFC 5280 section 4.1.2.5). */
export function validityFault(certificate: Certificate, atMs: number): Fault {
  if (!(certificate.notBeforeMs <= atMs)) return 'not yet valid';
  return atMs <= certificate.notAfterMs ? undefined : 'expired';
}

/** RFC 5280 section 6.1.4 (k) to (n). `intermediates`: how many stand between this CA and the leaf, self-issued ones left out. */
export function authorityFault(certificate: Certificate, intermediates: number): Fault {
  const { basicConstraints, keyUsage, subject } = certificate;
  if (basicConstraints?.ca !== true) return 'not a CA certificate';
  if (subject.attributes.length === 0) return 'a CA without a name';
  if (keyUsage?.includes('keyCertSign') === false) return 'not allowed to sign certificates by its keyUsage';
  if (basicConstraints.pathLength !== undefined && intermediates > basicConstraints.pathLength) {
    return 'above more CAs than its pathLenConstraint allows';
  }
  return undefined;
}

/** A leaf is no CA, and its keyUsage is the one asked for. */
export function leafFault(certificate: Certificate, { keyUsage: wanted }: Purpose): Fault {
  if (certificate.basicConstraints?.ca === true) return 'a CA certificate where a leaf is expected';
  if (wanted === undefined) return undefined;
  if (certificate.keyUsage === undefined) return wanted.mayBeAbsent ? undefined : 'without keyUsage';
  return certificate.keyUsage.some((usage) => wanted.oneOf.includes(usage)) ? undefined : 'for another keyUsage';
}

/** RFC 5280 sections 6.1.4 (o) and 6.1.5 (f). extKeyUsage is understood where it will be compared with a purpose. */
export function criticalFault(certificate: Certificate, handled: readonly string[], purposeCompared: boolean): Fault {
  if (NARROWING.some((oid) => certificate.extensions.has(oid))) return 'constrained in a way that is not supported';
  for (const { oid, critical } of certificate.extensions.values()) {
    if (!critical || UNDERSTOOD.has(oid) || handled.includes(oid)) continue;
    if (oid === EXTENSION.extendedKeyUsage && purposeCompared) continue;
    return `marked with the critical extension ${oid}, which is not understood`;
  }
  return undefined;
}

/**
 * Whether one purpose that was asked for is in the extKeyUsage of every certificate that has one, the leaf first. RFC 5280
 * leaves the extKeyUsage of a CA without meaning; hardware makers use it as this narrowing, and so do other validators.
 */
export function purposeFault(path: readonly Certificate[], { extendedKeyUsage: wanted }: Purpose): Fault {
  if (wanted === undefined) return undefined;
  let left = wanted.oneOf;
  for (const [index, { extendedKeyUsage }] of path.entries()) {
    if (extendedKeyUsage === undefined) {
      if (index === 0 && !wanted.mayBeAbsent) return 'the leaf has no extKeyUsage';
    } else if (index === 0 || !extendedKeyUsage.includes(ANY_PURPOSE)) {
      left = left.filter((oid) => extendedKeyUsage.includes(oid));
    }
    if (left.length === 0) return 'no purpose that was asked for is allowed by the extKeyUsage of the path';
  }
  return undefined;
}

/** Whether names and key identifiers allow that `issuer` issued this; names are compared by their bytes. */
export function mayHaveIssued(
  issuer: Certificate,
  issued: { readonly issuer: Certificate['issuer']; readonly authorityKeyId: Buffer | undefined },
): boolean {
  if (!issuer.subject.der.equals(issued.issuer.der)) return false;
  if (issuer.subjectKeyId === undefined || issued.authorityKeyId === undefined) return true;
  return issuer.subjectKeyId.equals(issued.authorityKeyId);
}

/** Whether the signature of a certificate or CRL is one by the issuer's key, with an algorithm that is believed. */
export function signatureFault(issuer: Certificate, signed: SignedStructure): Fault {
  try {
    const scheme = signatureScheme(signed.signatureAlgorithm);
    if (scheme === undefined) return 'signed with an algorithm that is not accepted';
    const verified = verifyScheme(scheme, issuer.publicKey(), signed.tbs, signed.signature);
    return verified ? undefined : 'not signed by the key of its issuer';
  } catch (error) {
    if (error instanceof MalformedError) return 'signed with a key or parameters that are not accepted';
    throw error;
  }
}
