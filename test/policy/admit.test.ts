import { describe, expect, test } from '@jest/globals';
import { admitDeployment } from '../../src/policy/admit.js';
import { bootChain } from '../../src/policy/boot-chain.js';
import type { Deployment } from '../../src/policy/deployment.js';
import { deployment, hex } from './documents.js';

const pcrs = (...names: readonly string[]) => ({
  platform: { pcrs: Object.fromEntries(names.map((name) => [name, [hex('a')]])) },
});

describe('a boot chain', () => {
  test.each([
    ['4', '7'],
    ['4', '11', '12'],
    ['0', '4', '7', '14'],
    ['4', '7', '11'],
  ])('is pinned by PCRs %s %s %s', (...names) => {
    expect(bootChain(deployment(pcrs(...names.filter((name) => typeof name === 'string'))))).toBe('pinned');
  });

  test.each([
    [[]],
    [['4']],
    [['7']],
    [['4', '11']],
    [['4', '12']],
    [['7', '11', '12']],
    [['11', '12']],
    [['0', '1', '2', '3', '5', '6', '7']],
  ])('is not pinned by %j', (names) => {
    expect(bootChain(deployment(pcrs(...names)))).toBe('unmeasured');
  });

  test('is not pinned by a list without values, nor by inherited members', () => {
    const empty: Deployment = {
      ...deployment(),
      platform: { pcrs: { '4': [], '7': [hex('a')] }, unmeasuredBoot: false },
    };
    expect(bootChain(empty)).toBe('unmeasured');
    const inherited = Object.create({ '4': [hex('a')], '7': [hex('a')] }) as Record<string, string[]>;
    expect(bootChain({ ...deployment(), platform: { pcrs: inherited, unmeasuredBoot: false } })).toBe('unmeasured');
  });
});

describe('the launch of a confidential VM', () => {
  const ME = hex('a', 96);
  const launched = (source: string, members: object = {}, rule: object = { measurement: ME }, trust = ['cvm-report']) =>
    bootChain(
      deployment({ measurement: { source }, platform: {}, attesters: { trust, allow: { cvm: [rule] } }, ...members }),
    );
  const release = (kind: 'anyOf' | 'allOf', ...groups: readonly object[]) => ({
    release: { version: '1.0.0', [kind]: groups.map((group) => ({ authority: 'portcullis', ...group })) },
  });
  const equal = (...rtmrs: readonly number[]) => rtmrs.map((n) => ({ claim: `tdx.rtmrs.${String(n)}`, equals: ME }));

  test('is a boot chain where the policy is in HOST_DATA and every rule has a measurement', () => {
    expect(launched('snp.host_data')).toBe('pinned');
    expect(launched('snp.host_data', {}, { idKeyDigest: ME })).toBe('unmeasured');
    expect(launched('snp.host_data', {}, { measurement: ME }, ['cvm-report', 'pinned'])).toBe('unmeasured');
    expect(launched('tpm')).toBe('unmeasured');
    expect(launched('snp.host_data', { platform: { unmeasuredBoot: true } })).toBe('unmeasured');
  });

  test('is none of a trust domain, whose MRTD covers the firmware, without the RTMRs of what it started', () => {
    expect(launched('tdx.mrconfigid')).toBe('unmeasured');
    expect(launched('tdx.mrconfigid', release('anyOf', { allOf: equal(1, 2) }))).toBe('pinned');
    expect(launched('tdx.mrconfigid', release('allOf', { allOf: equal(1) }, { allOf: equal(2) }))).toBe('pinned');
  });

  test.each<[string, object]>([
    ['one of the two', release('anyOf', { allOf: equal(1) })],
    ['either', release('anyOf', { anyOf: equal(1, 2) })],
    ['one of two ways', release('anyOf', { allOf: equal(1, 2) }, { allOf: equal(0) })],
    [
      'that they exist',
      release('anyOf', { allOf: [1, 2].map((n) => ({ claim: `tdx.rtmrs.${String(n)}`, exists: true })) }),
    ],
    [
      'it, or what another authority says',
      {
        release: {
          version: '1.0.0',
          anyOf: [
            { authority: 'portcullis', allOf: equal(1, 2) },
            { authority: 'https://issuer.example', allOf: [{ claim: 'a', equals: 1 }] },
          ],
        },
      },
    ],
  ])('nor where the release policy demands %s', (_, members) => {
    expect(launched('tdx.mrconfigid', members)).toBe('unmeasured');
  });
});

