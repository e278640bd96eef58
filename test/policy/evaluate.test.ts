import { describe, expect, test } from '@jest/globals';
import { claimTree, type ClaimTree } from '../../src/claims/claims.js';
import type { AcceptedPolicy, Deployment } from '../../src/policy/deployment.js';
import { evaluatePolicy, neededPcrs, type PolicyInput } from '../../src/policy/evaluate.js';
import { expectedPcr, extendedPcr } from '../../src/policy/policy-hash.js';
import { deployment, HASH, hex, OTHER_HASH } from './documents.js';

const NOW = Date.UTC(2026, 10, 22);
const MEASURED = expectedPcr('sha256', HASH.sha256);
const OTHER_MEASURED = expectedPcr('sha256', OTHER_HASH.sha256);
const RELEASE = {
  version: '1.0.0',
  anyOf: [
    {
      authority: 'portcullis',
      allOf: [
        { claim: 'tpm.safe', equals: true },
        { claim: 'tpm.reset_count', less: 3 },
      ],
    },
  ],
};

interface Case {
  readonly rules?: Deployment;
  readonly accepted?: readonly AcceptedPolicy[];
  readonly pcrs?: Readonly<Record<string, string>>;
  readonly claims?: ClaimTree;
  readonly nowMs?: number;
}

const GOOD_PCRS = { '4': hex('4'), '7': hex('7'), '8': MEASURED };

function input({
  rules = deployment(),
  accepted = [HASH],
  pcrs = {},
  claims = claimTree({}),
  nowMs = NOW,
}: Case = {}): PolicyInput {
  const results = [{ authority: 'portcullis', claims }];
  return { deployment: rules, accepted, pcrs: { sha256: { ...GOOD_PCRS, ...pcrs } }, results, nowMs };
}

function refused(test: Case | PolicyInput) {
  const outcome = evaluatePolicy('results' in test ? test : input(test));
  if (outcome.ok) throw new Error('released');
  expect(outcome.decision.met).toBe(false);
  return outcome;
}

function without(name: string): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(GOOD_PCRS).filter(([pcr]) => pcr !== name));
}

test('the registered policy on the pinned boot chain is met, with every condition in the decision', () => {
  expect(evaluatePolicy(input())).toEqual({
    ok: true,
    value: {
      policySha256: HASH.sha256,
      decision: {
        met: true,
        conditions: [
          {
            claim: 'tpm.pcrs.sha256.8',
            operator: 'in',
            expected: [MEASURED],
            found: MEASURED,
            met: true,
            note: `policy ${HASH.sha256} was measured`,
          },
          { claim: 'policy.sha256', operator: 'in', expected: [HASH.sha256], found: HASH.sha256, met: true },
          { claim: 'tpm.pcrs.sha256.4', operator: 'in', expected: [hex('4')], found: hex('4'), met: true },
          { claim: 'tpm.pcrs.sha256.7', operator: 'in', expected: [hex('7')], found: hex('7'), met: true },
        ],
      },
    },
  });
});

test('any of several registered policies will do, and it is named', () => {
  const outcome = evaluatePolicy(input({ accepted: [HASH, OTHER_HASH], pcrs: { '8': OTHER_MEASURED } }));
  expect(outcome.ok && outcome.value.policySha256).toBe(OTHER_HASH.sha256);
});

test('in the SHA-384 bank the SHA-384 of the policy counts, and a policy without one matches nothing', () => {
  const rules = deployment({
    measurement: { bank: 'sha384', pcr: 14 },
    platform: { pcrs: { '4': [hex('4', 96)], '7': [hex('7', 96)] } },
  });
  const pcrs = { sha384: { '4': hex('4', 96), '7': hex('7', 96), '14': expectedPcr('sha384', HASH.sha384) } };
  const base = { ...input({ rules }), pcrs };
  expect(evaluatePolicy(base).ok).toBe(true);
  expect(refused({ ...base, accepted: [{ sha256: HASH.sha256 }] }).reason).toBe('policy.hash');
  expect(refused({ ...base, pcrs: { sha256: pcrs.sha384 } }).reason).toBe('policy.hash');
});

