import { describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { canonicalJson, type Json } from '../../src/bytes/canonical-json.js';
import { parseReleasePolicy } from '../../src/policy/parse-release-policy.js';
import { RELEASE_POLICY_DEFS, ReleasePolicySchema } from '../../src/policy/release-policy-schema.js';
import { releasePolicyDocument } from '../../src/policy/render-deployment.js';
import { releasePolicyJson } from './arbitrary-release-policy.js';

const SAFE = { claim: 'tpm.safe', equals: true };

function policy(conditions: readonly unknown[], kind = 'allOf'): unknown {
  return { version: '1.0.0', anyOf: [{ authority: 'portcullis', [kind]: conditions }] };
}

function detailOf(json: unknown): string {
  const result = parseReleasePolicy(json, '/release');
  if (result.ok) throw new Error('accepted');
  expect(result.reason).toBe('request.malformed');
  return result.detail;
}

describe('the grammar', () => {
  test('has a version, authorities, nested groups and seven operators', () => {
    const conditions = [
      { claim: 'a', equals: 'x' },
      { claim: 'a', notEquals: false },
      { claim: 'b.c', less: 1 },
      { claim: 'b.c', lessOrEquals: '18446744073709551615' },
      { anyOf: [{ claim: 'b.c', greater: -1 }, { allOf: [{ claim: 'b.c', greaterOrEquals: '-5' }] }] },
      { claim: 'd', exists: true },
    ];
    expect(parseReleasePolicy(policy(conditions))).toEqual({
      ok: true,
      value: {
        kind: 'anyOf',
        authorities: [
          {
            authority: 'portcullis',
            group: {
              kind: 'allOf',
              conditions: [
                { claim: 'a', operator: 'equals', value: 'x' },
                { claim: 'a', operator: 'notEquals', value: false },
                { claim: 'b.c', operator: 'less', value: 1 },
                { claim: 'b.c', operator: 'lessOrEquals', value: '18446744073709551615' },
                {
                  kind: 'anyOf',
                  conditions: [
                    { claim: 'b.c', operator: 'greater', value: -1 },
                    { kind: 'allOf', conditions: [{ claim: 'b.c', operator: 'greaterOrEquals', value: '-5' }] },
                  ],
                },
                { claim: 'd', operator: 'exists', value: true },
              ],
            },
          },
        ],
      },
    });
  });

  test.each(['anyOf', 'anyof', 'ANYOF', 'allOf', 'allof', 'AllOf'])('takes %s at every level', (kind) => {
    const nested = { version: '1.0.0', [kind]: [{ authority: 'portcullis', [kind]: [{ [kind]: [SAFE] }] }] };
    const result = parseReleasePolicy(nested);
    expect(result.ok && result.value.kind).toBe(kind.toLowerCase() === 'anyof' ? 'anyOf' : 'allOf');
  });

  test('takes "true" and "false" for exists', () => {
    const read = (exists: unknown) => parseReleasePolicy(policy([{ claim: 'a', exists }]));
    expect(read('true')).toEqual(read(true));
    expect(read('false')).toEqual(read(false));
  });

  test('makes minus zero zero, so that a policy has one canonical form', () => {
    const result = parseReleasePolicy(policy([{ claim: 'a', equals: -0 }]));
    expect(result).toEqual(parseReleasePolicy(policy([{ claim: 'a', equals: 0 }])));
  });
});

describe('refusals name the place', () => {
  test.each([
    ['null', null, '/release: must be an object'],
    ['a list', [], '/release: must be an object'],
    ['no version', { anyOf: [] }, '/release/version: must be the string "1.0.0"'],
    ['another version', { version: '2.0.0', anyOf: [] }, '/release/version'],
    ['a version that is a number', { version: 1, anyOf: [] }, '/release/version'],
    ['no authorities', { version: '1.0.0' }, 'exactly one of anyOf and allOf'],
    ['both groups', { version: '1.0.0', anyOf: [SAFE], allOf: [SAFE] }, 'exactly one of anyOf and allOf'],
    ['one group in two spellings', { version: '1.0.0', anyOf: [SAFE], anyof: [SAFE] }, 'exactly one of'],
    ['an inherited name as group', { version: '1.0.0', constructor: [SAFE] }, 'exactly one of'],
    ['an unknown member', { version: '1.0.0', anyOf: [SAFE], note: 'x' }, 'exactly one of'],
    [
      'an empty list of authorities',
      { version: '1.0.0', anyOf: [] },
      '/release/anyOf: must be a list, and may not be empty',
    ],
    ['authorities that are no list', { version: '1.0.0', anyOf: {} }, '/release/anyOf: must be a list'],
    ['no authority', { version: '1.0.0', anyOf: [{ allOf: [SAFE] }] }, '/release/anyOf/0/authority'],
    [
      'an empty authority',
      { version: '1.0.0', anyOf: [{ authority: '', allOf: [SAFE] }] },
      '/release/anyOf/0/authority',
    ],
    ['a blank in an authority', { version: '1.0.0', anyOf: [{ authority: 'a b', allOf: [SAFE] }] }, '/authority'],
    [
      'an authority without conditions',
      { version: '1.0.0', anyOf: [{ authority: 'a' }] },
      '/release/anyOf/0: must have',
    ],
    [
      'an authority with an unknown member',
      { version: '1.0.0', anyOf: [{ authority: 'a', allOf: [SAFE], x: 1 }] },
      '/anyOf/0',
    ],
  ])('%s', (_, json, detail) => {
    expect(detailOf(json)).toContain(detail);
  });

  test.each([
    ['an empty list of conditions', [], '/allOf: must be a list, and may not be empty'],
    ['a condition that is a string', ['x'], '/allOf/0: must be an object'],
    ['an empty condition', [{}], '/allOf/0: must have exactly one of'],
    ['an empty nested list', [{ anyOf: [] }], '/allOf/0/anyOf: must be a list, and may not be empty'],
    ['a group with an unknown member', [{ anyOf: [SAFE], x: 1 }], '/allOf/0: must have exactly one'],
    ['a claim without operator', [{ claim: 'a' }], '/allOf/0: a condition has'],
    ['two operators', [{ claim: 'a', equals: 1, less: 2 }], '/allOf/0: a condition has'],
    ['an unknown operator', [{ claim: 'a', in: 'x' }], '/allOf/0: a condition has'],
    ['an operator in another case', [{ claim: 'a', Equals: 'x' }], '/allOf/0: a condition has'],
    ['an inherited name as operator', [{ claim: 'a', toString: 'x' }], '/allOf/0: a condition has'],
    ['a claim that is a number', [{ claim: 1, equals: 1 }], '/allOf/0/claim'],
    ['an empty claim', [{ claim: '', equals: 1 }], '/allOf/0/claim'],
    ['an empty name in a claim', [{ claim: 'a..b', equals: 1 }], '/allOf/0/claim'],
    ['a blank in a claim', [{ claim: 'a b', equals: 1 }], '/allOf/0/claim'],
    ['null as value', [{ claim: 'a', equals: null }], '/allOf/0/equals'],
    ['a list as value', [{ claim: 'a', equals: ['x'] }], '/allOf/0/equals'],
    ['an object as value', [{ claim: 'a', notEquals: {} }], '/allOf/0/notEquals'],
    ['a fraction', [{ claim: 'a', equals: 1.5 }], '/allOf/0/equals: must be a string, true, false or an integer'],
    ['an integer that JSON readers round', [{ claim: 'a', equals: 2 ** 53 }], '/allOf/0/equals'],
    ['half of a surrogate pair', [{ claim: 'a', equals: '\ud800' }], '/allOf/0/equals'],
    ['ordering against a boolean', [{ claim: 'a', less: true }], '/allOf/0/less: must be an integer'],
    ['ordering against text', [{ claim: 'a', greater: 'ten' }], '/allOf/0/greater'],
    ['ordering against another spelling of a number', [{ claim: 'a', greater: '010' }], '/allOf/0/greater'],
    ['ordering against a fraction', [{ claim: 'a', lessOrEquals: 0.5 }], '/allOf/0/lessOrEquals'],
    ['exists with a number', [{ claim: 'a', exists: 1 }], '/allOf/0/exists: must be true or false'],
    ['exists with other text', [{ claim: 'a', exists: 'yes' }], '/allOf/0/exists'],
  ])('%s', (_, conditions, detail) => {
    expect(detailOf(policy(conditions))).toContain(`/release/anyOf/0${detail}`);
  });

  test('and quotes no value', () => {
    expect(detailOf(policy([{ claim: 'a', less: 'a secret' }]))).not.toContain('secret');
  });
});

describe('limits', () => {
  const accepted = (json: unknown) => parseReleasePolicy(json).ok;
  const times = <T>(count: number, value: T) => Array.from({ length: count }, () => value);
  const nested = (depth: number): unknown => (depth === 1 ? SAFE : { anyOf: [nested(depth - 1)] });

  test('16 authorities pass, 17 do not', () => {
    const authorities = (count: number) => ({
      version: '1.0.0',
      anyOf: times(count, { authority: 'a', allOf: [SAFE] }),
    });
    expect([accepted(authorities(16)), accepted(authorities(17))]).toEqual([true, false]);
  });

  test('256 conditions in total pass, 257 do not, groups counted', () => {
    expect([accepted(policy(times(256, SAFE))), accepted(policy(times(257, SAFE)))]).toEqual([true, false]);
    const spread = (count: number) => ({
      version: '1.0.0',
      anyOf: times(4, { authority: 'a', allOf: times(count, SAFE) }),
    });
    expect([accepted(spread(64)), accepted(spread(65))]).toEqual([true, false]);
    expect(accepted(policy([...times(254, SAFE), { anyOf: [SAFE] }]))).toBe(true);
    expect(accepted(policy([...times(255, SAFE), { anyOf: [SAFE] }]))).toBe(false);
  });

  test('groups 8 deep pass, 9 deep do not, and 100,000 deep do no harm', () => {
    expect([accepted(policy([nested(8)])), accepted(policy([nested(9)]))]).toEqual([true, false]);
    let deep: unknown = SAFE;
    for (let i = 0; i < 100_000; i++) deep = { anyOf: [deep] };
    expect(accepted(policy([deep]))).toBe(false);
  });

  test('names and values pass up to their length, counted in characters', () => {
    const claim = (length: number) => accepted(policy([{ claim: 'x'.repeat(length), equals: 1 }]));
    expect([claim(256), claim(257)]).toEqual([true, false]);
    const value = (length: number) => accepted(policy([{ claim: 'a', equals: '😀'.repeat(length) }]));
    expect([value(1024), value(1025)]).toEqual([true, false]);
    const authority = (length: number) =>
      accepted({ version: '1.0.0', anyOf: [{ authority: 'x'.repeat(length), allOf: [SAFE] }] });
    expect([authority(512), authority(513)]).toEqual([true, false]);
  });
});

describe('properties', () => {
  test('a parsed policy is plain JSON: stored in canonical form, it is read back unchanged', () => {
    fc.assert(
      fc.property(releasePolicyJson, (json) => {
        const result = parseReleasePolicy(json);
        if (!result.ok) throw new Error(result.detail);
        expect(JSON.parse(canonicalJson(result.value as unknown as Json).toString())).toEqual(result.value);
        expect(parseReleasePolicy(releasePolicyDocument(result.value))).toEqual(result);
      }),
    );
  });

  test('parser and published schema agree on valid policies, and on policies with one value replaced', () => {
    const validate = new Ajv2020().compile({
      ...ReleasePolicySchema,
      $id: 'urn:portcullis:test',
      $defs: RELEASE_POLICY_DEFS,
    });
    const agree = (json: unknown) => expect(parseReleasePolicy(json).ok).toBe(validate(json));
    fc.assert(
      fc.property(releasePolicyJson, fc.nat(), fc.jsonValue(), (json, position, value) => {
        agree(json);
        agree(replaceNode(json, position, value));
      }),
      { numRuns: 500 },
    );
  });

  test('no JSON value makes the parser throw', () => {
    fc.assert(fc.property(fc.jsonValue(), (json) => expect(typeof parseReleasePolicy(json).ok).toBe('boolean')));
  });
});

/** A copy with the node at a position (counted in document order, modulo their number) replaced. */
function replaceNode(json: unknown, position: number, value: unknown): unknown {
  const count = (node: unknown): number =>
    1 +
    (typeof node === 'object' && node !== null
      ? Object.values(node).reduce<number>((sum, child) => sum + count(child), 0)
      : 0);
  let left = position % count(json);
  const walk = (node: unknown): unknown => {
    if (left-- === 0) return value;
    if (Array.isArray(node)) return node.map(walk);
    if (typeof node !== 'object' || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([name, child]) => [name, walk(child)]));
  };
  return walk(json);
}
