import { describe, expect, test } from '@jest/globals';
import type { AcceptedPolicy } from '../../src/policy/deployment.js';
import { isClaimName } from '../../src/evidence/claim-names.js';
import { lintDeployment } from '../../src/policy/lint.js';
import { deployment, HASH, hex } from './documents.js';

const NOW = Date.UTC(2026, 10, 22);
const DAY = 86_400_000;
const CURRENT: AcceptedPolicy = { ...HASH, notAfterMs: NOW + 365 * DAY };

/** A deployment that the linter has nothing to say about: a unified kernel image, and a policy PCR of its own. */
const QUIET = {
  measurement: { pcr: 22 },
  platform: { pcrs: { '4': [hex('4')], '7': [hex('7')], '11': [hex('b')], '12': [hex('0')] } },
};

interface Subject {
  readonly members?: object;
  readonly policies?: readonly AcceptedPolicy[];
  readonly profile?: 'development' | 'production';
}

function lint({ members = {}, policies = [CURRENT], profile = 'production' }: Subject = {}): readonly string[] {
  return lintDeployment({
    deployment: deployment({ ...QUIET, ...members }),
    policies,
    profile,
    nowMs: NOW,
    isClaim: isClaimName,
  });
}

const pcrs = (values: Readonly<Record<string, string>>) => ({
  platform: { pcrs: Object.fromEntries(Object.entries(values).map(([pcr, value]) => [pcr, [value]])) },
});
const release = (...conditions: readonly object[]) => ({
  release: { version: '1.0.0', anyOf: [{ authority: 'portcullis', allOf: conditions }] },
});

/** The least that is accepted of the firmware of an SEV-SNP processor. */
const snpFloor = release({ claim: 'snp.tcb.reported.snp', greaterOrEquals: 24 });

test('a deployment without anything odd has no warning', () => {
  expect(lint()).toEqual([]);
});

describe('the policy PCR', () => {
  test.each([
    [8, 'GRUB extends it'],
    [9, 'GRUB extends it'],
    [0, 'the firmware extends it'],
    [5, 'the firmware extends it'],
    [10, 'the IMA of Linux extends it'],
    [13, 'systemd-stub extends it'],
    [14, 'shim extends it'],
    [15, 'systemd extends it'],
  ])('%i: others extend it', (pcr, who) => {
    expect(lint({ members: { measurement: { pcr } } })).toEqual([
      expect.stringContaining(`measurement.pcr ${String(pcr)}: ${who}`),
    ]);
  });

  test.each([16, 17, 22, 23])('%i: nobody else extends it', (pcr) => {
    expect(lint({ members: { measurement: { pcr } } })).toEqual([]);
  });

  test('does not matter where the policy is not measured into a PCR', () => {
    const members = { ...snpFloor, measurement: { source: 'snp.host_data', pcr: 8 } };
    expect(lint({ members })).toEqual([]);
  });
});

describe('reference values', () => {
  test('PCR 11 without 12 leaves the command line open', () => {
    expect(lint({ members: pcrs({ '4': hex('4'), '7': hex('7'), '11': hex('b') }) })).toEqual([
      expect.stringContaining('11 without 12'),
    ]);
  });

  test('PCR 7 without 4 pins keys and no code', () => {
    expect(lint({ members: pcrs({ '7': hex('7') }) })).toEqual([expect.stringContaining('7 without 4')]);
  });

  test('PCR 4 without what comes after it pins no kernel', () => {
    const members = pcrs({ '4': hex('4'), '7': hex('7') });
    expect(lint({ members })).toEqual([expect.stringContaining('PCR 4 ends at the boot loader')]);
    const grub = { ...members, measurement: { pcr: 8 } };
    expect(lint({ members: grub }).join()).toContain('and measure the policy into another PCR');
    expect(lint({ members: pcrs({ '4': hex('4'), '7': hex('7'), '8': hex('8'), '9': hex('9') }) })).toEqual([]);
  });

  test.each(['0', 'f'])('values of %s only say that nothing was measured, except in PCRs 12 and 13', (digit) => {
    const blank = { '4': hex(digit), '7': hex('7'), '11': hex('b'), '12': hex(digit), '13': hex(digit) };
    expect(lint({ members: pcrs(blank) })).toEqual([
      expect.stringContaining('platform.pcrs 4 accepts a value of all zeros or all ones'),
    ]);
  });

  test.each(['16', '23'])('of PCR %s prove nothing, since the guest can reset it', (pcr) => {
    const values = { '4': hex('4'), '7': hex('7'), '11': hex('b'), '12': hex('0'), [pcr]: hex('a') };
    expect(lint({ members: pcrs(values) })).toEqual([expect.stringContaining(`platform.pcrs ${pcr} can be reset`)]);
  });
});

