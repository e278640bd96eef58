import { describe, expect, test } from '@jest/globals';
import type { ClaimTree } from '../../../src/claims/claims.js';
import { SNP_CLAIMS } from '../../../src/evidence/snp/claims.js';
import { SAFE_SNP_RULES, type SnpEvidence } from '../../../src/evidence/snp/evidence.js';
import { verifySnp } from '../../../src/evidence/snp/verify.js';
import { CSP, evidenceOf, trust, vlekEvidenceOf } from './simulated.js';

/** Every claim by its dotted name, numbers at the end of bit lists as in the table. */
function flat(tree: ClaimTree, prefix = 'snp'): Record<string, unknown> {
  const claims: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(tree)) {
    const path = `${prefix}.${prefix.endsWith('_bits') ? '<n>' : name}`;
    if (typeof value === 'object') Object.assign(claims, flat(value, path));
    else claims[path] = value;
  }
  return claims;
}

function claimsOf(evidence: SnpEvidence): Record<string, unknown> {
  const result = verifySnp(evidence, trust(), SAFE_SNP_RULES);
  if (!result.ok) throw new Error(result.detail);
  return flat(result.value.claims);
}

describe('the table of claims', () => {
  const all = [
    claimsOf(evidenceOf({}, 'Milan')),
    claimsOf(evidenceOf({ version: 2 }, 'Genoa')),
    claimsOf(evidenceOf({}, 'Turin')),
    claimsOf(vlekEvidenceOf()),
  ];

  test('it names every claim that is made, and no other', () => {
    const made = new Set(all.flatMap((claims) => Object.keys(claims)));
    const named = SNP_CLAIMS.map(({ name }) => name);
    expect([...made].filter((name) => !named.includes(name))).toEqual([]);
    expect(named.filter((name) => !made.has(name))).toEqual([]);
    expect(new Set(named).size).toBe(named.length);
  });

  test('it has the type of each', () => {
    const types = new Map<string, string>(SNP_CLAIMS.map(({ name, type }) => [name, type]));
    for (const claims of all) {
      for (const [name, value] of Object.entries(claims)) expect([name, typeof value]).toEqual([name, types.get(name)]);
    }
  });

  test('each is one sentence', () => {
    for (const { meaning } of SNP_CLAIMS) expect(meaning).toMatch(/^[A-Za-z].*\.$/);
  });
});

describe('claims that are there sometimes', () => {
  test('the CPUID from version 3, the mitigation vectors from version 5', () => {
    const names = (version: number) => Object.keys(claimsOf(evidenceOf({ version })));
    const has = (version: number, part: string) => names(version).some((name) => name.startsWith(`snp.${part}.`));
    expect([2, 3, 4, 5].map((version) => has(version, 'cpuid'))).toEqual([false, true, true, true]);
    expect([2, 3, 4, 5].map((version) => has(version, 'mitigation'))).toEqual([false, false, false, true]);
  });

  test('a mitigation vector is a number of 64 bits, and a claim for each bit that is set', () => {
    const result = verifySnp(
      evidenceOf({ version: 5, launchMitigation: 0n, currentMitigation: (1n << 63n) | 5n }),
      trust(),
      SAFE_SNP_RULES,
    );
    expect(result.ok && result.value.claims['mitigation']).toEqual({
      launch: '0',
      current: '9223372036854775813',
      launch_bits: {},
      current_bits: { '0': true, '2': true, '63': true },
    });
  });

  test('the chip of a VCEK, the provider of a VLEK', () => {
    const vcek = claimsOf(evidenceOf());
    const vlek = claimsOf(vlekEvidenceOf());
    expect(vcek['snp.vek.hw_id']).toBe(vcek['snp.chip_id']);
    expect([vcek['snp.vek.csp_id'], vlek['snp.vek.csp_id'], vlek['snp.vek.hw_id']]).toEqual([
      undefined,
      CSP,
      undefined,
    ]);
    expect([vcek['snp.chip_hidden'], vlek['snp.chip_hidden']]).toEqual([false, true]);
  });
});
