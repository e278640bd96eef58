import { createHash, type KeyObject, sign } from 'node:crypto';
import { Writer } from '../bytes/writer.js';
import { digest, sha256 } from '../crypto/digest.js';
import {
  BODY_TYPE_TD10,
  BODY_TYPE_TD15,
  CERTIFICATION_PCK_CHAIN,
  CERTIFICATION_QE_REPORT,
  INTEL_QE_VENDOR,
  KEY_TYPE_ECDSA_P256,
  QUOTE_V4,
  QUOTE_V5,
  TD10_BYTES,
  TD15_BYTES,
  TEE_TYPE_TDX,
} from '../evidence/tdx/constants.js';
import type { TdReportBody } from '../evidence/tdx/quote.js';
import { derivedKey, publicPoint } from './certificate.js';
import type { SimulatedMakers } from './makers.js';
import { issuePck, type PckDraft } from './tdx-pck.js';

/** The signer of the simulated quoting enclave (MRSIGNER), and its SVN while it is up to date. */
export const SIMULATED_QE_SIGNER = sha256(Buffer.from('Portcullis simulator: quoting enclave'));
export const SIMULATED_QE_PROD_ID = 2;
export const SIMULATED_QE_SVN = 8;

/** The report of the quoting enclave, as far as it can be made another one. */
export interface SimulatedQe {
  /** 16 bytes. */
  readonly attributes?: Buffer;
  /** 4 bytes, as they stand in the report; default: zeros. */
  readonly miscSelect?: Buffer;
  readonly mrSigner?: Buffer;
  readonly isvProdId?: number;
  readonly isvSvn?: number;
  /** 64 bytes; SHA-256 of attestation key and authentication data, then zeros, unless given. */
  readonly reportData?: Buffer;
}

export interface SimulatedTdOptions {
  /** 32 bytes: the platform. Its PPID and keys follow from it; the same seed is the same platform. */
  readonly seed: Buffer;
  /** Default 4. A quote of version 4 holds TD reports of TDX 1.0 only. */
  readonly version?: 4 | 5;
  /** Default TD1.0 for quotes of version 4, TD1.5 for 5. */
  readonly bodyType?: 'TD1.0' | 'TD1.5';
  /** Fields of the TD report that differ from those of a plain trust domain under an up-to-date module. */
  readonly body?: Partial<TdReportBody>;
  readonly qe?: SimulatedQe;
  readonly pck?: Partial<PckDraft>;
}

/** What of one quote differs from the others of the trust domain. */
export interface QuoteChanges {
  readonly body?: Partial<TdReportBody>;
  readonly qe?: SimulatedQe;
  /** DER: instead of PCK, CA and root. */
  readonly certificates?: readonly Buffer[];
  /** Bytes behind the signature data. */
  readonly trailing?: Buffer;
}

/**
 * A trust domain on a simulated platform: quotes of the genuine layout, signed by an attestation key that the report of a quoting
 * enclave names, which a PCK of the simulated Intel signs. With `simulatedIntelCollateral` it is graded UpToDate. Lengths of what is
 * handed in are the caller's to keep: another length is another structure, as a test may want.
 */
export class SimulatedTd {
  readonly options: SimulatedTdOptions;
  /** 16 bytes. */
  readonly ppid: Buffer;
  /** DER: PCK, CA, root. */
  readonly certificates: readonly Buffer[];
  readonly #pck: KeyObject;
  readonly #attestation: { readonly key: KeyObject; readonly spki: Buffer };

  constructor(intel: SimulatedMakers['intel'], options: SimulatedTdOptions) {
    this.options = options;
    this.ppid = shake(options.seed, 'PPID', 16);
    const pck = derivedKey(options.seed, 'PCK', 'P-256');
    this.#pck = pck.key;
    this.#attestation = derivedKey(options.seed, 'attestation key', 'P-256');
    const leaf = issuePck(intel, { spki: pck.spki, ppid: this.ppid, ...options.pck });
    this.certificates = [leaf, intel.pckCa.certificate, intel.root.certificate];
  }

  /** The TD report of the trust domain, as a quote over it will have it. `reportData`: 64 bytes. */
  report(reportData: Buffer, changes: Partial<TdReportBody> = {}): TdReportBody {
    const is15 = this.#bodyType === 'TD1.5';
    return {
      teeTcbSvn: svn(7, 1, 3),
      mrSeam: digest('sha384', Buffer.from('Portcullis simulator: TDX module')),
      mrSignerSeam: Buffer.alloc(48),
      seamAttributes: Buffer.alloc(8),
      // SEPT_VE_DISABLE.
      tdAttributes: Buffer.from('0000001000000000', 'hex'),
      xfam: Buffer.from('e702060000000000', 'hex'),
      mrTd: digest('sha384', Buffer.from('Portcullis simulator: trust domain')),
      mrConfigId: Buffer.alloc(48),
      mrOwner: Buffer.alloc(48),
      mrOwnerConfig: Buffer.alloc(48),
      rtmrs: ['firmware', 'boot loader', 'kernel'].map(rtmr).concat(Buffer.alloc(48)),
      reportData,
      teeTcbSvn2: is15 ? svn(7, 1, 3) : undefined,
      mrServiceTd: is15 ? Buffer.alloc(48) : undefined,
      ...this.options.body,
      ...changes,
    };
  }

