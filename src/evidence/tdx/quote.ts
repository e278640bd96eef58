/**
 * Intel TDX evidence: a quote over a trust domain. This room may assume nothing about its input; makers' collateral, clock and
 * roots are handed in, and nothing is fetched.
 */
import { MalformedError } from '../../bytes/malformed-error.js';
import { Reader } from '../../bytes/reader.js';
import { toHex } from '../../bytes/hex.js';
import { pemBlocks } from '../../crypto/pem.js';
import { MAX_CERTIFICATE_BYTES } from '../../crypto/x509.js';
import {
  BODY_TYPE_TD10,
  BODY_TYPE_TD15,
  CERTIFICATION_PCK_CHAIN,
  CERTIFICATION_QE_REPORT,
  INTEL_QE_VENDOR,
  KEY_TYPE_ECDSA_P256,
  MAX_PCK_CERTIFICATES,
  MAX_PCK_CHAIN_BYTES,
  MAX_QE_AUTH_BYTES,
  MAX_TRAILING_BYTES,
  P256_PAIR_BYTES,
  QE_REPORT_BYTES,
  QUOTE_HEADER_BYTES,
  QUOTE_V4,
  QUOTE_V5,
  TD10_BYTES,
  TD15_BYTES,
  TEE_TYPE_TDX,
} from './constants.js';

/** The quote is of a version, type or key that is not verified here; whether the rest of it is well formed is not known. */
export class UnsupportedQuoteError extends MalformedError {}

/** The measurements of a trust domain (TDREPORT body of TDX 1.0 or 1.5), bytes as they stand in the quote. */
export interface TdReportBody {
  /** 16 bytes: SVN and major version of the TDX module, SEAMLDR, and 13 more. Those that the trust domain was launched with. */
  readonly teeTcbSvn: Buffer;
  readonly mrSeam: Buffer;
  readonly mrSignerSeam: Buffer;
  /** 8 bytes. */
  readonly seamAttributes: Buffer;
  /** 8 bytes, little-endian. */
  readonly tdAttributes: Buffer;
  /** 8 bytes, little-endian. */
  readonly xfam: Buffer;
  readonly mrTd: Buffer;
  readonly mrConfigId: Buffer;
  readonly mrOwner: Buffer;
  readonly mrOwnerConfig: Buffer;
  /** Four, 48 bytes each. */
  readonly rtmrs: readonly Buffer[];
  /** 64 bytes. */
  readonly reportData: Buffer;
  /** TDX 1.5 only: the SVNs of what runs now. */
  readonly teeTcbSvn2: Buffer | undefined;
  /** TDX 1.5 only: hash over the service TDs that are bound to the trust domain; zero where there is none. */
  readonly mrServiceTd: Buffer | undefined;
}

/** REPORT of the quoting enclave. */
export interface QeReport {
  /** All 384 bytes: what the PCK signs. */
  readonly bytes: Buffer;
  readonly cpuSvn: Buffer;
  /** 4 bytes, little-endian. */
  readonly miscSelect: Buffer;
  /** 16 bytes. */
  readonly attributes: Buffer;
  readonly mrEnclave: Buffer;
  readonly mrSigner: Buffer;
  readonly isvProdId: number;
  readonly isvSvn: number;
  readonly reportData: Buffer;
}

/** A quote, parsed: nothing in it is verified. */
export interface TdxQuote {
  readonly version: 4 | 5;
  readonly bodyType: 'TD1.0' | 'TD1.5';
  /** 20 bytes that the quoting enclave may choose; a platform id in its first 16. */
  readonly userData: Buffer;
  readonly body: TdReportBody;
  /** Header and body: the bytes that the attestation key signs. */
  readonly signed: Buffer;
  /** r and s. */
  readonly signature: Buffer;
  /** x and y. */
  readonly attestationKey: Buffer;
  readonly qeReport: QeReport;
  /** r and s, by the PCK. */
  readonly qeSignature: Buffer;
  readonly qeAuthData: Buffer;
  /** DER, as they stand in the quote: PCK leaf, CA, root. */
  readonly certificates: readonly Buffer[];
  /** Bytes behind the signature data, which nothing signs. */
  readonly trailingBytes: number;
}

