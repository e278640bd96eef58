import { describe, expect, test } from '@jest/globals';
import { claimAt, type ClaimTree } from '../../../src/claims/claims.js';
import { TDX_CLAIMS } from '../../../src/evidence/tdx/claims.js';
import { SAFE_TDX_RULES } from '../../../src/evidence/tdx/evidence.js';
import { verifyTdx } from '../../../src/evidence/tdx/verify.js';
import type { SimulatedTdOptions } from '../../../src/simulator/tdx.js';
import { quoteOf, REPORT_DATA, td, trust } from './td-world.js';

function claimsOf(options: Partial<SimulatedTdOptions> = {}): ClaimTree {
  const rules = { ...SAFE_TDX_RULES, tcbStatus: ['UpToDate', 'OutOfDate'] as const };
  const result = verifyTdx({ quote: quoteOf(options) }, trust(), rules);
  if (!result.ok) throw new Error(result.detail);
  return { tdx: result.value.claims };
}

/** Dotted names of all leaves, numbers made `<n>`, with the type of each. */
function leavesOf(tree: ClaimTree, prefix = ''): ReadonlyMap<string, string> {
  const leaves = new Map<string, string>();
  for (const [name, value] of Object.entries(tree)) {
    const dotted = `${prefix}${/^\d+$/.test(name) ? '<n>' : name}`;
    if (typeof value === 'object') for (const [path, type] of leavesOf(value, `${dotted}.`)) leaves.set(path, type);
    else leaves.set(dotted, typeof value);
  }
  return leaves;
}

describe('the claims of a quote', () => {
  test('are exactly those of the table, with the types that it gives', () => {
    const described = new Map(TDX_CLAIMS.map(({ name, type }) => [name, type]));
    expect(described.size).toBe(TDX_CLAIMS.length);
    expect([...leavesOf(claimsOf({ version: 5 }))].sort()).toEqual([...described].sort());
  });

  test('of TDX 1.0 lack what only TDX 1.5 has', () => {
    const missing = [...leavesOf(claimsOf({ version: 5 })).keys()].filter((name) => !leavesOf(claimsOf()).has(name));
    expect(missing.sort()).toEqual(['tdx.mrservicetd', 'tdx.tee_tcb_svn_2.<n>']);
  });

  test('say what the trust domain is', () => {
    const claims = claimsOf();
    const body = td().report(REPORT_DATA);
    expect(claimAt(claims, 'tdx.mrtd')).toBe(body.mrTd.toString('hex'));
    expect(claimAt(claims, 'tdx.rtmrs.1')).toBe(body.rtmrs[1]!.toString('hex'));
    expect(claimAt(claims, 'tdx.report_data')).toBe(REPORT_DATA.toString('hex'));
    expect(claimAt(claims, 'tdx.tee_tcb_svn.0')).toBe(7);
    expect(claimAt(claims, 'tdx.pck.components.4')).toBe(3);
    expect(claimAt(claims, 'tdx.attributes.sept_ve_disable')).toBe(true);
    expect(claimAt(claims, 'tdx.attributes.debug')).toBe(false);
    expect(claimAt(claims, 'tdx.tcb.status')).toBe('UpToDate');
    expect(claimAt(claims, 'tdx.tcb.advisory_ids')).toBe('');
  });

  test('say how each part was graded, since when, and what it is open to', () => {
    const claims = claimsOf({
      qe: { isvSvn: 5 },
      body: { teeTcbSvn: Buffer.concat([Buffer.of(3, 1, 3), Buffer.alloc(13)]) },
    });
    const found = (name: string) => claimAt(claims, `tdx.tcb.${name}`);
    expect(found('status')).toBe('OutOfDate');
    expect([found('platform_status'), found('module_status'), found('qe_status')]).toEqual([
      'UpToDate',
      'OutOfDate',
      'OutOfDate',
    ]);
    expect(found('advisory_ids')).toBe('INTEL-SA-00615,INTEL-SA-01036,INTEL-SA-01099');
    expect(found('date')).toBe('2023-08-09T00:00:00Z');
    expect(found('platform_date')).toBe('2026-05-13T00:00:00Z');
    expect(found('evaluation_data_number')).toBe(18);
    expect(found('next_update')).toBe('2026-12-20T00:00:00Z');
  });

  test.each([
    ['debug', 0],
    ['icssd', 16],
    ['lass', 27],
    ['sept_ve_disable', 28],
    ['migratable', 29],
    ['pks', 30],
    ['kl', 31],
    ['tpa', 62],
    ['perfmon', 63],
  ])('have the attribute %s from bit %s alone', (name, bit) => {
    const tdAttributes = Buffer.alloc(8);
    tdAttributes.writeBigUInt64LE(1n << BigInt(bit));
    const rules = { ...SAFE_TDX_RULES, debug: true };
    const result = verifyTdx({ quote: quoteOf({ version: 5, body: { tdAttributes } }) }, trust(), rules);
    if (!result.ok) throw new Error(result.detail);
    const flags = Object.entries(result.value.claims['attributes'] as ClaimTree).filter(([, value]) => value === true);
    expect(flags).toEqual([[name, true]]);
  });
});
