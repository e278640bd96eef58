import { MalformedError } from '../bytes/malformed-error.js';
import { contextTag, DerReader, primitiveTag, TAG } from './der.js';
import { derSmallUnsigned, derUnsigned } from './der-values.js';
import { readSigned, readTime } from './x509.js';
import { readRevokedSerials } from './x509-crl-entries.js';
import {
  EXTENSION,
  inside,
  optionalBoolean,
  parseAuthorityKeyIdentifier,
  readExtensions,
  readFullName,
  type Extension,
} from './x509-extensions.js';
import { readName, type Name } from './x509-name.js';

/** The largest CRL that is read, in bytes and in entries. */
export const MAX_CRL_BYTES = 4 * 1024 * 1024;
export const MAX_CRL_ENTRIES = 100_000;
const MAX_CRL_NUMBER_BYTES = 20;
const CRL_V2 = 1;

/** What of its issuer's certificates a CRL is about (RFC 5280 section 5.2.5). */
export interface CrlScope {
  /** Names that one of the certificate's distribution points must share; undefined where the CRL names none. */
  readonly distributionPoints: readonly string[] | undefined;
  readonly only: 'leaves' | 'authorities' | undefined;
}

/** A CRL, parsed: its signature is not verified, and whether it is current not looked at. */
export interface RevocationList {
  readonly tbs: Buffer;
  readonly issuer: Name;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
  readonly scope: CrlScope;
  readonly authorityKeyId: Buffer | undefined;
  /** Lower-case hex of the number, without sign byte; undefined where the CRL has none. */
  readonly crlNumber: string | undefined;
  readonly signatureAlgorithm: Buffer;
  readonly signature: Buffer;
  readonly entries: number;
  /** Whether this serial (hex, as in Certificate) is listed, for whatever reason: on hold is revoked too. */
  readonly lists: (serial: string) => boolean;
  /** What it lists, each serial without sign byte as one character a byte. */
  readonly serials: ReadonlySet<string>;
}

/**
 * Parses a CRL (RFC 5280 section 5) of at most 4 MiB and 100,000 entries. Refused by MalformedError, as what is not
 * understood must not pass for "not revoked": delta and indirect CRLs, those for some reasons or for attribute
 * certificates only, one without nextUpdate, critical extensions that are unknown, also of an entry, and entries that are
 * taken off the list (removeFromCRL), which only a delta may have.
 */
export function parseCrl(der: Buffer): RevocationList {
  if (der.length > MAX_CRL_BYTES) throw new MalformedError(`CRL: more than ${String(MAX_CRL_BYTES)} bytes`);
  const { tbs, signatureAlgorithm, signature } = readSigned(der, 'CRL');
  const reader = new DerReader(tbs).enter(TAG.sequence, 'tbsCertList');
  const version = reader.optional(TAG.integer, 'version');
  if (version !== undefined && derSmallUnsigned(version, 'version') !== CRL_V2) {
    throw new MalformedError('version: not v2');
  }
  if (!reader.value(TAG.sequence, 'signature').full.equals(signatureAlgorithm)) {
    throw new MalformedError('signature: not the algorithm of the outer signature');
  }
  const issuer = readName(reader, 'issuer');
  const thisUpdateMs = readTime(reader, 'thisUpdate');
  if (reader.nextTag !== TAG.utcTime && reader.nextTag !== TAG.generalizedTime) {
    throw new MalformedError('nextUpdate: missing');
  }
  const nextUpdateMs = readTime(reader, 'nextUpdate');
  const revoked = reader.optional(TAG.sequence, 'revokedCertificates');
  const serials =
    revoked === undefined ? new Set<string>() : readRevokedSerials(revoked, MAX_CRL_ENTRIES, version !== undefined);
  const extensionList = reader.optionalEnter(contextTag(0), 'crlExtensions');
  reader.end('tbsCertList');
  if (extensionList !== undefined && version === undefined) throw new MalformedError('crlExtensions: in a v1 CRL');
  const extensions =
    extensionList === undefined ? new Map<string, Extension>() : readExtensions(extensionList, 'crlExtensions');
  return {
    tbs,
    issuer,
    thisUpdateMs,
    nextUpdateMs,
    ...readCrlExtensions(extensions),
    signatureAlgorithm,
    signature,
    entries: serials.size,
    serials,
    lists: (serial) => serials.has(Buffer.from(serial, 'hex').toString('latin1')),
  };
}

function readCrlExtensions(
  extensions: ReadonlyMap<string, Extension>,
): Pick<RevocationList, 'scope' | 'authorityKeyId' | 'crlNumber'> {
  let scope: CrlScope = { distributionPoints: undefined, only: undefined };
  let authorityKeyId: Buffer | undefined;
  let crlNumber: string | undefined;
  for (const { oid, critical, value } of extensions.values()) {
    switch (oid) {
      case EXTENSION.issuingDistributionPoint:
        scope = parseIssuingDistributionPoint(value);
        break;
      case EXTENSION.authorityKeyIdentifier:
        authorityKeyId = parseAuthorityKeyIdentifier(value);
        break;
      case EXTENSION.crlNumber:
        crlNumber = parseCrlNumber(value);
        break;
      case EXTENSION.deltaCrlIndicator:
        throw new MalformedError('a delta CRL');
      default:
        if (critical) throw new MalformedError('a critical CRL extension that is not understood');
    }
  }
  return { scope, authorityKeyId, crlNumber };
}

function parseIssuingDistributionPoint(value: Buffer): CrlScope {
  const reader = inside(value, 'issuingDistributionPoint');
  const name = reader.optionalEnter(contextTag(0), 'distributionPoint');
  const leaves = optionalBoolean(reader, primitiveTag(1), 'onlyContainsUserCerts');
  const authorities = optionalBoolean(reader, primitiveTag(2), 'onlyContainsCACerts');
  const reasons = reader.optional(primitiveTag(3), 'onlySomeReasons');
  const indirect = optionalBoolean(reader, primitiveTag(4), 'indirectCRL');
  const attributes = optionalBoolean(reader, primitiveTag(5), 'onlyContainsAttributeCerts');
  reader.end('issuingDistributionPoint');
  if (reasons !== undefined) throw new MalformedError('a CRL for some reasons only');
  if (indirect) throw new MalformedError('an indirect CRL');
  if (attributes || (leaves && authorities)) throw new MalformedError('a CRL for no certificates that are used here');
  return {
    distributionPoints: name === undefined ? undefined : readFullName(name),
    only: leaves ? 'leaves' : authorities ? 'authorities' : undefined,
  };
}

function parseCrlNumber(value: Buffer): string {
  const reader = new DerReader(value);
  const number = derUnsigned(reader.content(TAG.integer, 'cRLNumber'), MAX_CRL_NUMBER_BYTES, 'cRLNumber');
  reader.end('cRLNumber');
  return number.toString('hex');
}
