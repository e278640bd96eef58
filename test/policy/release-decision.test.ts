import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { claimTree, type AttestationResult, type ClaimValue } from '../../src/claims/claims.js';
import type { EvaluatedNode } from '../../src/policy/decision.js';
import { parseReleasePolicy } from '../../src/policy/parse-release-policy.js';
import { evaluateReleasePolicy } from '../../src/policy/release-decision.js';
import type { ReleasePolicy } from '../../src/policy/release-policy.js';
import { releasePolicyJson } from './arbitrary-release-policy.js';

function parse(json: unknown): ReleasePolicy {
  const result = parseReleasePolicy(json);
  if (!result.ok) throw new Error(result.detail);
  return result.value;
}

function own(claims: Parameters<typeof claimTree>[0]): readonly AttestationResult[] {
  return [{ authority: 'portcullis', claims: claimTree(claims) }];
}

/** One condition on the claim `c` of our own authority. */
function evaluateOne(operator: string, value: ClaimValue, found: ClaimValue | undefined) {
  const policy = parse({
    version: '1.0.0',
    anyOf: [{ authority: 'portcullis', allOf: [{ claim: 'c', [operator]: value }] }],
  });
  const [rules] = evaluateReleasePolicy(policy, own({ other: 1, c: found })).anyOf ?? [];
  const [condition] = (rules !== undefined && 'allOf' in rules ? rules.allOf : undefined) ?? [];
  if (condition === undefined || !('claim' in condition)) throw new Error('no condition in the decision');
  return condition;
}

describe('operators', () => {
  test.each<[string, ClaimValue, ClaimValue, boolean]>([
    ['equals', 'true', true, true],
    ['equals', true, 'true', true],
    ['equals', '0', 0, true],
    ['equals', 1, true, false],
    ['equals', 'TRUE', true, false],
    ['equals', 'a', 'a', true],
    ['equals', 'a', 'a ', false],
    ['equals', '', '', true],
    ['notEquals', 'true', true, false],
    ['notEquals', 'false', true, true],
    ['notEquals', 'a', 'b', true],
    ['less', 3, 2, true],
    ['less', 3, 3, false],
    ['lessOrEquals', 3, 3, true],
    ['lessOrEquals', 3, 4, false],
    ['greater', 3, 4, true],
    ['greater', 3, 3, false],
    ['greaterOrEquals', 3, 3, true],
    ['greaterOrEquals', 3, 2, false],
    ['less', '18446744073709551615', '18446744073709551614', true],
    ['greater', '18446744073709551614', '18446744073709551615', true],
    ['greater', '9', '10', true],
    ['greater', 9, '10', true],
    ['less', '10', 9.5, true],
    ['greaterOrEquals', '-2', -1, true],
    ['exists', true, false, true],
    ['exists', true, '', true],
    ['exists', false, 'x', false],
  ])('%s %j against %j is %s', (operator, value, found, met) => {
    expect(evaluateOne(operator, value, found)).toEqual({ claim: 'c', operator, expected: value, found, met });
  });

  test.each<[ClaimValue]>([[true], ['ten'], ['0x10'], ['010'], ['1.5'], [''], [2 ** 53], [Infinity], [NaN]])(
    'ordering %j against a number is not met either way, and says why',
    (found) => {
      for (const operator of ['less', 'lessOrEquals', 'greater', 'greaterOrEquals']) {
        expect(evaluateOne(operator, 5, found)).toMatchObject({ met: false, note: 'not a number: cannot be ordered' });
      }
    },
  );

  test.each<[string, ClaimValue]>([
    ['equals', 'x'],
    ['notEquals', 'x'],
    ['less', 1],
    ['lessOrEquals', 1],
    ['greater', -1],
    ['greaterOrEquals', -1],
  ])('%s is not met by an absent claim', (operator, value) => {
    expect(evaluateOne(operator, value, undefined)).toEqual({
      claim: 'c',
      operator,
      expected: value,
      found: null,
      met: false,
      note: 'the claim is absent',
    });
  });

  test('exists: true is not met by an absent claim, exists: false is', () => {
    expect(evaluateOne('exists', true, undefined).met).toBe(false);
    expect(evaluateOne('exists', false, undefined).met).toBe(true);
  });
});

