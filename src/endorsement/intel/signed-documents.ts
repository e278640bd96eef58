/**
 * Intel's word about its platforms, modules and enclaves: TCB info and QE identity, as its Provisioning Certification Service serves
 * them. This room may assume nothing about the documents: they come from a cache or a bundle, and may be forged, stale or another's.
 */
import { equalBytes } from '../../bytes/equal.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { verifyEcdsa } from '../../crypto/signature.js';
import { COMMON_NAME, onlyAttribute } from '../../crypto/x509-name.js';
import type { Certificate } from '../../crypto/x509.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import type { Purpose } from '../certificate-checks.js';
import type { HardwareTrust, SignedDocument } from '../collateral.js';
import { type DocumentBody, readDocumentBody } from './document-body.js';
import { parseQeIdentity, type QeIdentity } from './qe-identity.js';
import { intelRevocationLists } from './revocation-lists.js';
import { parseTcbInfo, type TcbInfo } from './tcb-info.js';

const SIGNER_COMMON_NAME = 'Intel SGX TCB Signing';
const SIGNER_PURPOSE: Purpose = { keyUsage: { oneOf: ['digitalSignature'], mayBeAbsent: false } };

/** Which platform collateral is wanted for. */
export interface Platform {
  /** 6 bytes. */
  readonly fmspc: Buffer;
  /** 2 bytes. */
  readonly pceId: Buffer;
  /** The root above the platform's PCK: that of another maker may not speak about it. */
  readonly anchor: Certificate;
}

/**
 * The TCB info for a platform: of those at hand that Intel signed and that are current, the one that accounts for the most; of equals the
 * one that was issued last. Its signer must have a good path to the same root as the platform, not revoked, with a current CRL of that
 * root. Refusal: collateral.unavailable where there is none that can be used. That is never a verdict on the platform, whatever is
 * wrong with the documents: another one may say that it is good.
 */
export function currentTcbInfo(trust: HardwareTrust, { fmspc, pceId, anchor }: Platform): Result<TcbInfo> {
  const fits = (info: TcbInfo) => equalBytes(info.fmspc, fmspc) && equalBytes(info.pceId, pceId);
  return newest(trust, trust.collateral.tcbInfos, TCB_INFO, fits, anchor);
}

/** The identity of Intel's quoting enclave for trust domains, chosen and refused as `currentTcbInfo` does. */
export function currentQeIdentity(trust: HardwareTrust, anchor: Certificate): Result<QeIdentity> {
  return newest(trust, trust.collateral.qeIdentities, QE_IDENTITY, () => true, anchor);
}

interface Dated {
  readonly issuedAtMs: number;
  readonly nextUpdateMs: number;
  readonly evaluationDataNumber: number;
}

interface Opened<T> extends Pick<DocumentBody, 'inner' | 'signature'> {
  readonly content: T;
  /** The signer's key (SPKI, latin1) by which the signature has been found to be good. */
  signedBy: string | undefined;
}

/** A kind of document, and those of it that were opened before; undefined where one does not parse. */
interface Kind<T> {
  readonly name: string;
  readonly member: 'tcbInfo' | 'enclaveIdentity';
  readonly parse: (value: unknown) => T;
  readonly opened: WeakMap<Buffer, Opened<T> | { readonly malformed: string }>;
}

const TCB_INFO: Kind<TcbInfo> = {
  name: 'TCB info',
  member: 'tcbInfo',
  parse: parseTcbInfo,
  opened: new WeakMap(),
};
const QE_IDENTITY: Kind<QeIdentity> = {
  name: 'QE identity',
  member: 'enclaveIdentity',
  parse: parseQeIdentity,
  opened: new WeakMap(),
};

function newest<T extends Dated>(
  trust: HardwareTrust,
  documents: readonly SignedDocument[],
  kind: Kind<T>,
  fits: (content: T) => boolean,
  anchor: Certificate,
): Result<T> {
  let malformed: string | undefined;
  const candidates: { readonly document: SignedDocument; readonly opened: Opened<T> }[] = [];
  for (const document of documents) {
    const opened = open(document.body, kind);
    if ('malformed' in opened) malformed ??= opened.malformed;
    else if (fits(opened.content)) candidates.push({ document, opened });
  }
  candidates.sort((a, b) => newestFirst(a.opened.content, b.opened.content));
  let unusable: string | undefined;
  for (const { document, opened } of candidates) {
    const fault = currencyFault(opened.content, trust.atMs) ?? signatureFault(document, opened, trust, anchor);
    if (fault === undefined) return accept(opened.content);
    unusable ??= fault;
  }
  return reject('collateral.unavailable', `${kind.name}: ${unusable ?? malformed ?? 'none for this platform'}`);
}

/** By what they account for, then by when they were issued: never by the order of files. */
function newestFirst(a: Dated, b: Dated): number {
  return b.evaluationDataNumber - a.evaluationDataNumber || b.issuedAtMs - a.issuedAtMs;
}

function open<T>(body: Buffer, { member, parse, opened }: Kind<T>): Opened<T> | { readonly malformed: string } {
  let known = opened.get(body);
  if (known === undefined) {
    try {
      const { inner, signature, value } = readDocumentBody(body, member);
      known = { inner, signature, content: parse(value), signedBy: undefined };
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      known = { malformed: error.message };
    }
    opened.set(body, known);
  }
  return known;
}

function currencyFault({ issuedAtMs, nextUpdateMs }: Dated, atMs: number): string | undefined {
  if (!(issuedAtMs <= atMs)) return 'from the future';
  return atMs <= nextUpdateMs ? undefined : 'past its nextUpdate';
}

function signatureFault<T>(
  { issuerChain }: SignedDocument,
  opened: Opened<T>,
  trust: HardwareTrust,
  root: Certificate,
): string | undefined {
  const request = { chain: issuerChain, anchors: trust.roots.intel, atMs: trust.atMs, purpose: SIGNER_PURPOSE };
  const found = trust.paths.validate('intel-tcb-signing', request, intelRevocationLists(trust.collateral));
  if (!found.ok) return `the signer's certificate: ${found.detail}`;
  const { leaf, path, anchor } = found;
  if (path.length !== 1 || onlyAttribute(leaf.subject.attributes, COMMON_NAME) !== SIGNER_COMMON_NAME) {
    return 'signed by another than the TCB signing certificate';
  }
  if (!anchor.der.equals(root.der)) return 'signed under another root than the platform';
  return isSignedBy(opened, leaf) ? undefined : 'its signature is not good';
}

function isSignedBy<T>(opened: Opened<T>, signer: Certificate): boolean {
  const name = signer.spki.toString('latin1');
  if (opened.signedBy === name) return true;
  try {
    const certified = signer.publicKey();
    if (certified.type !== 'ec' || certified.curve !== 'P-256') return false;
    const { signature, inner } = opened;
    const pair = { r: signature.subarray(0, 32), s: signature.subarray(32) };
    if (!verifyEcdsa('sha256', 'P-256', certified.key, inner, pair)) return false;
  } catch (error) {
    if (error instanceof MalformedError) return false;
    throw error;
  }
  opened.signedBy = name;
  return true;
}