/**
 * Parses a TDX quote of version 4 or 5 (Intel TDX DCAP quoting library API, quote format) with ECDSA P-256 and a PCK chain in PEM.
 * Type and size of a version 5 body must belong together, every length must be exact, reserved bytes zero. Up to 4096 bytes behind
 * the signature data are ignored. Throws only MalformedError; UnsupportedQuoteError where another version, TEE, key type, vendor,
 * body or kind of certification data is announced.
 */
export function parseTdxQuote(bytes: Buffer): TdxQuote {
  const reader = new Reader(bytes);
  const { version, userData } = readHeader(reader);
  const bodyType = version === QUOTE_V4 ? 'TD1.0' : readBodyType(reader);
  const body = readBody(reader, bodyType === 'TD1.5');
  const signed = bytes.subarray(0, reader.offset);
  const length = reader.u32le('signature data length');
  const signatureData = new Reader(reader.take(length, 'signature data'));
  if (reader.remaining > MAX_TRAILING_BYTES) {
    throw new MalformedError(`quote: more than ${String(MAX_TRAILING_BYTES)} bytes behind the signature data`);
  }
  return {
    version,
    bodyType,
    userData,
    body,
    signed,
    ...readSignatureData(signatureData),
    trailingBytes: reader.remaining,
  };
}

function readHeader(reader: Reader): Pick<TdxQuote, 'version' | 'userData'> {
  if (reader.remaining < QUOTE_HEADER_BYTES) throw new MalformedError('quote: shorter than its header');
  const version = reader.u16le('version');
  if (version !== QUOTE_V4 && version !== QUOTE_V5) throw new UnsupportedQuoteError('version: neither 4 nor 5');
  if (reader.u16le('attestation key type') !== KEY_TYPE_ECDSA_P256) {
    throw new UnsupportedQuoteError('attestation key type: not ECDSA on P-256');
  }
  if (reader.u32le('TEE type') !== TEE_TYPE_TDX) throw new UnsupportedQuoteError('TEE type: not TDX');
  zeros(reader, 4, 'header reserved');
  if (toHex(reader.take(16, 'QE vendor id')) !== INTEL_QE_VENDOR) {
    throw new UnsupportedQuoteError('QE vendor id: not the one of Intel');
  }
  return { version, userData: reader.take(20, 'user data') };
}

function readBodyType(reader: Reader): TdxQuote['bodyType'] {
  const type = reader.u16le('body type');
  const size = reader.u32le('body size');
  switch (type) {
    case BODY_TYPE_TD10:
      if (size !== TD10_BYTES) throw new MalformedError('body size: not the one of a TD report of TDX 1.0');
      return 'TD1.0';
    case BODY_TYPE_TD15:
      if (size !== TD15_BYTES) throw new MalformedError('body size: not the one of a TD report of TDX 1.5');
      return 'TD1.5';
    default:
      throw new UnsupportedQuoteError('body type: no TD report that is known here');
  }
}

function readBody(reader: Reader, is15: boolean): TdReportBody {
  const measurement = (field: string) => reader.take(48, field);
  return {
    teeTcbSvn: reader.take(16, 'TEE_TCB_SVN'),
    mrSeam: measurement('MRSEAM'),
    mrSignerSeam: measurement('MRSIGNERSEAM'),
    seamAttributes: reader.take(8, 'SEAMATTRIBUTES'),
    tdAttributes: reader.take(8, 'TDATTRIBUTES'),
    xfam: reader.take(8, 'XFAM'),
    mrTd: measurement('MRTD'),
    mrConfigId: measurement('MRCONFIGID'),
    mrOwner: measurement('MROWNER'),
    mrOwnerConfig: measurement('MROWNERCONFIG'),
    rtmrs: ['RTMR0', 'RTMR1', 'RTMR2', 'RTMR3'].map(measurement),
    reportData: reader.take(64, 'REPORTDATA'),
    teeTcbSvn2: is15 ? reader.take(16, 'TEE_TCB_SVN_2') : undefined,
    mrServiceTd: is15 ? measurement('MRSERVICETD') : undefined,
  };
}

