/** HCL reports of real Azure machines, where those vectors are at hand. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { sha256Hex } from '../../../src/crypto/digest.js';
import { hclClaims } from '../../../src/evidence/hcl/claims.js';
import { explainHcl } from '../../../src/evidence/hcl/explain.js';
import { type HclReport, parseHclReport } from '../../../src/evidence/hcl/report.js';
import { bindRuntimeData, matchTdQuote, readHclReport } from '../../../src/evidence/hcl/verify.js';
import { parseTdxQuote } from '../../../src/evidence/tdx/quote.js';
import { patched } from './samples.js';

const VECTORS = join(import.meta.dirname, '../../../../shared/vectors/azure-hcl');
const present = existsSync(join(VECTORS, 'expected.json'));
const describeWithVectors = present ? describe : describe.skip;

interface Expected {
  readonly header: { readonly version: number };
  readonly request: {
    readonly version: number;
    readonly reportType: number;
    readonly hashType: number;
    readonly varSize: number;
  };
  readonly runtimeSha256: string;
  readonly hwReportData: string;
  readonly keys: readonly { readonly kid: string; readonly bits: number }[];
  readonly vmConfiguration: Readonly<Record<string, string | number | boolean>>;
  readonly userData?: string;
}

const read = (name: string) => readFileSync(join(VECTORS, name));
const json = (name: string) => JSON.parse(read(name).toString('utf8')) as Record<string, unknown>;

/** The report in a file: by itself, as a list of bytes, or in base64url. */
function reportIn(name: string): Buffer {
  if (name.endsWith('.bin')) return read(name);
  const evidence = json(name);
  const report = evidence['hcl_report'] ?? evidence['report'];
  return typeof report === 'string' ? Buffer.from(report, 'base64url') : Buffer.from(report as number[]);
}

function reportDataOf({ hardware }: HclReport): Buffer {
  return hardware.kind === 'snp' ? hardware.report.subarray(0x50, 0x90) : hardware.tdReport.reportData;
}

const expected = present ? json('expected.json') : {};
const cases = Object.entries(expected).map(([name, value]) => {
  const { hcl } = value as { hcl?: Expected };
  return [name, hcl ?? (value as Expected)] as const;
});

describeWithVectors('HCL reports of real machines', () => {
  test('there are eight', () => {
    expect(cases).toHaveLength(8);
  });

  test.each(cases)('%s says what it should, and names its runtime data', (name, facts) => {
    const hcl = parseHclReport(reportIn(name));
    expect([hcl.version, hcl.requestVersion]).toEqual([facts.header.version, facts.request.version]);
    expect(hcl.hardware.kind).toBe(facts.request.reportType === 2 ? 'snp' : 'tdx');
    expect(hcl.runtimeData).toHaveLength(facts.request.varSize);
    expect(sha256Hex(hcl.runtimeData)).toBe(facts.runtimeSha256);
    expect(reportDataOf(hcl).toString('hex')).toBe(facts.hwReportData);
    expect(bindRuntimeData(hcl, reportDataOf(hcl))).toEqual({ ok: true, value: undefined });
    expect([hcl.akSpki, hcl.ekSpki].filter((key) => key !== undefined)).toHaveLength(facts.keys.length);
    const claims = hclClaims(hcl);
    expect(claims['user_data']).toBe(facts.userData);
    expect(claims['secure_boot']).toBe(facts.vmConfiguration['secure-boot']);
    expect(claims['tpm_persisted']).toBe(facts.vmConfiguration['tpm-persisted']);
    expect(claims['current_time']).toBe(facts.vmConfiguration['current-time']);
    expect(claims['vm_unique_id']).toBe(String(facts.vmConfiguration['vmUniqueId']).toLowerCase());
    const wrong = explainHcl({ report: reportIn(name), certificates: [], quote: undefined });
    expect(wrong.flatMap(({ fields }) => fields).filter((field) => field.wrong)).toEqual([]);
  });

  test.each(cases)('%s: no byte of frame or runtime data can be changed', (name) => {
    const report = reportIn(name);
    const { length } = parseHclReport(report).runtimeData;
    for (let offset = 0; offset < 0x4d4 + length; offset++) {
      if (offset >= 0x20 && offset < 0x4c0) continue;
      const changed = readHclReport(patched(report, offset, (report[offset] ?? 0) ^ (1 << (offset & 7))));
      const bound = changed.ok ? bindRuntimeData(changed.value, reportDataOf(changed.value)) : changed;
      expect(bound.ok).toBe(false);
    }
    for (let end = 0; end < 0x4d4 + length; end++) expect(readHclReport(report.subarray(0, end)).ok).toBe(false);
  });

  test('the TD quote of a machine is of its TD report, and not of that of another', () => {
    const { body } = parseTdxQuote(read('trustee-tdx/td-quote.bin'));
    const tdReport = (name: string) => {
      const { hardware } = parseHclReport(read(name));
      if (hardware.kind !== 'tdx') throw new Error(`${name} is not of a TDX machine`);
      return hardware.tdReport;
    };
    expect(matchTdQuote(tdReport('trustee-tdx/hcl-report.bin'), body)).toEqual({ ok: true, value: undefined });
    expect(matchTdQuote(tdReport('kinvolk/hcl-report-tdx.bin'), body)).toMatchObject({ reason: 'hcl.quote_mismatch' });
  });

  test('the runtime data of another machine is not the one that a report names', () => {
    const other = { hashType: 1, runtimeData: read('kinvolk/var-data.bin') };
    for (const [name] of cases) {
      const bound = bindRuntimeData(other, reportDataOf(parseHclReport(reportIn(name))));
      expect(bound).toMatchObject({ reason: 'hcl.runtime_data' });
    }
  });
});
