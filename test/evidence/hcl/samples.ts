/** HCL reports of the simulator, with a fixed key, so that the same test sees the same bytes. */
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { rsaSpki } from '../../../src/crypto/signature.js';
import {
  type HclDraft,
  simulatedHclReport,
  simulatedTdReport,
  type TdReportDraft,
} from '../../../src/simulator/hcl.js';

/** Whether a parser refuses, and with nothing but its own error. For loops over thousands of inputs. */
export function isMalformed(parse: () => unknown): boolean {
  try {
    parse();
    return false;
  } catch (error) {
    if (error instanceof MalformedError) return true;
    throw error;
  }
}

/** Moduli that nobody knows the factors of: nothing is signed with them. */
export const AK_SPKI = rsaSpki(Buffer.alloc(256, 0xab));
export const EK_SPKI = rsaSpki(Buffer.alloc(384, 0xcd));
export const USER_DATA = Buffer.from('what the guest wrote');

/** As much of an SNP report as an HCL report needs: the report data at its place, and something everywhere else. */
export function snpReport(reportData: Buffer): Buffer {
  const report = Buffer.alloc(1184, 0x5a);
  reportData.copy(report, 0x50);
  return report;
}

/** Every field of its own value. */
export const TD_FIELDS = {
  teeTcbSvn: Buffer.alloc(16, 1),
  mrSeam: Buffer.alloc(48, 2),
  mrSignerSeam: Buffer.alloc(48, 3),
  seamAttributes: Buffer.alloc(8, 4),
  teeTcbSvn2: Buffer.alloc(16, 5),
  tdAttributes: Buffer.alloc(8, 6),
  xfam: Buffer.alloc(8, 7),
  mrTd: Buffer.alloc(48, 8),
  mrConfigId: Buffer.alloc(48, 9),
  mrOwner: Buffer.alloc(48, 10),
  mrOwnerConfig: Buffer.alloc(48, 11),
  rtmrs: [12, 13, 14, 15].map((value) => Buffer.alloc(48, value)),
  mrServiceTd: Buffer.alloc(48, 16),
} satisfies Omit<TdReportDraft, 'reportData'>;

export function snpHcl(draft: Partial<HclDraft> = {}): Buffer {
  return simulatedHclReport({
    akSpki: AK_SPKI,
    ekSpki: EK_SPKI,
    userData: USER_DATA,
    hardware: { kind: 'snp', report: snpReport },
    ...draft,
  });
}

export function tdxHcl(draft: Partial<HclDraft> = {}, fields: Partial<TdReportDraft> = TD_FIELDS): Buffer {
  const report = (reportData: Buffer) => simulatedTdReport({ reportData, ...fields });
  return simulatedHclReport({ akSpki: AK_SPKI, hardware: { kind: 'tdx', report }, ...draft });
}

/** The report with bytes overwritten. */
export function patched(report: Buffer, offset: number, ...bytes: readonly number[]): Buffer {
  const copy = Buffer.from(report);
  Buffer.from(bytes).copy(copy, offset);
  return copy;
}