type SignatureData = Pick<
  TdxQuote,
  'signature' | 'attestationKey' | 'qeReport' | 'qeSignature' | 'qeAuthData' | 'certificates'
>;

function readSignatureData(reader: Reader): SignatureData {
  const signature = reader.take(P256_PAIR_BYTES, 'quote signature');
  const attestationKey = reader.take(P256_PAIR_BYTES, 'attestation key');
  const outer = certification(reader, CERTIFICATION_QE_REPORT, 'QE certification data');
  reader.end('signature data');
  const qeReport = readQeReport(outer.take(QE_REPORT_BYTES, 'QE report'));
  const qeSignature = outer.take(P256_PAIR_BYTES, 'QE report signature');
  const authLength = outer.u16le('QE authentication data length');
  if (authLength > MAX_QE_AUTH_BYTES) throw new MalformedError('QE authentication data: too long');
  const qeAuthData = outer.take(authLength, 'QE authentication data');
  const inner = certification(outer, CERTIFICATION_PCK_CHAIN, 'PCK certification data');
  outer.end('QE certification data');
  return { signature, attestationKey, qeReport, qeSignature, qeAuthData, certificates: readPckChain(inner) };
}

/** Certification data of the one type that is expected at this place. */
function certification(reader: Reader, type: number, field: string): Reader {
  if (reader.u16le(`${field} type`) !== type) throw new UnsupportedQuoteError(`${field}: of a type not known here`);
  return new Reader(reader.take(reader.u32le(`${field} length`), field));
}

function readQeReport(bytes: Buffer): QeReport {
  const reader = new Reader(bytes);
  const cpuSvn = reader.take(16, 'CPUSVN');
  const miscSelect = reader.take(4, 'MISCSELECT');
  zeros(reader, 12, 'QE report reserved 1');
  reader.take(16, 'ISVEXTPRODID');
  const attributes = reader.take(16, 'ATTRIBUTES');
  const mrEnclave = reader.take(32, 'MRENCLAVE');
  zeros(reader, 32, 'QE report reserved 2');
  const mrSigner = reader.take(32, 'MRSIGNER');
  zeros(reader, 32, 'QE report reserved 3');
  reader.take(64, 'CONFIGID');
  const isvProdId = reader.u16le('ISVPRODID');
  const isvSvn = reader.u16le('ISVSVN');
  reader.take(2, 'CONFIGSVN');
  zeros(reader, 42, 'QE report reserved 4');
  reader.take(16, 'ISVFAMILYID');
  const reportData = reader.take(64, 'QE report data');
  return { bytes, cpuSvn, miscSelect, attributes, mrEnclave, mrSigner, isvProdId, isvSvn, reportData };
}

/** Nothing but PEM, one line end after each line, and the zero byte that Intel ends the text with: no byte of it is free to be another. */
const PEM_CHAIN =
  /^(?:-----BEGIN CERTIFICATE-----\r?\n(?:[A-Za-z0-9+/=]{1,76}\r?\n)+-----END CERTIFICATE-----(?:\r?\n|(?=\0?$)))+\0?$/;

function readPckChain(reader: Reader): readonly Buffer[] {
  if (reader.remaining > MAX_PCK_CHAIN_BYTES) throw new MalformedError('PCK certificate chain: too long');
  const text = reader.take(reader.remaining, 'PCK certificate chain').toString('latin1');
  if (!PEM_CHAIN.test(text)) throw new MalformedError('PCK certificate chain: not certificates in PEM');
  return pemBlocks(text.replace(/\0$/, ''), 'CERTIFICATE', MAX_PCK_CERTIFICATES, MAX_CERTIFICATE_BYTES);
}

function zeros(reader: Reader, length: number, field: string): void {
  if (reader.take(length, field).some((byte) => byte !== 0)) throw new MalformedError(`${field}: not zero`);
}