describe('paths', () => {
  const evaluateClaim = (condition: object, claims: Parameters<typeof claimTree>[0]) => {
    const policy = parse({ version: '1.0.0', anyOf: [{ authority: 'portcullis', allOf: [condition] }] });
    return evaluateReleasePolicy(policy, own(claims));
  };

  test('an object is never compared, but exists', () => {
    const claims = { tpm: claimTree({ safe: true }) };
    expect(evaluateClaim({ claim: 'tpm', equals: '[object Object]' }, claims).met).toBe(false);
    expect(evaluateClaim({ claim: 'tpm', notEquals: 'x' }, claims).met).toBe(false);
    expect(evaluateClaim({ claim: 'tpm', exists: true }, claims).met).toBe(true);
    expect(evaluateClaim({ claim: 'tpm', exists: false }, claims).met).toBe(false);
  });

  test.each(['constructor', '__proto__', 'toString', 'c.length', 'c.constructor.name'])('%s is no claim', (claim) => {
    const claims = { c: 'text', ...({} as Record<string, never>) };
    expect(evaluateClaim({ claim, exists: true }, claims).met).toBe(false);
    const inherited: AttestationResult[] = [{ authority: 'portcullis', claims: { c: 'text' } }];
    const policy = parse({ version: '1.0.0', anyOf: [{ authority: 'portcullis', allOf: [{ claim, exists: true }] }] });
    expect(evaluateReleasePolicy(policy, inherited).met).toBe(false);
  });
});

describe('authorities', () => {
  const policyFor = (authority: string, condition: object = { claim: 'a', equals: 1 }, kind = 'anyOf') =>
    parse({ version: '1.0.0', [kind]: [{ authority, allOf: [condition] }] });
  const result = (authority: string, claims: Parameters<typeof claimTree>[0]) => ({
    authority,
    claims: claimTree(claims),
  });

  test('a trailing slash does not matter, anything else does', () => {
    const results = [result('https://issuer.example', { a: 1 })];
    expect(evaluateReleasePolicy(policyFor('https://issuer.example/'), results).met).toBe(true);
    expect(
      evaluateReleasePolicy(policyFor('https://issuer.example'), [result('https://issuer.example/', { a: 1 })]).met,
    ).toBe(true);
    expect(evaluateReleasePolicy(policyFor('https://issuer.example//'), results).met).toBe(false);
    expect(evaluateReleasePolicy(policyFor('https://ISSUER.example'), results).met).toBe(false);
    expect(evaluateReleasePolicy(policyFor('portcullis'), results).met).toBe(false);
  });

  test('an authority that verified nothing meets no condition, exists: false included', () => {
    const evaluated = evaluateReleasePolicy(
      policyFor('https://issuer.example', { claim: 'a', exists: false }),
      own({ b: 1 }),
    );
    expect(evaluated).toEqual({
      anyOf: [
        {
          authority: 'https://issuer.example',
          allOf: [{ claim: 'a', operator: 'exists', expected: false, found: null, met: false }],
          met: false,
          note: 'nothing was presented that this authority vouches for',
        },
      ],
      met: false,
    });
  });

  test('claims of two tokens of one issuer are never mixed', () => {
    const both = parse({
      version: '1.0.0',
      anyOf: [
        {
          authority: 'i',
          allOf: [
            { claim: 'a', equals: 1 },
            { claim: 'b', equals: 2 },
          ],
        },
      ],
    });
    expect(evaluateReleasePolicy(both, [result('i', { a: 1 }), result('i', { b: 2 })]).met).toBe(false);
    expect(evaluateReleasePolicy(both, [result('i', { a: 1 }), result('i', { a: 1, b: 2 })]).met).toBe(true);
  });

  test('anyOf needs one authority, allOf every one', () => {
    const two = (kind: string) =>
      parse({
        version: '1.0.0',
        [kind]: ['i', 'j'].map((authority) => ({ authority, allOf: [{ claim: 'a', equals: 1 }] })),
      });
    const one = [result('i', { a: 1 })];
    expect(evaluateReleasePolicy(two('anyOf'), one).met).toBe(true);
    expect(evaluateReleasePolicy(two('allOf'), one).met).toBe(false);
    expect(evaluateReleasePolicy(two('allOf'), [...one, result('j', { a: 1 })]).met).toBe(true);
  });
});

test('a group without conditions, which no document can have, is not met', () => {
  for (const kind of ['anyOf', 'allOf'] as const) {
    expect(evaluateReleasePolicy({ kind, authorities: [] }, own({})).met).toBe(false);
    expect(
      evaluateReleasePolicy(
        { kind: 'anyOf', authorities: [{ authority: 'portcullis', group: { kind, conditions: [] } }] },
        own({}),
      ).met,
    ).toBe(false);
  }
});

test('every condition stands in the decision, also those after the first that decides', () => {
  fc.assert(
    fc.property(releasePolicyJson, (json) => {
      const policy = parse(json);
      const evaluated = evaluateReleasePolicy(policy, own({ a: 1 }));
      const comparisons = (JSON.stringify(policy).match(/"operator":/g) ?? []).length;
      expect(leaves(evaluated)).toBe(comparisons);
    }),
  );
});

function leaves(node: EvaluatedNode): number {
  if ('claim' in node) return 1;
  return [...(node.anyOf ?? []), ...(node.allOf ?? [])].reduce((sum, child) => sum + leaves(child), 0);
}
