import { equalBytes } from '../../bytes/equal.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { sha256 } from '../../crypto/digest.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import {
  HASH_TYPE_SHA256,
  REPORT_DATA_BYTES,
  REPORT_TYPE_NAMES,
  REPORT_TYPE_SNP,
  REPORT_TYPE_TDX,
  SNP_REPORT_DATA_OFFSET,
  TD_REPORT_DATA_OFFSET,
} from './constants.js';
import { type HclFrame, type HclReport, openFrame, parseHclFrame } from './report.js';
import { isZero, type TdReport } from './td-report.js';

/** The fields of a TD quote's body that its TD report has too. */
export interface TdQuoteBody extends Pick<
  TdReport,
  | 'teeTcbSvn'
  | 'mrSeam'
  | 'mrSignerSeam'
  | 'seamAttributes'
  | 'tdAttributes'
  | 'xfam'
  | 'mrTd'
  | 'mrConfigId'
  | 'mrOwner'
  | 'mrOwnerConfig'
  | 'rtmrs'
  | 'reportData'
> {
  /** With TDX 1.5. */
  readonly teeTcbSvn2?: Buffer | undefined;
  readonly mrServiceTd?: Buffer | undefined;
}

/**
 * Parses an HCL report, with a reason where it cannot be used. hcl.type: it is of no SEV-SNP or TDX machine, or its runtime data
 * is bound by another hash than SHA-256, which is the only one that paravisors are known to use, so that nobody knows how
 * a longer one would stand in the report data. hcl.runtime_data: the runtime data does not parse and is not what the hardware
 * report names either, so it was changed. evidence.malformed: all else that does not parse. NOT verified: the hardware report.
 */
export function readHclReport(bytes: Buffer): Result<HclReport> {
  let frame: HclFrame | undefined;
  try {
    frame = parseHclFrame(bytes);
    const refused = typeRefusal(frame);
    return refused ?? accept(openFrame(frame));
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    if (frame !== undefined && !isNamed(frame.runtimeData, reportDataIn(frame))) return notNamed();
    return reject('evidence.malformed', error.message);
  }
}

/**
 * Demands that the hardware report names the runtime data: its report data is SHA-256(runtime data), then 32 zero bytes, all 64
 * compared. `reportData` is that of the verified SNP report or TD quote, never what the HCL report says by itself.
 * hcl.type: bound by another hash than SHA-256. hcl.runtime_data: another hash.
 */
export function bindRuntimeData(
  { hashType, runtimeData }: Pick<HclReport, 'hashType' | 'runtimeData'>,
  reportData: Buffer,
): Result<undefined> {
  if (hashType !== HASH_TYPE_SHA256)
    return reject('hcl.type', 'the runtime data is bound by another hash than SHA-256');
  return isNamed(runtimeData, reportData) ? accept(undefined) : notNamed();
}

/**
 * Demands that a verified quote is of the TD report in the HCL report: every field that both have is equal. Of the TD report's
 * own fields CPUSVN and MAC are in no quote, and so are believed by nobody. hcl.quote_mismatch names the first that differs.
 */
export function matchTdQuote(tdReport: TdReport, quote: TdQuoteBody): Result<undefined> {
  const pairs: readonly (readonly [string, Buffer, Buffer | undefined])[] = [
    ['REPORTDATA', tdReport.reportData, quote.reportData],
    ['MRTD', tdReport.mrTd, quote.mrTd],
    ['MRCONFIGID', tdReport.mrConfigId, quote.mrConfigId],
    ['MROWNER', tdReport.mrOwner, quote.mrOwner],
    ['MROWNERCONFIG', tdReport.mrOwnerConfig, quote.mrOwnerConfig],
    ...tdReport.rtmrs.map((rtmr, n) => [`RTMR${String(n)}`, rtmr, quote.rtmrs[n]] as const),
    ['ATTRIBUTES', tdReport.tdAttributes, quote.tdAttributes],
    ['XFAM', tdReport.xfam, quote.xfam],
    ['TEE_TCB_SVN', tdReport.teeTcbSvn, quote.teeTcbSvn],
    ['MRSEAM', tdReport.mrSeam, quote.mrSeam],
    ['MRSIGNERSEAM', tdReport.mrSignerSeam, quote.mrSignerSeam],
    ['SEAM_ATTRIBUTES', tdReport.seamAttributes, quote.seamAttributes],
  ];
  const other = pairs.find(([, ours, theirs]) => theirs === undefined || !equalBytes(ours, theirs));
  if (other !== undefined) return mismatch(other[0]);
  const { teeTcbSvn2, mrServiceTd } = quote;
  if (teeTcbSvn2 !== undefined && !equalBytes(tdReport.teeTcbSvn2, teeTcbSvn2)) return mismatch('TEE_TCB_SVN2');
  // A quote of TDX 1.0 cannot speak of service TDs: then there must be none.
  const sameService =
    mrServiceTd === undefined ? isZero(tdReport.mrServiceTd) : equalBytes(tdReport.mrServiceTd, mrServiceTd);
  return sameService ? accept(undefined) : mismatch('SERVTD_HASH');
}

function mismatch(field: string): Result<undefined> {
  return reject('hcl.quote_mismatch', `${field} of the TD report is not the one of the quote`);
}

function notNamed(): Result<never> {
  return reject('hcl.runtime_data', 'the report data of the hardware report is not the hash of the runtime data');
}

function typeRefusal({ reportType, hashType }: HclFrame): Result<never> | undefined {
  if (reportType !== REPORT_TYPE_SNP && reportType !== REPORT_TYPE_TDX) {
    const name = REPORT_TYPE_NAMES.get(reportType) ?? 'unknown';
    return reject(
      'hcl.type',
      `the report is of type ${String(reportType)} (${name}), which no hardware known here signs`,
    );
  }
  if (hashType !== HASH_TYPE_SHA256)
    return reject('hcl.type', 'the runtime data is bound by another hash than SHA-256');
  return undefined;
}

/** The report data that the hardware report inside says, unverified. */
export function reportDataIn({ reportType, hardwareSlot }: HclFrame): Buffer {
  const offset = reportType === REPORT_TYPE_SNP ? SNP_REPORT_DATA_OFFSET : TD_REPORT_DATA_OFFSET;
  return hardwareSlot.subarray(offset, offset + REPORT_DATA_BYTES);
}

function isNamed(runtimeData: Buffer, reportData: Buffer): boolean {
  return equalBytes(Buffer.concat([sha256(runtimeData), Buffer.alloc(32)]), reportData);
}
