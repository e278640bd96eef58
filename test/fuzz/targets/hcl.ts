/**
 * Fuzz targets for HCL reports of Azure machines. `run` throws only on a finding: an error that is no refusal, or changed runtime
 * data that is believed. Seeds are made with fixed keys.
 */
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { hclClaims } from '../../../src/evidence/hcl/claims.js';
import { explainHcl } from '../../../src/evidence/hcl/explain.js';
import { parseHclReport } from '../../../src/evidence/hcl/report.js';
import { parseRuntimeData } from '../../../src/evidence/hcl/runtime-data.js';
import { parseTdReport } from '../../../src/evidence/hcl/td-report.js';
import { bindRuntimeData, readHclReport } from '../../../src/evidence/hcl/verify.js';
import { simulatedTdReport } from '../../../src/simulator/hcl.js';
import { snpHcl, TD_FIELDS, tdxHcl } from '../../evidence/hcl/samples.js';
import type { FuzzTarget } from '../target.js';

const REPORTS = [snpHcl(), snpHcl({ requestVersion: 2 }), tdxHcl()];
const GOOD = REPORTS.map((report) => parseHclReport(report));
const REPORT_DATA = GOOD.map(({ hardware }) =>
  hardware.kind === 'snp' ? hardware.report.subarray(0x50, 0x90) : hardware.tdReport.reportData,
);
const TD_REPORT = simulatedTdReport({ reportData: Buffer.alloc(64, 0x77), ...TD_FIELDS });

/** What the parser gives; undefined where it refuses. Anything else that is thrown is a finding. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

/** Whatever was changed: where the genuine report data still names the runtime data, it is the genuine runtime data. */
function runReport(input: Buffer): void {
  parsed(() => explainHcl({ report: input, certificates: [], quote: undefined }));
  const read = readHclReport(input);
  const whole = parsed(() => parseHclReport(input));
  if (!read.ok) return;
  if (whole === undefined) throw new Error('a report is read that does not parse');
  hclClaims(read.value);
  for (const reportData of REPORT_DATA) {
    if (!bindRuntimeData(read.value, reportData).ok) continue;
    const { akSpki, runtimeData } = read.value;
    const genuine = GOOD.find((report) => report.runtimeData.equals(runtimeData));
    if (genuine === undefined) throw new Error('changed runtime data is believed');
    if (akSpki === undefined || genuine.akSpki?.equals(akSpki) !== true) throw new Error('another AK is believed');
  }
}

export const targets: readonly FuzzTarget[] = [
  { name: 'hcl/report', seeds: REPORTS, run: runReport },
  {
    name: 'hcl/runtime-data',
    seeds: GOOD.map(({ runtimeData }) => runtimeData),
    run: (input) => void parsed(() => parseRuntimeData(input)),
  },
  {
    name: 'hcl/td-report',
    seeds: [TD_REPORT, simulatedTdReport({ reportData: Buffer.alloc(64) })],
    run: (input) => {
      const report = parsed(() => parseTdReport(input));
      if (report === undefined) return;
      const again = simulatedTdReport(report);
      // CPUSVN and MAC are the only parts that the simulator leaves at zero.
      report.cpuSvn.copy(again, 16);
      report.mac.copy(again, 224);
      // VALID is not kept: it says which parts of TEE_TCB_INFO are there, and is covered by its hash.
      if (again.subarray(256, 264).equals(input.subarray(256, 264)) && !again.equals(input)) {
        throw new Error('what was parsed encodes to other bytes');
      }
    },
  },
];
