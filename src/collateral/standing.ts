import { MalformedError } from '../bytes/malformed-error.js';
import { sha256Hex } from '../crypto/digest.js';
import { verifyEcdsa } from '../crypto/signature.js';
import { COMMON_NAME, onlyAttribute } from '../crypto/x509-name.js';
import { type Certificate, parseCertificate } from '../crypto/x509.js';
import type { RevocationList } from '../crypto/x509-crl.js';
import type { Purpose } from '../endorsement/certificate-checks.js';
import type { Collateral, SignedDocument } from '../endorsement/collateral.js';
import type { HardwareRoots } from '../endorsement/hardware-roots.js';
import { readDocumentBody } from '../endorsement/intel/document-body.js';
import { parseQeIdentity } from '../endorsement/intel/qe-identity.js';
import { parseTcbInfo } from '../endorsement/intel/tcb-info.js';
import { KnownPaths } from '../endorsement/known-paths.js';
import { MAX_CHAIN_CERTIFICATES, type PathFault, type ValidPath, validatePath } from '../endorsement/path.js';
import type { TrustAnchors } from '../endorsement/trust-anchors.js';
import { parseRim, type ReferenceManifest, verifyRim } from '../endorsement/rim/verify.js';
import { signerOf } from './crl-issuers.js';
import { collateralOf } from './directory.js';
import type { DocumentKind, Item } from './items.js';

/** What is said of one item: who vouches for it, and when it is good. */
export interface Standing {
  readonly item: Item;
  /** What it is about: `TDX 50806F000000`, `TD_QE`, the name of a CRL's issuer, the id of a RIM; empty where it cannot be told. */
  readonly subject: string;
  /** The same for items that speak about the same thing. */
  readonly topic: string;
  readonly edition: Edition;
  /** Both ends inclusive, Unix milliseconds, its signer's certificates considered. undefined where they cannot be told. */
  readonly fromMs: number | undefined;
  readonly untilMs: number | undefined;
  /** Why nobody who is believed vouches for it, whatever the time is; undefined where somebody does. */
  readonly fault: string | undefined;
  /** Of a RIM, as text: the measurements that it wants, the same of all that want the same. */
  readonly references?: string;
}

/** Orders items of one topic: by what they account for, then by when they were issued. */
export interface Edition {
  readonly rank: bigint;
  readonly issuedMs: number;
}

/** Who is believed, and who else may have signed CRLs; `crls`: further ones that may revoke a signer. */
export interface Vouchers {
  readonly roots: HardwareRoots;
  readonly crlIssuers: readonly Certificate[];
  readonly crls?: readonly RevocationList[];
}

export function isOlder(a: Edition, b: Edition): boolean {
  return a.rank === b.rank ? a.issuedMs < b.issuedMs : a.rank < b.rank;
}

/**
 * How each item stands: its signature, and the path of its signer to a pinned root, are verified for a time at which it was good,
 * so that what is forged is told from what is stale. A signer that a CRL among the items, or a further one, revokes is a fault.
 */
export function standingsOf(items: readonly Item[], vouchers: Vouchers): readonly Standing[] {
  const alone = collateralOf(items);
  const collateral = { ...alone, crls: [...alone.crls, ...(vouchers.crls ?? [])] };
  return items.map((item) => {
    try {
      switch (item.kind) {
        case 'tcb-info':
        case 'qe-identity':
          return documentStanding(item, item.kind, item.document, collateral, vouchers.roots);
        case 'crl':
          return crlStanding(item, item.crl.list, vouchers.crlIssuers);
        case 'rim':
          return rimStanding(item, item.xml, collateral, vouchers.roots);
      }
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      return unreadable(item, error.message);
    }
  });
}

function unreadable(item: Item, why: string): Standing {
  const edition = { rank: 0n, issuedMs: Number.NEGATIVE_INFINITY };
  return {
    item,
    subject: '',
    topic: `unreadable ${item.file}`,
    edition,
    fromMs: undefined,
    untilMs: undefined,
    fault: why,
  };
}

const TCB_SIGNER: Purpose = { keyUsage: { oneOf: ['digitalSignature'], mayBeAbsent: false } };
const TCB_SIGNER_NAME = 'Intel SGX TCB Signing';

function documentStanding(
  item: Item,
  kind: DocumentKind,
  { body, issuerChain }: SignedDocument,
  { crls }: Collateral,
  { intel }: HardwareRoots,
): Standing {
  const { inner, signature, value } = asServed(body, kind);
  const { subject, topic, dates } = aboutDocument(kind, value);
  const standing = {
    item,
    subject,
    topic,
    edition: { rank: BigInt(dates.evaluationDataNumber), issuedMs: dates.issuedAtMs },
    fromMs: dates.issuedAtMs,
    untilMs: dates.nextUpdateMs,
  };
  if (issuerChain.length === 0) return { ...standing, fault: 'there is no chain of its signer beside it' };
  const path = signerPath(issuerChain, dates, crls, intel);
  if (!path.ok) return { ...standing, fault: `its signer has no good path: ${path.detail}` };
  if (onlyAttribute(path.leaf.subject.attributes, COMMON_NAME) !== TCB_SIGNER_NAME) {
    return { ...standing, fault: 'it is signed by another than the TCB signing certificate' };
  }
  const certified = path.leaf.publicKey();
  const pair = { r: signature.subarray(0, 32), s: signature.subarray(32) };
  const isSigned =
    certified.type === 'ec' &&
    certified.curve === 'P-256' &&
    verifyEcdsa('sha256', 'P-256', certified.key, inner, pair);
  const certificates = [...path.path, path.anchor];
  return {
    ...standing,
    fromMs: Math.max(dates.issuedAtMs, ...certificates.map(({ notBeforeMs }) => notBeforeMs)),
    untilMs: Math.min(dates.nextUpdateMs, ...certificates.map(({ notAfterMs }) => notAfterMs)),
    fault: isSigned
      ? undefined
      : `it is not signed by its signer${LINE_END.test(inner.toString('latin1')) ? AS_IT_CAME : ''}`,
  };
}

