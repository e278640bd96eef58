import { expect, test } from '@jest/globals';
import { withoutExpected, type Decision } from '../../src/policy/decision.js';

test('a decision without what was expected keeps claims, found values and outcomes, and nothing that hints', () => {
  const leaf = {
    claim: 'tpm.safe',
    operator: 'equals',
    expected: 'EXPECTED',
    found: false,
    met: false,
    note: 'EXPECTED',
  } as const;
  const absent = { claim: 'a', operator: 'in', expected: ['EXPECTED'], found: null, met: false } as const;
  const decision: Decision = {
    met: false,
    conditions: [
      absent,
      { anyOf: [{ authority: 'portcullis', allOf: [leaf], met: false, note: 'EXPECTED' }], met: false },
    ],
  };
  const bare = { claim: 'tpm.safe', operator: 'equals', found: false, met: false };
  expect(withoutExpected(decision)).toEqual({
    met: false,
    conditions: [
      { claim: 'a', operator: 'in', found: null, met: false },
      { anyOf: [{ authority: 'portcullis', allOf: [bare], met: false }], met: false },
    ],
  });
  expect(JSON.stringify(withoutExpected(decision))).not.toContain('EXPECTED');
});