describe('admission', () => {
  const refusal = (members: object, profile: 'development' | 'production') => {
    const result = admitDeployment(deployment(members), profile);
    if (result.ok) throw new Error('admitted');
    return result;
  };
  const warnings = (members: object, profile: 'development' | 'production') => {
    const result = admitDeployment(deployment(members), profile);
    if (!result.ok) throw new Error(result.detail);
    return result.value.warnings;
  };

  test('of a deployment with a boot chain and pinned AKs has no objection in either profile', () => {
    expect(warnings({}, 'production')).toEqual([]);
    expect(warnings({}, 'development')).toEqual([]);
  });

  test('deployment.unmeasured_boot: production refuses and says what to do, unless the document says so; development warns', () => {
    const bare = { platform: {} };
    expect(refusal(bare, 'production')).toMatchObject({
      reason: 'deployment.unmeasured_boot',
      detail: expect.stringContaining('give platform.pcrs reference values for PCRs 4 and 7, or 4, 11 and 12'),
    });
    expect(warnings(bare, 'development')).toEqual([expect.stringContaining('no boot chain is pinned')]);
    expect(warnings({ platform: { unmeasuredBoot: true } }, 'production')).toEqual([
      expect.stringContaining('no boot chain is pinned'),
    ]);
    expect(warnings({ platform: { ...pcrs('4', '7').platform, unmeasuredBoot: true } }, 'production')).toEqual([]);
  });

  test.each([16, 23])(
    'deployment.resettable_pcr: production refuses PCR %i, unless the document says so; development warns',
    (pcr) => {
      expect(refusal({ measurement: { pcr } }, 'production')).toMatchObject({
        reason: 'deployment.resettable_pcr',
        detail: expect.stringContaining(`measurement.pcr ${String(pcr)} can be reset`),
      });
      expect(warnings({ measurement: { pcr } }, 'development')).toEqual([
        expect.stringContaining('choose another PCR'),
      ]);
      expect(warnings({ measurement: { pcr, allowResettable: true } }, 'production')).toHaveLength(1);
    },
  );

  test('no other PCR counts as resettable', () => {
    for (let pcr = 8; pcr < 24; pcr++) {
      if (pcr !== 16 && pcr !== 23) expect(warnings({ measurement: { pcr } }, 'production')).toEqual([]);
    }
  });

  test('deployment.simulator_trust: production refuses simulators, whatever else is trusted; development does not', () => {
    expect(refusal({ attesters: { trust: ['pinned', 'simulator'] } }, 'production')).toMatchObject({
      reason: 'deployment.simulator_trust',
      detail: expect.stringContaining('use pinned'),
    });
    expect(warnings({ attesters: { trust: ['simulator'] } }, 'development')).toEqual([]);
  });

  test.each([['ek-certificate'], ['ak-certificate'], ['pinned', 'ek-certificate', 'ak-certificate']])(
    'of a deployment that trusts %s has no objection in either profile',
    (...trust) => {
      const members = { attesters: { trust: trust.filter((kind) => typeof kind === 'string') } };
      for (const profile of ['development', 'production'] as const) expect(warnings(members, profile)).toEqual([]);
    },
  );

  test.each<[string, object, string]>([
    [
      'policies measured in an SNP report, of a machine that is believed by another kind',
      { measurement: { source: 'snp.host_data' }, attesters: { trust: ['pinned'] } },
      'trust cvm-report alone',
    ],
    [
      'policies measured in a TD, of a machine that is believed by another kind too',
      { measurement: { source: 'tdx.mrconfigid' }, attesters: { trust: ['cvm-report', 'pinned'] } },
      'trust cvm-report alone',
    ],
  ])('deployment.unsupported: %s, in both profiles, and says what to use', (_, members, remedy) => {
    for (const profile of ['development', 'production'] as const) {
      expect(refusal(members, profile)).toMatchObject({
        reason: 'deployment.unsupported',
        detail: expect.stringContaining(remedy),
      });
    }
  });
});
