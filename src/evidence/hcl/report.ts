/*
 * src/evidence/hcl may assume nothing about an HCL report: the virtual machine's paravisor made it, or anybody did. The
 * hardware report inside is for src/evidence/{snp,tdx} to verify; here is only what ties the rest to it. What runs at the
 * reported privilege level chose the runtime data: it is Microsoft's paravisor only where the measurement says so.
 */
import { MalformedError } from '../../bytes/malformed-error.js';
import { Reader } from '../../bytes/reader.js';
import {
  CAPABILITIES_BYTES,
  HARDWARE_SLOT_BYTES,
  HASH_TYPE_NAMES,
  HCL_SIGNATURE,
  HCL_VERSIONS,
  HEADER_BYTES,
  MAX_PADDING_BYTES,
  MAX_RUNTIME_DATA_BYTES,
  REPORT_TYPE_SNP,
  REPORT_TYPE_TDX,
  REQUEST_DATA_BYTES,
  REQUEST_TYPE_AK_CERT,
  TD_REPORT_BYTES,
} from './constants.js';
import { parseRuntimeData, type RuntimeData } from './runtime-data.js';
import { isZero, parseTdReport, type TdReport } from './td-report.js';

/** The HCL report with its parts still closed. */
export interface HclFrame {
  /** Of the header: 1 or 2. */
  readonly version: number;
  /** Of the request: 1 or 2. */
  readonly requestVersion: number;
  /** IgvmAttestReportType; of any value. */
  readonly reportType: number;
  /** IgvmAttestHashType: 1 SHA-256, 2 SHA-384, 3 SHA-512. */
  readonly hashType: number;
  /** Of request version 2: what the paravisor asks of the host; 0 before. */
  readonly capabilities: number;
  /** 1184 bytes: the hardware report, zeros behind a shorter one. */
  readonly hardwareSlot: Buffer;
  /** JSON, the exact bytes whose hash the hardware report names. */
  readonly runtimeData: Buffer;
}

export interface HclReport extends Omit<HclFrame, 'reportType' | 'hardwareSlot'>, RuntimeData {
  readonly hardware:
    { readonly kind: 'snp'; readonly report: Buffer } | { readonly kind: 'tdx'; readonly tdReport: TdReport };
}

/**
 * Parses the frame: header, hardware slot, request data, runtime data, padding. All three sizes must agree, reserved bytes and
 * status be zero, the request be the one for an AK certificate, which is the only one that paravisors store, and which has no
 * version above 2 (openvmm, igvm_attest::create_request). Behind it up to 4096 zero bytes. Views, no copies. Throws MalformedError.
 */
export function parseHclFrame(bytes: Buffer): HclFrame {
  const r = new Reader(bytes);
  if (!r.take(4, 'signature').equals(HCL_SIGNATURE)) throw new MalformedError('HCL report: does not start with HCLA');
  const version = r.u32le('version');
  if (!HCL_VERSIONS.includes(version)) throw new MalformedError('HCL report: neither of version 1 nor 2');
  const reportSize = r.u32le('report_size');
  const requestType = r.u32le('request_type');
  const status = r.u32le('status');
  if (requestType !== REQUEST_TYPE_AK_CERT) throw new MalformedError('HCL report: of another request than AK_CERT');
  if (status !== 0 || !isZero(r.take(12, 'reserved'))) {
    throw new MalformedError('HCL report: status or reserved bytes are not zero');
  }
  const hardwareSlot = r.take(HARDWARE_SLOT_BYTES, 'hardware report');
  const dataSize = r.u32le('data_size');
  const requestVersion = r.u32le('request version');
  const reportType = r.u32le('report_type');
  const hashType = r.u32le('report_data_hash_type');
  const runtimeSize = r.u32le('variable_data_size');
  if (requestVersion !== 1 && requestVersion !== 2) {
    throw new MalformedError('HCL report: of a request that is neither of version 1 nor 2');
  }
  if (!HASH_TYPE_NAMES.has(hashType)) throw new MalformedError('HCL report: of an unknown hash type');
  if (runtimeSize > MAX_RUNTIME_DATA_BYTES) {
    throw new MalformedError(`runtime data: longer than ${String(MAX_RUNTIME_DATA_BYTES)} bytes`);
  }
  const headBytes = REQUEST_DATA_BYTES + (requestVersion === 1 ? 0 : CAPABILITIES_BYTES);
  const sizes = [headBytes + runtimeSize, HEADER_BYTES + HARDWARE_SLOT_BYTES + headBytes + runtimeSize];
  if (dataSize !== sizes[0] || reportSize !== sizes[1]) throw new MalformedError('HCL report: its sizes disagree');
  const capabilities = requestVersion === 1 ? 0 : r.u32le('capability bitmap');
  const runtimeData = r.take(runtimeSize, 'runtime data');
  if (r.remaining > MAX_PADDING_BYTES || !isZero(r.take(r.remaining, 'padding'))) {
    throw new MalformedError('HCL report: trailing bytes that are no zero padding');
  }
  return { version, requestVersion, reportType, hashType, capabilities, hardwareSlot, runtimeData };
}

/** The hardware report of a frame, if it is of a kind that is known here. Throws MalformedError. */
export function hardwareOf({ reportType, hardwareSlot }: HclFrame): HclReport['hardware'] {
  switch (reportType) {
    case REPORT_TYPE_SNP:
      return { kind: 'snp', report: hardwareSlot };
    case REPORT_TYPE_TDX: {
      if (!isZero(hardwareSlot.subarray(TD_REPORT_BYTES))) {
        throw new MalformedError('HCL report: bytes behind the TD report are not zero');
      }
      return { kind: 'tdx', tdReport: parseTdReport(hardwareSlot.subarray(0, TD_REPORT_BYTES)) };
    }
    default:
      throw new MalformedError('HCL report: neither of an SEV-SNP nor of a TDX machine');
  }
}

/**
 * Parses an HCL report whole, hardware report and runtime data included. NOT verified: the hardware report, and that it names
 * the runtime data (`bindRuntimeData`). Throws MalformedError, for kinds other than SNP and TDX too; `readHclReport` tells them
 * apart.
 */
export function parseHclReport(bytes: Buffer): HclReport {
  return openFrame(parseHclFrame(bytes));
}

/** The rest of the way from a frame to a report. Throws MalformedError. */
export function openFrame(frame: HclFrame): HclReport {
  const { version, requestVersion, hashType, capabilities, runtimeData } = frame;
  const hardware = hardwareOf(frame);
  return { version, requestVersion, hashType, capabilities, runtimeData, hardware, ...parseRuntimeData(runtimeData) };
}