describe('policy.hash', () => {
  test.each([
    ['all zeros', hex('0'), 'nothing has been measured into PCR 8'],
    ['another policy', expectedPcr('sha256', hex('a')), 'another policy was measured, or something else besides'],
    [
      'the policy measured twice',
      extendedPcr('sha256', MEASURED, HASH.sha256),
      `policy ${HASH.sha256} was measured twice into PCR 8`,
    ],
    [
      'the policy measured after something else',
      extendedPcr('sha256', hex('a'), HASH.sha256),
      'another policy was measured',
    ],
    ['the policy hash itself', HASH.sha256, 'another policy was measured'],
    ['the right value in capitals', MEASURED.toUpperCase(), 'another policy was measured'],
  ])('%s', (_, value, note) => {
    const { reason, detail, decision, policySha256 } = refused({ pcrs: { '8': value } });
    expect(reason).toBe('policy.hash');
    expect(detail).toContain(note);
    expect(policySha256).toBeUndefined();
    expect(decision.conditions[0]).toMatchObject({
      claim: 'tpm.pcrs.sha256.8',
      operator: 'in',
      expected: [MEASURED],
      found: value,
      met: false,
      note: expect.stringContaining(note),
    });
    expect(decision.conditions[1]).toMatchObject({ claim: 'policy.sha256', found: null, met: false });
    expect(decision.conditions).toHaveLength(4);
  });

  test('the policy measured into another PCR is found there', () => {
    expect(refused({ pcrs: { '8': hex('0'), '9': MEASURED } }).detail).toContain('was measured into PCR 9, not PCR 8');
  });

  test('no value for the policy PCR', () => {
    const { reason, decision, detail } = refused({ ...input(), pcrs: { sha256: without('8') } });
    expect(reason).toBe('policy.hash');
    expect(detail).toContain('the sha256 bank of the quote has no PCR 8');
    expect(decision.conditions[0]).toMatchObject({ found: null, met: false });
    expect(refused({ ...input(), pcrs: {} }).reason).toBe('policy.hash');
  });

  test('no registered policy', () => {
    const { reason, detail } = refused({ accepted: [] });
    expect(reason).toBe('policy.hash');
    expect(detail).toContain('no policy with a sha256 hash is registered');
  });

  test('inherited members are no PCR values', () => {
    const inherited = Object.create({ '8': MEASURED, '4': hex('4'), '7': hex('7') }) as Record<string, string>;
    expect(refused({ ...input(), pcrs: { sha256: inherited } }).reason).toBe('policy.hash');
    const bank = Object.create({ sha256: GOOD_PCRS }) as Record<string, Record<string, string>>;
    expect(refused({ ...input(), pcrs: bank }).reason).toBe('policy.hash');
  });
});

describe('policy.validity', () => {
  const from = { ...HASH, notBeforeMs: NOW };
  const until = { ...HASH, notAfterMs: NOW };

  test('a policy is valid from notBefore on, to the millisecond', () => {
    expect(evaluatePolicy(input({ accepted: [from] })).ok).toBe(true);
    expect(refused({ accepted: [from], nowMs: NOW - 1 }).reason).toBe('policy.validity');
  });

  test('a policy is valid before notAfter, to the millisecond', () => {
    expect(evaluatePolicy(input({ accepted: [until], nowMs: NOW - 1 })).ok).toBe(true);
    expect(refused({ accepted: [until] }).reason).toBe('policy.validity');
  });

  test('the decision names the measured policy, its dates, and those that are valid', () => {
    const accepted = [{ ...HASH, notBeforeMs: 0, notAfterMs: NOW }, OTHER_HASH];
    const { decision, policySha256, detail } = refused({ accepted });
    expect(policySha256).toBe(HASH.sha256);
    expect(decision.conditions[0]).toMatchObject({ met: true });
    expect(decision.conditions[1]).toEqual({
      claim: 'policy.sha256',
      operator: 'in',
      expected: [OTHER_HASH.sha256],
      found: HASH.sha256,
      met: false,
      note: 'valid from 1970-01-01T00:00:00.000Z before 2026-11-22T00:00:00.000Z only',
    });
    expect(detail).toContain('before 2026-11-22');
  });

  test('where two entries name the same policy, a valid one wins, in either order', () => {
    expect(evaluatePolicy(input({ accepted: [until, from] })).ok).toBe(true);
    expect(evaluatePolicy(input({ accepted: [from, until] })).ok).toBe(true);
  });

  test('a time that is no number is in no window', () => {
    expect(refused({ accepted: [from], nowMs: NaN }).reason).toBe('policy.validity');
  });
});