  /** A quote over the trust domain with this report data, 64 bytes. */
  quote(reportData: Buffer, changes: QuoteChanges = {}): Buffer {
    const header = this.#header();
    const body = encodeTdReport(this.report(reportData, changes.body));
    const signed = Buffer.concat([header, body]);
    const attestationKey = publicPoint(this.#attestation.spki, 'P-256').subarray(1);
    const authData = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
    const qeReport = encodeQeReport({
      reportData: Buffer.concat([sha256(attestationKey, authData), Buffer.alloc(32)]),
      ...this.options.qe,
      ...changes.qe,
    });
    const pem = Buffer.from(`${(changes.certificates ?? this.certificates).map(toPem).join('')}\0`, 'latin1');
    const certification = new Writer()
      .bytes(qeReport)
      .bytes(signRaw(this.#pck, qeReport))
      .u16le(authData.length)
      .bytes(authData)
      .u16le(CERTIFICATION_PCK_CHAIN)
      .u32le(pem.length)
      .bytes(pem)
      .finish();
    const signatureData = new Writer()
      .bytes(signRaw(this.#attestation.key, signed))
      .bytes(attestationKey)
      .u16le(CERTIFICATION_QE_REPORT)
      .u32le(certification.length)
      .bytes(certification)
      .finish();
    const trailing = changes.trailing ?? Buffer.alloc(0);
    return new Writer().bytes(signed).u32le(signatureData.length).bytes(signatureData).bytes(trailing).finish();
  }

  get #version(): 4 | 5 {
    return this.options.version ?? QUOTE_V4;
  }

  get #bodyType(): 'TD1.0' | 'TD1.5' {
    return this.options.bodyType ?? (this.#version === QUOTE_V5 ? 'TD1.5' : 'TD1.0');
  }

  #header(): Buffer {
    const header = new Writer()
      .u16le(this.#version)
      .u16le(KEY_TYPE_ECDSA_P256)
      .u32le(TEE_TYPE_TDX)
      .u32le(0)
      .bytes(Buffer.from(INTEL_QE_VENDOR, 'hex'))
      .bytes(Buffer.concat([this.ppid, Buffer.alloc(4)]));
    if (this.#version === QUOTE_V4) return header.finish();
    const is15 = this.#bodyType === 'TD1.5';
    return header
      .u16le(is15 ? BODY_TYPE_TD15 : BODY_TYPE_TD10)
      .u32le(is15 ? TD15_BYTES : TD10_BYTES)
      .finish();
  }
}

/** A TD report body in its order; the two fields of TDX 1.5 where they are there. */
export function encodeTdReport(body: TdReportBody): Buffer {
  return Buffer.concat([
    body.teeTcbSvn,
    body.mrSeam,
    body.mrSignerSeam,
    body.seamAttributes,
    body.tdAttributes,
    body.xfam,
    body.mrTd,
    body.mrConfigId,
    body.mrOwner,
    body.mrOwnerConfig,
    ...body.rtmrs,
    body.reportData,
    ...(body.teeTcbSvn2 === undefined ? [] : [body.teeTcbSvn2]),
    ...(body.mrServiceTd === undefined ? [] : [body.mrServiceTd]),
  ]);
}

function encodeQeReport(qe: SimulatedQe & { readonly reportData: Buffer }): Buffer {
  return new Writer()
    .bytes(Buffer.alloc(16, 0x05))
    .bytes(qe.miscSelect ?? Buffer.alloc(4))
    .bytes(Buffer.alloc(12 + 16))
    .bytes(qe.attributes ?? Buffer.from('1500000000000000e700000000000000', 'hex'))
    .bytes(sha256(Buffer.from('Portcullis simulator: quoting enclave code')))
    .bytes(Buffer.alloc(32))
    .bytes(qe.mrSigner ?? SIMULATED_QE_SIGNER)
    .bytes(Buffer.alloc(32 + 64))
    .u16le(qe.isvProdId ?? SIMULATED_QE_PROD_ID)
    .u16le(qe.isvSvn ?? SIMULATED_QE_SVN)
    .bytes(Buffer.alloc(2 + 42 + 16))
    .bytes(qe.reportData)
    .finish();
}

function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function signRaw(key: KeyObject, data: Buffer): Buffer {
  return sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' });
}

/** SVN and major version of the TDX module, SVN of the SEAM loader, and zeros. */
function svn(module: number, version: number, loader: number): Buffer {
  return Buffer.concat([Buffer.of(module, version, loader), Buffer.alloc(13)]);
}

function rtmr(of: string): Buffer {
  return digest('sha384', Buffer.alloc(48), digest('sha384', Buffer.from(`Portcullis simulator: ${of}`)));
}

function shake(seed: Buffer, label: string, bytes: number): Buffer {
  return createHash('shake256', { outputLength: bytes }).update(seed).update(label).digest();
}
