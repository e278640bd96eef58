import { MalformedError } from '../bytes/malformed-error.js';
import { contextTag, DerReader, primitiveTag, TAG } from './der.js';
import { derBoolean, derNamedBits, derOid, derSmallUnsigned } from './der-values.js';
import { readName, type Name } from './x509-name.js';

/** Extensions of certificates and CRLs that are understood or named here (RFC 5280 sections 4.2 and 5.2). */
export const EXTENSION = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  crlNumber: '2.5.29.20',
  reasonCode: '2.5.29.21',
  deltaCrlIndicator: '2.5.29.27',
  issuingDistributionPoint: '2.5.29.28',
  nameConstraints: '2.5.29.30',
  crlDistributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  authorityKeyIdentifier: '2.5.29.35',
  policyConstraints: '2.5.29.36',
  extendedKeyUsage: '2.5.29.37',
} as const;

const MAX_EXTENSIONS = 40;
const MAX_LIST = 64;
const MAX_KEY_ID_BYTES = 64;

/** One extension as received; `value` is the content of its OCTET STRING. */
export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Buffer;
}

/** KeyUsage bits in the order of RFC 5280 section 4.2.1.3. */
export const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;
export type KeyUsage = (typeof KEY_USAGES)[number];

export interface BasicConstraints {
  readonly ca: boolean;
  /** How many intermediate certificates may stand between this one and the leaf. */
  readonly pathLength?: number;
}

/** The EXPLICIT Extensions of a certificate or a CRL: at least one, at most 40, none twice. */
export function readExtensions(reader: DerReader, structure: string): ReadonlyMap<string, Extension> {
  const list = reader.enter(TAG.sequence, structure);
  reader.end(structure);
  const extensions = new Map<string, Extension>();
  do {
    const extension = readExtension(list);
    if (extensions.has(extension.oid)) throw new MalformedError(`${structure}: an extension stands there twice`);
    if (extensions.size === MAX_EXTENSIONS) throw new MalformedError(`${structure}: too many extensions`);
    extensions.set(extension.oid, extension);
  } while (list.more);
  return extensions;
}

/** One Extension. A `critical` of FALSE that is written out is not DER, but found in the field, and says the same. */
function readExtension(list: DerReader): Extension {
  const reader = list.enter(TAG.sequence, 'extension');
  const oid = derOid(reader.content(TAG.oid, 'extnID'), 'extnID');
  const critical = optionalBoolean(reader, TAG.boolean, 'critical');
  const value = reader.content(TAG.octetString, 'extnValue');
  reader.end('extension');
  return { oid, critical, value };
}

export function parseBasicConstraints(value: Buffer): BasicConstraints {
  const reader = inside(value, 'basicConstraints');
  const ca = optionalBoolean(reader, TAG.boolean, 'cA');
  const pathLength = reader.optional(TAG.integer, 'pathLenConstraint');
  reader.end('basicConstraints');
  return pathLength === undefined ? { ca } : { ca, pathLength: derSmallUnsigned(pathLength, 'pathLenConstraint') };
}

export function parseKeyUsage(value: Buffer): readonly KeyUsage[] {
  const reader = new DerReader(value);
  const bits = derNamedBits(reader.content(TAG.bitString, 'keyUsage'), KEY_USAGES.length, 'keyUsage');
  reader.end('keyUsage');
  return KEY_USAGES.filter((_, bit) => bits[bit] === true);
}

/** The purposes, as dotted OIDs. */
export function parseExtendedKeyUsage(value: Buffer): readonly string[] {
  const reader = inside(value, 'extKeyUsage');
  const purposes: string[] = [];
  do {
    if (purposes.length === MAX_LIST) throw new MalformedError('extKeyUsage: too many purposes');
    purposes.push(derOid(reader.content(TAG.oid, 'KeyPurposeId'), 'KeyPurposeId'));
  } while (reader.more);
  return purposes;
}