describe('policy.pcr', () => {
  test('a reference PCR with another value', () => {
    const { reason, detail, decision, policySha256 } = refused({ pcrs: { '4': hex('5') } });
    expect(reason).toBe('policy.pcr');
    expect(detail).toContain(`tpm.pcrs.sha256.4 is ${hex('5')}`);
    expect(policySha256).toBe(HASH.sha256);
    expect(decision.conditions[2]).toEqual({
      claim: 'tpm.pcrs.sha256.4',
      operator: 'in',
      expected: [hex('4')],
      found: hex('5'),
      met: false,
    });
    expect(decision.conditions[3]).toMatchObject({ claim: 'tpm.pcrs.sha256.7', met: true });
  });

  test('a reference PCR that was not quoted', () => {
    const { reason, decision } = refused({ ...input(), pcrs: { sha256: without('7') } });
    expect(reason).toBe('policy.pcr');
    expect(decision.conditions[3]).toMatchObject({ claim: 'tpm.pcrs.sha256.7', found: null, met: false });
  });

  test('any of the reference values will do', () => {
    const rules = deployment({ platform: { pcrs: { '4': [hex('a'), hex('b')], '7': [hex('7')] } } });
    expect(evaluatePolicy(input({ rules, pcrs: { '4': hex('b') } })).ok).toBe(true);
    expect(refused({ rules, pcrs: { '4': hex('c') } }).reason).toBe('policy.pcr');
  });
});

describe('policy.claims', () => {
  const rules = deployment({ release: RELEASE });
  const claims = (safe: boolean, resetCount: number) =>
    claimTree({ tpm: claimTree({ safe, reset_count: resetCount }) });

  test('the release policy is met by verified claims', () => {
    expect(evaluatePolicy(input({ rules, claims: claims(true, 2) })).ok).toBe(true);
  });

  test('or not, and the tree says where', () => {
    const { reason, detail, decision } = refused({ rules, claims: claims(true, 3) });
    expect(reason).toBe('policy.claims');
    expect(detail).toBe('the release policy is not met, first at: tpm.reset_count is 3');
    expect(decision.conditions[4]).toEqual({
      anyOf: [
        {
          authority: 'portcullis',
          allOf: [
            { claim: 'tpm.safe', operator: 'equals', expected: true, found: true, met: true },
            { claim: 'tpm.reset_count', operator: 'less', expected: 3, found: 3, met: false },
          ],
          met: false,
        },
      ],
      met: false,
    });
  });

  test('the detail never says what was expected', () => {
    const secretive = deployment({
      release: {
        version: '1.0.0',
        anyOf: [{ authority: 'portcullis', anyOf: [{ claim: 'tpm.ak.trust', equals: 'EXPECTED' }] }],
      },
    });
    expect(JSON.stringify(refused({ rules: secretive }).detail)).not.toContain('EXPECTED');
  });

  test('policy.sha256 and deployment are claims of our own authority', () => {
    const own = (conditions: readonly object[]) =>
      deployment({ release: { version: '1.0.0', allOf: [{ authority: 'portcullis', allOf: conditions }] } });
    const here = [
      { claim: 'policy.sha256', equals: HASH.sha256 },
      { claim: 'deployment', equals: 'llm-inference' },
    ];
    expect(evaluatePolicy(input({ rules: own(here) })).ok).toBe(true);
    expect(evaluatePolicy({ ...input({ rules: own(here) }), results: [] }).ok).toBe(true);
    expect(refused({ rules: own([{ claim: 'deployment', equals: 'other' }]) }).reason).toBe('policy.claims');
  });

  test('no other spelling passes for our own authority', () => {
    const results = [{ authority: 'portcullis/', claims: claims(true, 0) }];
    expect(refused({ ...input({ rules }), results }).reason).toBe('policy.claims');
  });

  test('a release policy without any condition, which no document can have, is not met', () => {
    const empty: Deployment = { ...deployment(), release: { kind: 'allOf', authorities: [] } };
    expect(refused({ rules: empty })).toMatchObject({
      reason: 'policy.claims',
      detail: 'the release policy is not met',
    });
  });
});

describe('when several conditions are not met', () => {
  const rules = deployment({ release: RELEASE });
  const expired = [{ ...HASH, notAfterMs: 1 }];

  test('the reason is the first in the order hash, validity, pcr, claims', () => {
    const all = { rules, accepted: expired, pcrs: { '4': hex('5') } };
    expect(refused({ ...all, pcrs: { '4': hex('5'), '8': hex('0') } }).reason).toBe('policy.hash');
    expect(refused(all).reason).toBe('policy.validity');
    expect(refused({ ...all, accepted: [HASH] }).reason).toBe('policy.pcr');
    expect(refused({ ...all, accepted: [HASH], pcrs: {} }).reason).toBe('policy.claims');
  });

  test('all of them stand in the decision', () => {
    const { decision } = refused({ rules, accepted: expired, pcrs: { '4': hex('5'), '8': hex('0') } });
    expect(decision.conditions.map(({ met }) => met)).toEqual([false, false, false, true, false]);
  });
});

