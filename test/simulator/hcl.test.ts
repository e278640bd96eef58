import { describe, expect, test } from '@jest/globals';
import { parseHclReport } from '../../src/evidence/hcl/report.js';
import { bindRuntimeData } from '../../src/evidence/hcl/verify.js';
import { simulatedHclReport } from '../../src/simulator/hcl.js';
import { SimulatedAk } from '../../src/simulator/ak.js';
import { AK_SPKI, snpHcl, snpReport, tdxHcl } from '../evidence/hcl/samples.js';

describe('the HCL report of a simulated machine', () => {
  test('is as long as the NV index, and filled up with zeros', () => {
    for (const report of [snpHcl(), tdxHcl(), snpHcl({ requestVersion: 2 })]) {
      expect(report).toHaveLength(2600);
      expect(report.subarray(report.readUInt32LE(8)).every((byte) => byte === 0)).toBe(true);
    }
  });

  test.each([
    ['SNP', snpHcl()],
    ['TDX', tdxHcl()],
  ])('names its runtime data in the hardware report: %s', (_name, report) => {
    const hcl = parseHclReport(report);
    const { hardware } = hcl;
    const reportData = hardware.kind === 'snp' ? hardware.report.subarray(0x50, 0x90) : hardware.tdReport.reportData;
    expect(bindRuntimeData(hcl, reportData).ok).toBe(true);
  });

  test('names the AK of the simulated TPM', async () => {
    const ak = await SimulatedAk.generate('rsassa');
    const report = simulatedHclReport({ akSpki: ak.spki, hardware: { kind: 'snp', report: snpReport } });
    expect(parseHclReport(report).akSpki).toEqual(ak.spki);
  });

  test('can be made over other report data, to be refused', () => {
    const hcl = parseHclReport(snpHcl({ overrides: { reportData: Buffer.alloc(64, 1) } }));
    if (hcl.hardware.kind !== 'snp') throw new Error('not of an SNP machine');
    expect(bindRuntimeData(hcl, hcl.hardware.report.subarray(0x50, 0x90)).ok).toBe(false);
  });

  test('leaves out settings that are undefined', () => {
    const report = snpHcl({ vmConfiguration: { 'secure-boot': undefined, 'tpm-enabled': false } });
    expect(parseHclReport(report).vmConfiguration.claims).not.toHaveProperty('secure_boot');
    expect(parseHclReport(report).vmConfiguration).toMatchObject({ claims: { tpm_enabled: false }, unread: [] });
    expect(parseHclReport(report).akSpki).toEqual(AK_SPKI);
  });
});
