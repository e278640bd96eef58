import { MalformedError } from '../bytes/malformed-error.js';
import { contextTag, DerReader, TAG } from './der.js';
import { derGeneralizedTime, derSmallUnsigned, derUnsigned, derUtcTime, derWholeBits } from './der-values.js';
import {
  EXTENSION,
  parseAuthorityKeyIdentifier,
  parseBasicConstraints,
  parseCrlDistributionPoints,
  parseDirectoryNames,
  parseExtendedKeyUsage,
  parseKeyUsage,
  parseSubjectKeyIdentifier,
  readExtensions,
  type BasicConstraints,
  type Extension,
  type KeyUsage,
} from './x509-extensions.js';
import { parseSpki, type CertifiedKey } from './x509-key.js';
import { readName, type Name } from './x509-name.js';

/** The largest certificate that is read. */
export const MAX_CERTIFICATE_BYTES = 8192;
const MAX_SERIAL_BYTES = 20;
const X509_V3 = 2;

/** A certificate, parsed: nothing in it is verified. Members that stand for an extension are undefined where it is absent. */
export interface Certificate {
  readonly der: Buffer;
  /** The bytes that the signature is over. */
  readonly tbs: Buffer;
  /** Lower-case hex of the number, big-endian, without sign byte; zero is `00`. */
  readonly serial: string;
  readonly issuer: Name;
  readonly subject: Name;
  readonly notBeforeMs: number;
  /** 253402300799000, the last second of 9999, says that there is no end (RFC 5280 section 4.1.2.5). */
  readonly notAfterMs: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  /** The key, made on first use. Throws MalformedError where it is of a kind that is not used here (see parseSpki). */
  readonly publicKey: () => CertifiedKey;
  /** AlgorithmIdentifier, DER; the same inside and outside of what is signed. */
  readonly signatureAlgorithm: Buffer;
  readonly signature: Buffer;
  /** All extensions by OID, those below among them, in the order of the certificate. */
  readonly extensions: ReadonlyMap<string, Extension>;
  readonly basicConstraints: BasicConstraints | undefined;
  readonly keyUsage: readonly KeyUsage[] | undefined;
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** The directoryNames of the subjectAltName. */
  readonly directoryNames: readonly Name[] | undefined;
  /** Names of CRLs, never fetched. */
  readonly crlDistributionPoints: readonly string[] | undefined;
  readonly authorityKeyId: Buffer | undefined;
  readonly subjectKeyId: Buffer | undefined;
}

/**
 * Parses an X.509 v3 certificate (RFC 5280 section 4.1) of at most 8192 bytes without trailing ones. Extensions that are
 * known here are decoded, the others kept as they are. Throws only MalformedError: for another version, unique
 * identifiers, a serial that is negative or longer than 20 bytes, an extension that stands there twice, and for signature
 * algorithms inside and outside that differ.
 */
export function parseCertificate(der: Buffer): Certificate {
  if (der.length > MAX_CERTIFICATE_BYTES) {
    throw new MalformedError(`Certificate: more than ${String(MAX_CERTIFICATE_BYTES)} bytes`);
  }
  const { tbs, signatureAlgorithm, signature } = readSigned(der, 'Certificate');
  const reader = new DerReader(tbs).enter(TAG.sequence, 'tbsCertificate');
  const version = reader.optionalEnter(contextTag(0), 'version');
  if (version === undefined || derSmallUnsigned(version.content(TAG.integer, 'version'), 'version') !== X509_V3) {
    throw new MalformedError('version: not v3');
  }
  version.end('version');
  const serial = derUnsigned(reader.content(TAG.integer, 'serialNumber'), MAX_SERIAL_BYTES, 'serialNumber');
  if (!reader.value(TAG.sequence, 'signature').full.equals(signatureAlgorithm)) {
    throw new MalformedError('signature: not the algorithm of the outer signature');
  }
  const issuer = readName(reader, 'issuer');
  const validity = reader.enter(TAG.sequence, 'validity');
  const notBeforeMs = readTime(validity, 'notBefore');
  const notAfterMs = readTime(validity, 'notAfter');
  validity.end('validity');
  const subject = readName(reader, 'subject');
  const spki = reader.value(TAG.sequence, 'subjectPublicKeyInfo').full;
  const list = reader.optionalEnter(contextTag(3), 'extensions');
  reader.end('tbsCertificate');
  const extensions = list === undefined ? new Map<string, Extension>() : readExtensions(list, 'extensions');
  const decode = <T>(oid: string, parse: (value: Buffer) => T): T | undefined => {
    const extension = extensions.get(oid);
    return extension === undefined ? undefined : parse(extension.value);
  };
  let key: CertifiedKey | undefined;
  return {
    der,
    tbs,
    serial: serial.toString('hex'),
    issuer,
    subject,
    notBeforeMs,
    notAfterMs,
    spki,
    publicKey: () => (key ??= parseSpki(spki)),
    signatureAlgorithm,
    signature,
    extensions,
    basicConstraints: decode(EXTENSION.basicConstraints, parseBasicConstraints),
    keyUsage: decode(EXTENSION.keyUsage, parseKeyUsage),
    extendedKeyUsage: decode(EXTENSION.extendedKeyUsage, parseExtendedKeyUsage),
    directoryNames: decode(EXTENSION.subjectAltName, parseDirectoryNames),
    crlDistributionPoints: decode(EXTENSION.crlDistributionPoints, parseCrlDistributionPoints),
    authorityKeyId: decode(EXTENSION.authorityKeyIdentifier, parseAuthorityKeyIdentifier),
    subjectKeyId: decode(EXTENSION.subjectKeyIdentifier, parseSubjectKeyIdentifier),
  };
}

/** What a certificate and a CRL are: what is signed, how, and the signature; nothing behind it. */
export interface SignedStructure {
  readonly tbs: Buffer;
  readonly signatureAlgorithm: Buffer;
  readonly signature: Buffer;
}

/** SIGNED{} (RFC 5280 sections 4.1.1 and 5.1.1). The caller has bounded the size. */
export function readSigned(der: Buffer, structure: string): SignedStructure {
  const outer = new DerReader(der);
  const signed = outer.enter(TAG.sequence, structure);
  outer.end(structure);
  const tbs = signed.value(TAG.sequence, `${structure} tbs`).full;
  const signatureAlgorithm = signed.value(TAG.sequence, 'signatureAlgorithm').full;
  const signature = derWholeBits(signed.content(TAG.bitString, 'signatureValue'), 'signatureValue');
  signed.end(structure);
  return { tbs, signatureAlgorithm, signature };
}

/** Time in Unix milliseconds. Makers write GeneralizedTime also for years in which RFC 5280 wants UTCTime. */
export function readTime(reader: DerReader, field: string): number {
  const utc = reader.optional(TAG.utcTime, field);
  if (utc !== undefined) return derUtcTime(utc, field);
  return derGeneralizedTime(reader.content(TAG.generalizedTime, field), field);
}
