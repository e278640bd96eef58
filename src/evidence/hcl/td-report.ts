import { equalBytes } from '../../bytes/equal.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { Reader } from '../../bytes/reader.js';
import { digest } from '../../crypto/digest.js';
import {
  MEASUREMENT_BYTES,
  REPORT_DATA_BYTES,
  TD_INFO_OFFSET,
  TD_REPORT_BYTES,
  TD_REPORT_TYPE,
  TEE_TCB_INFO_BYTES,
  TEE_TCB_INFO_OFFSET,
} from './constants.js';

/** TDREPORT_STRUCT. Numbers are kept as the bytes that they are, little-endian, as quotes have them. */
export interface TdReport {
  readonly cpuSvn: Buffer;
  readonly reportData: Buffer;
  /** 32 bytes. Only the machine that made it can verify it. */
  readonly mac: Buffer;
  /** TEE_TCB_INFO. */
  readonly teeTcbSvn: Buffer;
  readonly mrSeam: Buffer;
  readonly mrSignerSeam: Buffer;
  readonly seamAttributes: Buffer;
  /** Of the module that is loaded now, where it was updated under a running TD; zero with modules before 1.5. */
  readonly teeTcbSvn2: Buffer;
  /** TDINFO. */
  readonly tdAttributes: Buffer;
  readonly xfam: Buffer;
  readonly mrTd: Buffer;
  readonly mrConfigId: Buffer;
  readonly mrOwner: Buffer;
  readonly mrOwnerConfig: Buffer;
  /** RTMR0 to RTMR3. */
  readonly rtmrs: readonly Buffer[];
  /** SERVTD_HASH: zero where no service TD is bound. */
  readonly mrServiceTd: Buffer;
}

/**
 * Parses a TDREPORT (Intel TDX module, 1024 bytes): REPORTMACSTRUCT, TEE_TCB_INFO, TDINFO. Reserved bytes are zero, and both
 * hashes of the first part are those of the other two. NOT verified: the MAC, so nothing of it is believed but what a quote
 * says too. Throws MalformedError.
 */
export function parseTdReport(bytes: Buffer): TdReport {
  const r = new Reader(bytes);
  const type = r.u8('REPORTTYPE.TYPE');
  const subtype = r.u8('REPORTTYPE.SUBTYPE');
  const version = r.u8('REPORTTYPE.VERSION');
  if (type !== TD_REPORT_TYPE || subtype !== 0) throw new MalformedError('TDREPORT: not the report of a TD');
  zero(r, 13, 'REPORTMACSTRUCT');
  const cpuSvn = r.take(16, 'CPUSVN');
  const teeTcbInfoHash = r.take(MEASUREMENT_BYTES, 'TEE_TCB_INFO_HASH');
  const teeInfoHash = r.take(MEASUREMENT_BYTES, 'TEE_INFO_HASH');
  const reportData = r.take(REPORT_DATA_BYTES, 'REPORTDATA');
  zero(r, 32, 'REPORTMACSTRUCT');
  const mac = r.take(32, 'MAC');
  r.take(8, 'TEE_TCB_INFO.VALID');
  const tcb = {
    teeTcbSvn: r.take(16, 'TEE_TCB_SVN'),
    mrSeam: r.take(MEASUREMENT_BYTES, 'MRSEAM'),
    mrSignerSeam: r.take(MEASUREMENT_BYTES, 'MRSIGNERSEAM'),
    seamAttributes: r.take(8, 'SEAM_ATTRIBUTES'),
    teeTcbSvn2: r.take(16, 'TEE_TCB_SVN2'),
  };
  zero(r, 95, 'TEE_TCB_INFO');
  zero(r, 17, 'TDREPORT');
  const td = {
    tdAttributes: r.take(8, 'ATTRIBUTES'),
    xfam: r.take(8, 'XFAM'),
    mrTd: r.take(MEASUREMENT_BYTES, 'MRTD'),
    mrConfigId: r.take(MEASUREMENT_BYTES, 'MRCONFIGID'),
    mrOwner: r.take(MEASUREMENT_BYTES, 'MROWNER'),
    mrOwnerConfig: r.take(MEASUREMENT_BYTES, 'MROWNERCONFIG'),
    rtmrs: [0, 1, 2, 3].map((n) => r.take(MEASUREMENT_BYTES, `RTMR${String(n)}`)),
    mrServiceTd: r.take(MEASUREMENT_BYTES, 'SERVTD_HASH'),
  };
  zero(r, 64, 'TDINFO');
  r.end('TDREPORT');
  // Version 1 says that SERVTD_HASH is in use.
  if (version !== (isZero(td.mrServiceTd) ? 0 : 1)) throw new MalformedError('TDREPORT: of an unknown version');
  const tcbInfo = bytes.subarray(TEE_TCB_INFO_OFFSET, TEE_TCB_INFO_OFFSET + TEE_TCB_INFO_BYTES);
  hashed(tcbInfo, teeTcbInfoHash, 'TEE_TCB_INFO');
  hashed(bytes.subarray(TD_INFO_OFFSET, TD_REPORT_BYTES), teeInfoHash, 'TDINFO');
  return { cpuSvn, reportData, mac, ...tcb, ...td };
}

function hashed(part: Buffer, hash: Buffer, name: string): void {
  if (!equalBytes(digest('sha384', part), hash)) throw new MalformedError(`TDREPORT: the hash of ${name} is another`);
}

function zero(r: Reader, length: number, structure: string): void {
  if (!isZero(r.take(length, `${structure}: reserved`))) {
    throw new MalformedError(`${structure}: reserved bytes are not zero`);
  }
}

/** Whether all bytes are zero. */
export function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
