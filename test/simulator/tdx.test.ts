import { verify } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { parseCertificate } from '../../src/crypto/x509.js';
import { parseCrl } from '../../src/crypto/x509-crl.js';
import { NO_COLLATERAL } from '../../src/endorsement/collateral.js';
import { withSimulator } from '../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../src/endorsement/known-paths.js';
import { SAFE_TDX_RULES } from '../../src/evidence/tdx/evidence.js';
import { parseTdxQuote, type TdReportBody } from '../../src/evidence/tdx/quote.js';
import { verifyTdx } from '../../src/evidence/tdx/verify.js';
import { makerRoots, simulatedMakers } from '../../src/simulator/makers.js';
import { SimulatedTd, type SimulatedTdOptions } from '../../src/simulator/tdx.js';
import { simulatedIntelCollateral } from '../../src/simulator/tdx-collateral.js';
import { issuePck, pckSerial } from '../../src/simulator/tdx-pck.js';

const NOW = Date.UTC(2026, 10, 21, 12, 34, 56, 789);
const makers = simulatedMakers(Buffer.alloc(32, 1));
const seed = Buffer.alloc(32, 2);
const REPORT_DATA = Buffer.alloc(64, 0xab);

function statusOf(options: Partial<SimulatedTdOptions>): string {
  const { tcbInfos, qeIdentities, crls } = simulatedIntelCollateral(makers.intel, NOW);
  const collateral = { ...NO_COLLATERAL, tcbInfos, qeIdentities, crls: crls.map(parseCrl) };
  const roots = withSimulator(makerRoots(makers));
  const trust = { roots, collateral, paths: new KnownPaths(8), atMs: NOW, requireCrls: false };
  const quote = new SimulatedTd(makers.intel, { seed, ...options }).quote(REPORT_DATA);
  const result = verifyTdx({ quote }, trust, { ...SAFE_TDX_RULES, tcbStatus: ['UpToDate', 'OutOfDate'] });
  if (!result.ok) return result.reason;
  return (result.value.claims['tcb'] as { readonly status: string }).status;
}

describe('a simulated platform', () => {
  test('is the same for the same seed, and another one for another', () => {
    const one = new SimulatedTd(makers.intel, { seed });
    const spki = (machine: SimulatedTd) => parseCertificate(machine.certificates[0]!).spki;
    expect(spki(new SimulatedTd(makers.intel, { seed }))).toEqual(spki(one));
    const other = new SimulatedTd(makers.intel, { seed: Buffer.alloc(32, 3) });
    expect(spki(other)).not.toEqual(spki(one));
    expect(other.ppid).not.toEqual(one.ppid);
  });

  test.each([
    ['UpToDate', {}],
    ['UpToDate', { version: 5 }],
    ['OutOfDate', { pck: { components: [2, 2, 2, 2, 2, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0] } }],
    ['OutOfDate', { pck: { pceSvn: 5 } }],
    ['OutOfDate', { qe: { isvSvn: 4 } }],
    ['OutOfDate', { body: { teeTcbSvn: Buffer.concat([Buffer.of(2, 1, 3), Buffer.alloc(13)]) } }],
    ['tdx.tcb', { pck: { pceSvn: 4 } }],
    ['tdx.tcb', { qe: { isvSvn: 3 } }],
  ] as const)('is %s by the simulated collateral with %j', (status, options) => {
    expect(statusOf(options)).toBe(status);
  });

  test('has a PCK certificate that can be revoked by its serial', () => {
    const machine = new SimulatedTd(makers.intel, { seed });
    const { serial } = parseCertificate(machine.certificates[0]!);
    const crl = parseCrl(
      simulatedIntelCollateral(makers.intel, NOW, { revokedPcks: [pckSerial(machine.ppid)] }).crls[0]!,
    );
    expect(crl.lists(serial)).toBe(true);
    expect(parseCrl(simulatedIntelCollateral(makers.intel, NOW).crls[0]!).lists(serial)).toBe(false);
  });
});

test('any field of the TD report can be made another one, in the platform or in one quote', () => {
  const machine = new SimulatedTd(makers.intel, { seed, version: 5 });
  const plain = machine.report(REPORT_DATA);
  for (const [name, value] of Object.entries(plain) as [keyof TdReportBody, Buffer | Buffer[]][]) {
    if (name === 'reportData') continue;
    const other = Array.isArray(value) ? value.map(() => Buffer.alloc(48, 0x77)) : Buffer.alloc(value.length, 0x77);
    const body = { [name]: other };
    expect(parseTdxQuote(machine.quote(REPORT_DATA, { body })).body).toEqual({ ...plain, ...body });
    const changed = new SimulatedTd(makers.intel, { seed, version: 5, body });
    expect(parseTdxQuote(changed.quote(REPORT_DATA)).body).toEqual({ ...plain, ...body });
  }
});

test('collateral is in the layout that Intel serves, signed over the inner bytes', () => {
  const { tcbInfos } = simulatedIntelCollateral(makers.intel, NOW);
  const { body, issuerChain } = tcbInfos[0]!;
  const { tcbInfo, signature } = JSON.parse(body.toString()) as {
    readonly tcbInfo: object;
    readonly signature: string;
  };
  expect(body.toString()).toBe(`{"tcbInfo":${JSON.stringify(tcbInfo)},"signature":"${signature}"}`);
  const { key } = parseCertificate(issuerChain[0]!).publicKey();
  const signed = Buffer.from(JSON.stringify(tcbInfo));
  expect(verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'hex'))).toBe(true);
  expect(tcbInfo).toMatchObject({ issueDate: '2026-11-20T12:34:56Z', nextUpdate: '2026-12-20T12:34:56Z' });
});

test('a PCK certificate is issued for any key and platform', () => {
  const { spki } = makers.intel.tcbSigning;
  const certificate = parseCertificate(issuePck(makers.intel, { spki, ppid: Buffer.alloc(16, 1), serial: 5n }));
  expect(certificate.spki).toEqual(spki);
  expect(certificate.serial).toBe('05');
});