describe('a policy that the processor measures', () => {
  const fields = [
    ['snp.host_data', 'sha256', HASH.sha256],
    ['snp.host_data', 'sha384', HASH.sha384.slice(0, 64)],
    ['tdx.mrconfigid', 'sha256', HASH.sha256 + '00'.repeat(16)],
    ['tdx.mrconfigid', 'sha384', HASH.sha384],
  ] as const;
  const measured = (source: string, value: string | undefined) => {
    const [kind = '', field = ''] = source.split('.');
    const claims = value === undefined ? {} : { [kind]: claimTree({ [field]: value }) };
    return claimTree(claims);
  };
  const rulesOf = (source: string, bank: string) => deployment({ measurement: { source, bank }, platform: {} });

  test.each(fields)('fills the whole of %s with its %s hash', (source, bank, value) => {
    const rules = rulesOf(source, bank);
    expect(evaluatePolicy(input({ rules, claims: measured(source, value) }))).toMatchObject({
      ok: true,
      value: { policySha256: HASH.sha256 },
    });
    const last = value.slice(0, -2) + (value.endsWith('00') ? '01' : '00');
    for (const other of [undefined, '', value.slice(0, 32), `${value}00`, last, '0'.repeat(value.length)]) {
      expect(refused({ rules, claims: measured(source, other) }).reason).toBe('policy.hash');
    }
  });

  test.each(fields)('is none where %s has zeros, not even one of a %s hash of zeros', (source, bank, value) => {
    const zeros = { sha256: hex('0'), sha384: hex('0', 96) };
    const claims = measured(source, '0'.repeat(value.length));
    const { reason, decision } = refused({ rules: rulesOf(source, bank), accepted: [zeros, HASH], claims });
    expect([reason, decision.conditions[0]]).toEqual([
      'policy.hash',
      expect.objectContaining({ met: false, note: `nothing was put into ${source}` }),
    ]);
  });

  test('is not looked for in a PCR, nor in claims of others', () => {
    const rules = rulesOf('snp.host_data', 'sha256');
    const results = [{ authority: 'https://example.test', claims: measured('snp.host_data', HASH.sha256) }];
    expect(refused({ ...input({ rules }), results }).reason).toBe('policy.hash');
    expect(neededPcrs(rules)).toEqual({});
  });
});

describe('the PCRs that a quote must cover', () => {
  test('are the policy PCR and the reference PCRs, ascending', () => {
    const platform = { pcrs: { '11': [hex('1')], '4': [hex('1')], '12': [hex('1')] } };
    expect(neededPcrs(deployment({ platform }))).toEqual({ sha256: [4, 8, 11, 12] });
    expect(neededPcrs(deployment({ platform: {} }))).toEqual({ sha256: [8] });
  });

  test('and those that conditions on our own claims name, in whatever bank and depth', () => {
    const conditions = [
      { claim: 'tpm.pcrs.sha256.0', equals: hex('0') },
      {
        anyOf: [
          { allOf: [{ claim: 'tpm.pcrs.sha384.14', exists: true }] },
          { claim: 'tpm.pcrs.sha256.4', equals: 'x' },
        ],
      },
      { claim: 'tpm.pcrs.sha512.23', notEquals: 'x' },
      { claim: 'tpm.pcrs.sha1.1', exists: true },
      { claim: 'tpm.pcrs.sha256.24', exists: true },
      { claim: 'tpm.pcrs.sha256.05', exists: true },
      { claim: 'tpm.safe', equals: true },
    ];
    const foreign = { authority: 'https://issuer.example', allOf: [{ claim: 'tpm.pcrs.sha256.1', exists: true }] };
    const release = { version: '1.0.0', anyOf: [{ authority: 'portcullis', allOf: conditions }, foreign] };
    expect(neededPcrs(deployment({ release }))).toEqual({ sha256: [0, 4, 7, 8], sha384: [14], sha512: [23] });
  });

  test('are in the bank of the measurement', () => {
    expect(neededPcrs(deployment({ measurement: { bank: 'sha384', pcr: 14 }, platform: {} }))).toEqual({
      sha384: [14],
    });
  });
});
