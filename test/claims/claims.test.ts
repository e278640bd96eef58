import { describe, expect, test } from '@jest/globals';
import { claimAt, claimTree, mergeClaims } from '../../src/claims/claims.js';

describe('claims', () => {
  test('are found by their dotted path, and inherited names are never claims', () => {
    const claims = claimTree({ tpm: claimTree({ pcrs: claimTree({ sha256: claimTree({ '8': 'aa' }) }), safe: true }) });
    expect(claimAt(claims, 'tpm.pcrs.sha256.8')).toBe('aa');
    expect(claimAt(claims, 'tpm.safe')).toBe(true);
    for (const path of [
      'tpm',
      'tpm.pcrs',
      'tpm.nothing',
      '',
      'tpm.safe.x',
      '__proto__',
      'constructor.name',
      'tpm.toString',
    ]) {
      expect(claimAt(claims, path)).toBeUndefined();
    }
  });

  test('of several verifiers are put together, and none overwrites another', () => {
    const a = claimTree({ tpm: claimTree({ x: 1 }) });
    const merged = mergeClaims(a, claimTree({ tpm: claimTree({ y: 2 }), deployment: 'd' }));
    expect([claimAt(merged, 'tpm.x'), claimAt(merged, 'tpm.y'), claimAt(merged, 'deployment')]).toEqual([1, 2, 'd']);
    expect(() => mergeClaims(a, claimTree({ tpm: claimTree({ x: 2 }) }))).toThrow(/two verifiers set the claim x/);
  });
});
