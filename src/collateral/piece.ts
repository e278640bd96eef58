import { fromBase64, toBase64 } from '../bytes/base64.js';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { pemBlocks } from '../crypto/pem.js';
import { MAX_CRL_BYTES, parseCrl, type RevocationList } from '../crypto/x509-crl.js';
import { MAX_CERTIFICATE_BYTES, parseCertificate } from '../crypto/x509.js';
import { MAX_DOCUMENT_BYTES } from '../endorsement/intel/document-body.js';
import { MAX_RIM_BYTES } from '../endorsement/rim/xml.js';

/** What is said in one file. Parsed as far as to tell what it is: nothing is verified. */
export type Piece =
  | { readonly kind: 'tcb-info' | 'qe-identity'; readonly body: Buffer }
  | { readonly kind: 'crls'; readonly crls: readonly Crl[] }
  | { readonly kind: 'rim'; readonly xml: Buffer }
  | IssuerChain;

/** A CRL as it was signed, and parsed. */
export interface Crl {
  readonly der: Buffer;
  readonly list: RevocationList;
}

export interface IssuerChain {
  readonly kind: 'chain';
  /** DER, the signer first. */
  readonly certificates: readonly Buffer[];
}

const MAX_CRLS = 64;
const MAX_CERTIFICATES = 8;
const DER_SEQUENCE = 0x30;
const CRL_LABEL = 'X509 CRL';

/**
 * Tells by its content what a file is: JSON of Intel (TCB info, QE identity) or of NVIDIA's RIM service; XML, a RIM; CRLs
 * and certificates in DER or PEM (a file of one label). Names say nothing: what is called .pem is often DER. At most what its
 * kind may have: a verifier reads no more. Throws MalformedError for anything else; the message quotes nothing.
 */
export function parsePiece(bytes: Buffer): Piece {
  if (bytes[0] === DER_SEQUENCE) return parseDer(bytes);
  const start = bytes
    .subarray(0, 1024)
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '')
    .trimStart();
  if (start.startsWith('{')) return parseDocument(bytes);
  if (start.startsWith('<')) return rimOf(bytes);
  return parsePem(bytes.toString('latin1'));
}

function parseDer(bytes: Buffer): Piece {
  if (isCertificate(bytes)) return { kind: 'chain', certificates: [bytes] };
  return { kind: 'crls', crls: [readCrl(bytes)] };
}

function isCertificate(bytes: Buffer): boolean {
  try {
    parseCertificate(bytes);
    return true;
  } catch (error) {
    if (error instanceof MalformedError) return false;
    throw error;
  }
}

function readCrl(der: Buffer): Crl {
  return { der, list: parseCrl(der) };
}

function parsePem(text: string): Piece {
  if (text.includes(`-----BEGIN ${CRL_LABEL}-----`)) {
    return { kind: 'crls', crls: pemBlocks(text, CRL_LABEL, MAX_CRLS, MAX_CRL_BYTES).map(readCrl) };
  }
  const certificates = pemBlocks(text, 'CERTIFICATE', MAX_CERTIFICATES, MAX_CERTIFICATE_BYTES);
  if (certificates.length === 0) throw new MalformedError('neither JSON, XML, DER nor PEM');
  return { kind: 'chain', certificates: signerFirst(certificates) };
}

/** Chains are told from either end; who issued itself signs no documents. */
function signerFirst(certificates: readonly Buffer[]): readonly Buffer[] {
  const parsed = certificates.map(parseCertificate);
  const isRoot = (index: number) => parsed[index]?.subject.der.equals(parsed[index].issuer.der) === true;
  return isRoot(0) && !isRoot(certificates.length - 1) ? [...certificates].reverse() : certificates;
}

function parseDocument(bytes: Buffer): Piece {
  if (bytes.length > MAX_DOCUMENT_BYTES)
    throw new MalformedError(`JSON of more than ${String(MAX_DOCUMENT_BYTES)} bytes`);
  const value = parseJson(bytes);
  const { tcbInfo, enclaveIdentity, signature, rim } = value as Readonly<Record<string, unknown>>;
  if (typeof signature === 'string' && isObject(tcbInfo)) return { kind: 'tcb-info', body: bytes };
  if (typeof signature === 'string' && isObject(enclaveIdentity)) return { kind: 'qe-identity', body: bytes };
  if (typeof rim === 'string') return rimOf(fromBase64(rim, 'rim'));
  throw new MalformedError('neither TCB info nor QE identity, each with its signature, nor what a RIM service answers');
}

function rimOf(xml: Buffer): Piece {
  if (xml.length > MAX_RIM_BYTES) throw new MalformedError(`a RIM of more than ${String(MAX_RIM_BYTES)} bytes`);
  return { kind: 'rim', xml };
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether they say the same, however they are written. */
export function isSamePiece(a: Piece | undefined, b: Piece): boolean {
  if (a?.kind !== b.kind) return false;
  const [left, right] = [partsOf(a), partsOf(b)];
  return left.length === right.length && left.every((part, index) => right[index]?.equals(part) === true);
}

function partsOf(piece: Piece): readonly Buffer[] {
  switch (piece.kind) {
    case 'tcb-info':
    case 'qe-identity':
      return [piece.body];
    case 'crls':
      return piece.crls.map(({ der }) => der);
    case 'rim':
      return [piece.xml];
    case 'chain':
      return piece.certificates;
  }
}

/** What a file is to hold, so that parsePiece reads the same of it. */
export function contentOf(piece: Piece): Buffer {
  const parts = partsOf(piece);
  const [first] = parts;
  if (piece.kind !== 'chain' && parts.length === 1 && first !== undefined) return first;
  const label = piece.kind === 'chain' ? 'CERTIFICATE' : CRL_LABEL;
  return Buffer.from(parts.map((der) => pemBlock(label, der)).join(''), 'latin1');
}

function pemBlock(label: string, der: Buffer): string {
  const lines = toBase64(der).replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}
