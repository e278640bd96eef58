/** A splice is told that it is one, whatever collateral is at hand: never to try again, and not how its platform is graded. */
import { describe, expect, test } from '@jest/globals';
import { NO_EVIDENCE } from '../../src/cli/evidence/evidence-file.js';
import { NO_COLLATERAL, type HardwareTrust } from '../../src/endorsement/collateral.js';
import { appraiseCvm, SAFE_HARDWARE_RULES } from '../../src/evidence/appraise.js';
import type { Evidence } from '../../src/evidence/evidence.js';
import { parseTdxQuote } from '../../src/evidence/tdx/quote.js';
import { reportDataOf, simulatedHclReport, simulatedRuntimeData, simulatedTdReport } from '../../src/simulator/hcl.js';
import { BASE, believing, hclMachine, reportData, snpEvidence, tdxEvidence } from '../cli/evidence-simulated.js';

/** A sent TDX machine under a paravisor: its quote is made over what `named` says, its TD report over the runtime data. */
function tdMachine(named?: Buffer, runtimeData?: Buffer): Pick<Evidence, 'hcl'> {
  const own = simulatedRuntimeData({ akSpki: undefined, hardware: { kind: 'tdx', report: () => Buffer.alloc(0) } });
  const quote = quoteOver(named ?? reportDataOf(own));
  const { body } = parseTdxQuote(quoteOver(reportDataOf(own)));
  const report = simulatedHclReport({
    akSpki: undefined,
    hardware: { kind: 'tdx', report: (data) => simulatedTdReport({ ...drafted(body), reportData: data }) },
    overrides: { reportData: reportDataOf(own), ...(runtimeData === undefined ? {} : { runtimeData }) },
  });
  return { hcl: { report, certificates: [], quote } };
}

function drafted({ teeTcbSvn2, mrServiceTd, ...body }: ReturnType<typeof parseTdxQuote>['body']) {
  return { ...body, ...(teeTcbSvn2 && { teeTcbSvn2 }), ...(mrServiceTd && { mrServiceTd }) };
}

function quoteOver(data: Buffer): Buffer {
  const quote = tdxEvidence(data).tdx?.quote;
  if (quote === undefined) throw new Error('no quote');
  return quote;
}

const OTHER_RUNTIME_DATA = simulatedRuntimeData({
  akSpki: undefined,
  hardware: { kind: 'tdx', report: () => Buffer.alloc(0) },
  vmConfiguration: { 'secure-boot': false },
});

const GOOD = believing();
const WITHOUT: HardwareTrust = { ...GOOD, collateral: NO_COLLATERAL, requireCrls: true };
/** By which no platform is good enough. */
const STRICT = { ...SAFE_HARDWARE_RULES, tdx: { ...SAFE_HARDWARE_RULES.tdx, tcbStatus: [] } };

function told(evidence: Partial<Evidence>, trust: HardwareTrust, rules = SAFE_HARDWARE_RULES): string {
  const result = appraiseCvm({ ...NO_EVIDENCE, ...evidence }, trust, rules, reportData());
  return result.ok ? 'accepted' : result.reason;
}

describe('a trust domain', () => {
  test.each([
    ['by itself', tdxEvidence()],
    ['under a paravisor', tdMachine()],
  ])('%s is genuine, and wants collateral', (_, evidence) => {
    expect(told(evidence, GOOD)).toBe('accepted');
    expect(told(evidence, WITHOUT)).toBe('collateral.unavailable');
    expect(told(evidence, GOOD, STRICT)).toBe('tdx.tcb');
  });

  test.each([
    ['evidence.unbound', 'that answers another request', tdxEvidence(Buffer.alloc(64, 7))],
    ['evidence.unbound', 'that names no AK', tdxEvidence(reportData(BASE, null))],
    ['hcl.quote_mismatch', 'whose HCL report is of another machine', tdMachine(Buffer.alloc(64, 7))],
    ['hcl.runtime_data', 'whose runtime data was changed', tdMachine(undefined, OTHER_RUNTIME_DATA)],
  ])('is refused with %s %s, with and without collateral', (reason, _, evidence) => {
    expect(told(evidence, GOOD)).toBe(reason);
    expect(told(evidence, WITHOUT)).toBe(reason);
    expect(told(evidence, GOOD, STRICT)).toBe(reason);
  });
});

describe('a SEV-SNP machine', () => {
  const { hcl } = hclMachine(BASE);
  if (hcl === undefined) throw new Error('no HCL report');
  const changed = Buffer.from(hcl.report);
  const at = changed.indexOf('"secure-boot":true');
  changed.write('"secure-boot":null', at, 'latin1');

  test.each([
    ['by itself', snpEvidence()],
    ['under a paravisor', { hcl }],
  ])('%s is genuine, and wants CRLs where they are required', (_, evidence) => {
    expect(told(evidence, GOOD)).toBe('accepted');
    expect(told(evidence, WITHOUT)).toBe('collateral.unavailable');
  });

  test.each([
    ['evidence.unbound', 'that answers another request', snpEvidence(Buffer.alloc(64, 7))],
    ['hcl.runtime_data', 'whose runtime data was changed', { hcl: { ...hcl, report: changed } }],
  ])('is refused with %s %s, with and without CRLs', (reason, _, evidence) => {
    expect(at).toBeGreaterThan(0);
    expect(told(evidence, GOOD)).toBe(reason);
    expect(told(evidence, WITHOUT)).toBe(reason);
  });
});