describe('attesters', () => {
  const attesters = (members: object) => ({ attesters: { trust: ['ek-certificate'], ...members } });

  test('anyFromRoots is warned about in production', () => {
    const members = attesters({ anyFromRoots: true });
    expect(lint({ members }).join()).toContain('attesters.anyFromRoots accepts every machine below the roots');
    expect(lint({ members, profile: 'development' }).join()).not.toContain('every machine');
  });

  test('certificate kinds without roots accept nobody', () => {
    expect(lint({ members: attesters({}) })).toEqual([expect.stringContaining('attesters.roots is empty')]);
  });

  test('rules for certificates have no effect without a certificate kind', () => {
    const members = { attesters: { trust: ['pinned'], allow: { ak: [hex('a')], ek: [hex('b')] }, anyFromRoots: true } };
    expect(lint({ members, profile: 'development' })).toEqual([
      expect.stringContaining('attesters.allow.ek has no effect'),
      expect.stringContaining('attesters.allow.ak has no effect'),
      expect.stringContaining('attesters.anyFromRoots has no effect'),
    ]);
  });
});

describe('hardware', () => {
  test('in production, whatever is accepted beyond the safe defaults is warned about', () => {
    const platform = {
      snp: { debug: true, migrationAgent: true, maskedChip: true },
      tdx: { debug: true, serviceTd: true, tcbStatus: ['UpToDate', 'OutOfDate'] },
      gpus: { debug: true },
    };
    const warnings = lint({ members: { platform } });
    for (const named of [
      'snp.debug',
      'snp.migrationAgent',
      'snp.maskedChip',
      'tdx.debug',
      'tdx.serviceTd',
      'tdx.tcbStatus',
      'gpus.debug',
    ]) {
      expect(warnings).toContainEqual(expect.stringContaining(`platform.${named} accepts`));
    }
    const safe = { snp: { debug: false }, tdx: { tcbStatus: ['UpToDate'] }, gpus: { count: 8 } };
    expect(lint({ members: { ...snpFloor, platform: safe } })).toEqual([]);
  });

  test('a condition on one device judges no other, unless it is said how many there are', () => {
    const ofDevice = release(
      { claim: 'gpu.count', exists: true },
      { anyOf: [{ claim: 'gpu.12.driver_version', exists: true }] },
    );
    const judgedAlone = expect.stringMatching(/^release: gpu\.12\.driver_version is of one device/);
    const alone = release({ anyOf: [{ claim: 'gpu.12.driver_version', exists: true }] });
    for (const profile of ['production', 'development'] as const) {
      expect(lint({ members: { ...alone, platform: { ...QUIET.platform, gpus: {} } }, profile })).toEqual([
        judgedAlone,
      ]);
    }
    expect(lint({ members: ofDevice })).toEqual([]);
    expect(lint({ members: { ...alone, platform: { ...QUIET.platform, gpus: { count: 13 } } } })).toEqual([]);
    expect(lint({ members: release({ claim: 'gpu.topology', equals: true }) })).toEqual([]);
    const theirs = [{ authority: 'https://attest.example', allOf: [{ claim: 'gpu.0.mode', equals: 'SPT' }] }];
    expect(lint({ members: { release: { version: '1.0.0', anyOf: theirs } } })).toEqual([]);
  });

  test('SEV-SNP without a floor for its firmware is warned about, in both profiles', () => {
    const cvm = { trust: ['cvm-report'], allow: { cvm: [{ measurement: hex('a').repeat(2).slice(0, 96) }] } };
    const unjudged = expect.stringMatching(/^release: no condition on snp\.tcb\.reported\.\*/);
    const floorless: readonly object[] = [
      { measurement: { source: 'snp.host_data' } },
      { platform: { ...QUIET.platform, snp: {} } },
      { attesters: cvm },
      { attesters: cvm, platform: { ...QUIET.platform, snp: {}, tdx: {} } },
      release({ claim: 'snp.tcb.current.snp', greaterOrEquals: 24 }),
      {
        release: {
          version: '1.0.0',
          anyOf: [{ authority: 'https://x', allOf: [{ claim: 'snp.tcb.reported.snp', exists: true }] }],
        },
        attesters: cvm,
      },
    ];
    for (const profile of ['production', 'development'] as const) {
      for (const members of floorless) expect(lint({ members, profile })).toContainEqual(unjudged);
    }
    const quiet: readonly object[] = [
      {},
      ...floorless.slice(0, 4).map((members) => ({ ...members, ...snpFloor })),
      { attesters: cvm, platform: { ...QUIET.platform, tdx: {} } },
      { attesters: cvm, measurement: { source: 'tdx.mrconfigid' } },
      { attesters: cvm, ...release({ claim: 'tdx.mrtd', equals: 'aa' }) },
    ];
    for (const members of quiet) expect(lint({ members })).not.toContainEqual(unjudged);
  });

  test('accepted TCB statuses replace the default, so UpToDate belongs to them', () => {
    const statuses = (...tcbStatus: readonly string[]) => ({ platform: { ...QUIET.platform, tdx: { tcbStatus } } });
    expect(lint({ members: statuses('SWHardeningNeeded') })).toEqual([
      expect.stringContaining('platform.tdx.tcbStatus lacks UpToDate'),
    ]);
    expect(lint({ members: statuses('SWHardeningNeeded'), profile: 'development' })).toHaveLength(1);
    expect(lint({ members: statuses('SWHardeningNeeded', 'UpToDate') })).toEqual([]);
  });

  test('GPUs without a condition on their mode or links are nothing odd', () => {
    expect(lint({ members: { platform: { ...QUIET.platform, gpus: { count: 8 } } } })).toEqual([]);
  });

  test('reports of confidential VMs need a rule, and rules need the kind', () => {
    const cvm = [{ measurement: hex('a').repeat(2).slice(0, 96) }];
    expect(lint({ members: { attesters: { trust: ['cvm-report'] } } }).join()).toContain(
      'attesters.allow.cvm is empty',
    );
    expect(lint({ members: { attesters: { trust: ['pinned'], allow: { cvm } } } }).join()).toContain(
      'allow.cvm has no effect',
    );
    const members = { attesters: { trust: ['cvm-report'], allow: { cvm } } };
    expect(lint({ members: { ...members, ...snpFloor }, profile: 'development' })).toEqual([]);
    expect(lint({ members: { ...members, ...snpFloor } })).toEqual([
      expect.stringContaining('the measurement of plain firmware is everybody’s'),
    ]);
  });
});