export function parseSubjectKeyIdentifier(value: Buffer): Buffer {
  const reader = new DerReader(value);
  const id = keyIdentifier(reader.content(TAG.octetString, 'subjectKeyIdentifier'), 'subjectKeyIdentifier');
  reader.end('subjectKeyIdentifier');
  return id;
}

/** The keyIdentifier of an AuthorityKeyIdentifier, if it has one. Issuer and serial in it are not read: they are no check of RFC 5280 section 6. */
export function parseAuthorityKeyIdentifier(value: Buffer): Buffer | undefined {
  const reader = inside(value, 'authorityKeyIdentifier');
  const id = reader.optional(primitiveTag(0), 'keyIdentifier');
  reader.optional(contextTag(1), 'authorityCertIssuer');
  reader.optional(primitiveTag(2), 'authorityCertSerialNumber');
  reader.end('authorityKeyIdentifier');
  return id === undefined ? undefined : keyIdentifier(id, 'authorityKeyIdentifier');
}

/** The directoryNames of a SubjectAltName; names of other kinds are left out. */
export function parseDirectoryNames(value: Buffer): readonly Name[] {
  const names: Name[] = [];
  forEachGeneralName(inside(value, 'subjectAltName'), 'subjectAltName', (general) => {
    if (general.tag !== contextTag(4)) return;
    const reader = new DerReader(general.content);
    names.push(readName(reader, 'directoryName'));
    reader.end('directoryName');
  });
  return names;
}

/**
 * The URIs of the distribution points whose CRL is that of the certificate's own issuer for all reasons. They are names to
 * compare with an issuingDistributionPoint; nothing ever fetches them.
 */
export function parseCrlDistributionPoints(value: Buffer): readonly string[] {
  const list = inside(value, 'cRLDistributionPoints');
  const uris: string[] = [];
  let points = 0;
  do {
    if (++points > MAX_LIST) throw new MalformedError('cRLDistributionPoints: too many');
    const point = list.enter(TAG.sequence, 'DistributionPoint');
    const name = point.optionalEnter(contextTag(0), 'distributionPoint');
    const reasons = point.optional(primitiveTag(1), 'reasons');
    const issuer = point.optional(contextTag(2), 'cRLIssuer');
    point.end('DistributionPoint');
    const named = name === undefined ? [] : readFullName(name);
    if (reasons === undefined && issuer === undefined) uris.push(...named);
  } while (list.more);
  return uris;
}

/** The URIs of a DistributionPointName; a name relative to the CRL's issuer gives none. */
export function readFullName(name: DerReader): readonly string[] {
  const uris: string[] = [];
  const relative = name.optional(contextTag(1), 'nameRelativeToCRLIssuer');
  if (relative === undefined) {
    forEachGeneralName(name.enter(contextTag(0), 'fullName'), 'fullName', ({ tag, content }) => {
      if (tag === primitiveTag(6)) uris.push(content.toString('latin1'));
    });
  }
  name.end('DistributionPointName');
  return uris;
}

/** A BOOLEAN that is FALSE where it is absent. */
export function optionalBoolean(reader: DerReader, tag: number, field: string): boolean {
  const content = reader.optional(tag, field);
  return content !== undefined && derBoolean(content, field);
}

/** The reader of the SEQUENCE that is the whole value of an extension. */
export function inside(value: Buffer, field: string): DerReader {
  const outer = new DerReader(value);
  const reader = outer.enter(TAG.sequence, field);
  outer.end(field);
  return reader;
}

function forEachGeneralName(
  reader: DerReader,
  field: string,
  visit: (name: ReturnType<DerReader['any']>) => void,
): void {
  let count = 0;
  do {
    if (++count > MAX_LIST) throw new MalformedError(`${field}: too many names`);
    visit(reader.any(field));
  } while (reader.more);
}

function keyIdentifier(id: Buffer, field: string): Buffer {
  if (id.length === 0 || id.length > MAX_KEY_ID_BYTES)
    throw new MalformedError(`${field}: a key identifier of this length`);
  return id;
}