/**
 * The path of the signer at the first moment at which document and path are both good: Intel certifies its signer anew with the same
 * key, and then serves documents beside a chain that is younger than they are. Where there is no such moment, why not at the last one.
 */
function signerPath(
  chain: readonly Buffer[],
  { issuedAtMs, nextUpdateMs }: { readonly issuedAtMs: number; readonly nextUpdateMs: number },
  crls: readonly RevocationList[],
  anchors: TrustAnchors,
): ValidPath | PathFault {
  const pathAt = (atMs: number) => {
    const request = { chain, anchors, atMs, purpose: TCB_SIGNER };
    const path = validatePath({ ...request, crls, crlPolicy: 'if-present' });
    const isUnlisted = !path.ok && path.fault === 'collateral';
    return isUnlisted ? validatePath({ ...request, crls: [], crlPolicy: 'none' }) : path;
  };
  let path = pathAt(issuedAtMs);
  for (const atMs of path.ok ? [] : beginnings(chain)) {
    if (!path.ok && issuedAtMs < atMs && atMs <= nextUpdateMs) path = pathAt(atMs);
  }
  return path;
}

/** When certificates begin to be valid, the first one first. Throws MalformedError. */
function beginnings(chain: readonly Buffer[]): readonly number[] {
  const found = chain.slice(0, MAX_CHAIN_CERTIFICATES).map((der) => parseCertificate(der).notBeforeMs);
  return [...new Set(found)].sort((a, b) => a - b);
}

const AS_IT_CAME = ': Intel signs the exact bytes, so keep it as it was served, not written anew by an editor or jq';
/** Intel serves documents of one line. */
const LINE_END = /[\r\n]/;

function asServed(body: Buffer, kind: DocumentKind) {
  try {
    return readDocumentBody(body, kind === 'tcb-info' ? 'tcbInfo' : 'enclaveIdentity');
  } catch (error) {
    throw error instanceof MalformedError ? new MalformedError(`${error.message}${AS_IT_CAME}`) : error;
  }
}

function aboutDocument(kind: DocumentKind, value: unknown) {
  if (kind === 'qe-identity') return { subject: 'TD_QE', topic: 'qe-identity TD_QE', dates: parseQeIdentity(value) };
  const info = parseTcbInfo(value);
  const fmspc = info.fmspc.toString('hex').toUpperCase();
  return { subject: `TDX ${fmspc}`, topic: `tcb-info ${fmspc} ${info.pceId.toString('hex')}`, dates: info };
}

function crlStanding(item: Item, list: RevocationList, issuers: readonly Certificate[]): Standing {
  const { issuer, thisUpdateMs, nextUpdateMs, crlNumber = '', scope } = list;
  const signer = signerOf(list, issuers);
  const isKnown = typeof signer !== 'string';
  return {
    item,
    subject: onlyAttribute(issuer.attributes, COMMON_NAME) ?? '(an issuer without a name)',
    topic: `crl ${sha256Hex(issuer.der)} ${JSON.stringify(scope)}`,
    edition: { rank: crlNumber === '' ? 0n : BigInt(`0x${crlNumber}`), issuedMs: thisUpdateMs },
    fromMs: thisUpdateMs,
    untilMs: isKnown ? Math.min(nextUpdateMs, signer.notAfterMs) : nextUpdateMs,
    fault: isKnown ? undefined : signer,
  };
}

function rimStanding(item: Item, xml: Buffer, collateral: Collateral, roots: HardwareRoots): Standing {
  const { manifest, signature, fromMs, untilMs } = parseRim(xml);
  const trust = { roots, collateral, paths: new KnownPaths(1), atMs: fromMs, requireCrls: false };
  const verified = verifyRim(xml, trust);
  return {
    item,
    subject: manifest.id,
    topic: `rim ${manifest.id}`,
    edition: { rank: 0n, issuedMs: signature.certificates[0]?.notBeforeMs ?? 0 },
    fromMs,
    untilMs,
    fault: verified.ok || verified.reason === 'collateral.unavailable' ? undefined : verified.detail,
    references: referencesOf(manifest),
  };
}

/** What is not active is never compared, and the order of alternatives means nothing. */
function referencesOf({ measurements }: ReferenceManifest): string {
  const active = [...measurements].filter(([, reference]) => reference.active).sort(([a], [b]) => a - b);
  return active
    .map(([index, { alternatives }]) => {
      const values = new Set(alternatives.map((value) => value.toString('hex')));
      return `${String(index)}: ${[...values].sort().join(' ')}`;
    })
    .join('\n');
}