describe('dates', () => {
  const name = HASH.sha256.slice(0, 12);

  test('a policy without end is warned about in production', () => {
    expect(lint({ policies: [HASH] })).toEqual([expect.stringContaining(`policy ${name}… has no notAfter`)]);
    expect(lint({ policies: [HASH], profile: 'development' })).toEqual([]);
  });

  test('a policy that has expired, to the millisecond', () => {
    const at = (notAfterMs: number) => lint({ policies: [{ ...HASH, notAfterMs }, CURRENT] });
    expect(at(NOW)).toEqual([expect.stringContaining('expired at 2026-11-22T00:00:00.000Z')]);
    expect(at(NOW + 1)).toEqual([expect.stringContaining('expires at')]);
  });

  test('a policy that ends within 14 days, unless it has not begun', () => {
    const soon = { ...HASH, notAfterMs: NOW + 14 * DAY };
    expect(lint({ policies: [soon] })).toEqual([expect.stringContaining('within 14 days')]);
    expect(lint({ policies: [{ ...soon, notAfterMs: soon.notAfterMs + 1 }] })).toEqual([]);
    expect(lint({ policies: [{ ...soon, notBeforeMs: NOW + DAY }, CURRENT] })).toEqual([]);
  });

  test('no policy that is valid now', () => {
    const future = { ...CURRENT, notBeforeMs: NOW + 1 };
    expect(lint({ policies: [future] })).toEqual(['no policy is valid now, so nothing is released until one is']);
  });
});

describe('the release policy', () => {
  test('claims that our verifiers make are known, others are not', () => {
    const known = [
      { claim: 'tpm.quote.signature_algorithm', equals: 'x' },
      { claim: 'tpm.ak.name', exists: true },
      { claim: 'tpm.ak.trust', equals: 'pinned' },
      { claim: 'tpm.clock', greater: 1 },
      { claim: 'tpm.reset_count', less: 9 },
      { claim: 'tpm.restart_count', less: 9 },
      { claim: 'tpm.safe', equals: true },
      { claim: 'tpm.firmware_version', greaterOrEquals: 1 },
      { claim: 'tpm.pcrs.sha256.0', equals: hex('a') },
      { claim: 'policy.sha256', exists: true },
      { claim: 'deployment', equals: 'a' },
      { claim: 'snp.tcb.reported.snp', greaterOrEquals: 24 },
      { claim: 'tdx.rtmrs.3', equals: hex('a', 96) },
      { claim: 'gpu.7.driver_version', equals: '550.144.03' },
    ];
    const members = { ...release(...known), platform: { ...QUIET.platform, gpus: { count: 8 } } };
    expect(lint({ members })).toEqual([]);
    const typos = release(
      { anyOf: [{ claim: 'tpm.save', equals: true }] },
      { claim: 'tpm.pcrs.sha256.24', exists: true },
      { claim: 'gpu.<i>.driver_version', exists: true },
    );
    expect(lint({ members: typos })).toEqual([
      'release: no verifier of this version makes the claim tpm.save',
      'release: no verifier of this version makes the claim tpm.pcrs.sha256.24',
      'release: no verifier of this version makes the claim gpu.<i>.driver_version',
    ]);
  });

  test('nothing is known of the claims of an authority that issues tokens', () => {
    const condition = { claim: 'a', equals: 1 };
    const members = {
      release: { version: '1.0.0', anyOf: [{ authority: 'https://issuer.example', allOf: [condition, condition] }] },
    };
    expect(lint({ members })).toEqual([]);
  });

  test('a PCR in another bank makes every machine quote two banks', () => {
    const members = release({ claim: 'tpm.pcrs.sha384.0', equals: hex('a', 96) });
    expect(lint({ members })).toEqual([expect.stringContaining('in another bank than measurement.bank sha256')]);
  });

  test.each([hex('A'), hex('a', 62), true, 1])('a PCR is never equal to %j', (equals) => {
    expect(lint({ members: release({ claim: 'tpm.pcrs.sha256.0', equals }) })).toEqual([
      'release: tpm.pcrs.sha256.0 is never equal to anything but 64 lower-case hex digits',
    ]);
  });
});
