import { describe, expect, test } from '@jest/globals';
import { gradeTcb, type TcbFacts } from '../../../src/endorsement/intel/grade.js';
import type { QeIdentity } from '../../../src/endorsement/intel/qe-identity.js';
import type { PlatformLevel, TcbInfo } from '../../../src/endorsement/intel/tcb-info.js';
import type { IsvLevel } from '../../../src/endorsement/intel/tcb-level.js';
import {
  convergedStatus,
  isWorse,
  knownStatus,
  TCB_STATUSES,
  type TcbStatus,
} from '../../../src/endorsement/intel/tcb-status.js';

const components = (...svns: readonly number[]) => Array.from({ length: 16 }, (_, index) => svns[index] ?? 0);
const svn = (...bytes: readonly number[]) => Buffer.from(components(...bytes));
const DATE = '2024-01-01T00:00:00Z';

const platform = (status: string, least: Partial<PlatformLevel> = {}): PlatformLevel => ({
  status,
  date: DATE,
  advisoryIds: [],
  sgxComponents: components(),
  tdxComponents: components(),
  pceSvn: 0,
  ...least,
});
const isv = (status: string, isvSvn = 0, advisoryIds: readonly string[] = []): IsvLevel => ({
  status,
  isvSvn,
  date: DATE,
  advisoryIds,
});

const MODULE = { mrSigner: Buffer.alloc(48), attributes: Buffer.alloc(8), attributesMask: Buffer.alloc(8, 0xff) };

function info(changes: Partial<TcbInfo> = {}): TcbInfo {
  return {
    issuedAtMs: 0,
    nextUpdateMs: 1,
    fmspc: Buffer.alloc(6),
    pceId: Buffer.alloc(2),
    evaluationDataNumber: 1,
    module: MODULE,
    modules: [{ ...MODULE, id: 'TDX_01', levels: [isv('UpToDate')] }],
    levels: [platform('UpToDate')],
    ...changes,
  };
}

function identity(changes: Partial<QeIdentity> = {}): QeIdentity {
  return {
    issuedAtMs: 0,
    nextUpdateMs: 1,
    evaluationDataNumber: 1,
    miscSelect: Buffer.alloc(4),
    miscSelectMask: Buffer.alloc(4, 0xff),
    attributes: Buffer.alloc(16),
    attributesMask: Buffer.alloc(16, 0xff),
    mrSigner: Buffer.alloc(32, 1),
    isvProdId: 2,
    levels: [isv('UpToDate')],
    ...changes,
  };
}

const FACTS: TcbFacts = {
  sgxComponents: components(3, 3, 2),
  pceSvn: 11,
  teeTcbSvns: [svn(5, 1, 3)],
  mrSignerSeam: Buffer.alloc(48),
  seamAttributes: Buffer.alloc(8),
  qe: {
    miscSelect: Buffer.alloc(4),
    attributes: Buffer.alloc(16),
    mrSigner: Buffer.alloc(32, 1),
    isvProdId: 2,
    isvSvn: 6,
  },
};

/** `<status> = <platform> / <module> / <enclave>`, or the reason and its detail. */
function graded(tcb: TcbInfo = info(), qe: QeIdentity = identity(), facts: Partial<TcbFacts> = {}): string {
  const result = gradeTcb({ ...FACTS, ...facts }, tcb, qe);
  if (!result.ok) return `${result.reason}: ${result.detail}`;
  const { status, platform: level, module, qe: enclave } = result.value;
  return `${status} = ${level.status} / ${module.status} / ${enclave.status}`;
}

describe('the statuses', () => {
  test('have an order from the best to the worst', () => {
    for (const [index, status] of TCB_STATUSES.entries()) {
      for (const [other, than] of TCB_STATUSES.entries()) expect(isWorse(status, than)).toBe(index > other);
    }
  });

  test('are known by their exact names', () => {
    for (const status of TCB_STATUSES) expect(knownStatus(status)).toBe(status);
    for (const other of ['', 'uptodate', 'UpToDate ', 'toString', '__proto__'])
      expect(knownStatus(other)).toBeUndefined();
  });
});

describe('the grade of a machine', () => {
  test.each(TCB_STATUSES)('is %s where one of platform, module and enclave is, and the others are better', (status) => {
    expect(graded(info({ levels: [platform(status)] }))).toBe(`${status} = ${status} / UpToDate / UpToDate`);
    const modules = [{ ...MODULE, id: 'TDX_01', levels: [isv(status)] }];
    expect(graded(info({ modules }))).toBe(`${status} = UpToDate / ${status} / UpToDate`);
    expect(graded(info(), identity({ levels: [isv(status)] }))).toBe(`${status} = UpToDate / UpToDate / ${status}`);
  });

  test('is the worst of the three', () => {
    const modules = [{ ...MODULE, id: 'TDX_01', levels: [isv('OutOfDate')] }];
    const tcb = info({ levels: [platform('SWHardeningNeeded')], modules });
    expect(graded(tcb)).toBe('OutOfDate = SWHardeningNeeded / OutOfDate / UpToDate');
  });

  test.each(['ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded'] as const)(
    'is OutOfDateConfigurationNeeded for a platform that is %s with a module or an enclave that is OutOfDate',
    (status) => {
      const levels = [platform(status)];
      const modules = [{ ...MODULE, id: 'TDX_01', levels: [isv('OutOfDate')] }];
      const old = identity({ levels: [isv('OutOfDate')] });
      expect(graded(info({ levels, modules }))).toBe(`OutOfDateConfigurationNeeded = ${status} / OutOfDate / UpToDate`);
      expect(graded(info({ levels }), old)).toBe(`OutOfDateConfigurationNeeded = ${status} / UpToDate / OutOfDate`);
      // A module without versions is graded with the platform.
      expect(graded(info({ levels }), old, { teeTcbSvns: [svn(5, 0, 3)] })).toBe(
        `OutOfDateConfigurationNeeded = ${status} / ${status} / OutOfDate`,
      );
      const revoked = identity({ levels: [isv('Revoked')] });
      expect(graded(info({ levels, modules }), revoked)).toBe(`Revoked = ${status} / OutOfDate / Revoked`);
    },
  );

  test('does not lose that configuration is needed where what runs now is out of date beside it', () => {
    const levels = [
      platform('ConfigurationNeeded', { tdxComponents: components(0, 0, 3) }),
      platform('OutOfDate', { tdxComponents: components(0, 0, 2) }),
    ];
    const teeTcbSvns = [svn(5, 1, 3), svn(5, 1, 2)];
    for (const order of [teeTcbSvns, teeTcbSvns.toReversed()]) {
      expect(graded(info({ levels }), identity(), { teeTcbSvns: order })).toBe(
        'OutOfDateConfigurationNeeded = OutOfDate / UpToDate / UpToDate',
      );
    }
  });

  test('is converged for every platform, module and enclave as the verifier of Intel does', () => {
    const ofParts: readonly TcbStatus[] = ['UpToDate', 'OutOfDate', 'Revoked'];
    /** What Intel writes for an enclave or a module that is OutOfDate, by the status of the platform. */
    const withOld: Readonly<Record<TcbStatus, TcbStatus>> = {
      UpToDate: 'OutOfDate',
      SWHardeningNeeded: 'OutOfDate',
      ConfigurationNeeded: 'OutOfDateConfigurationNeeded',
      ConfigurationAndSWHardeningNeeded: 'OutOfDateConfigurationNeeded',
      OutOfDate: 'OutOfDate',
      OutOfDateConfigurationNeeded: 'OutOfDateConfigurationNeeded',
      Revoked: 'Revoked',
    };
    for (const status of TCB_STATUSES) {
      for (const module of ofParts) {
        for (const enclave of ofParts) {
          const parts = [module, enclave];
          const converged = parts.includes('OutOfDate') ? withOld[status] : status;
          expect(convergedStatus([status, module, enclave])).toBe(parts.includes('Revoked') ? 'Revoked' : converged);
        }
      }
    }
  });

  test.each(['', 'NotSupported', 'Unknown', 'uptodate'])('fails for the status "%s", which is not known', (status) => {
    const modules = [{ ...MODULE, id: 'TDX_01', levels: [isv(status)] }];
    expect(graded(info({ levels: [platform(status)] }))).toMatch(/^tdx\.tcb: platform: a status/);
    expect(graded(info({ modules }))).toMatch(/^tdx\.tcb: TDX module TDX_01: a status/);
    expect(graded(info(), identity({ levels: [isv(status)] }))).toMatch(/^tdx\.tcb: quoting enclave: a status/);
  });

  test('fails where no level is reached: that is not the best status', () => {
    const modules = [{ ...MODULE, id: 'TDX_01', levels: [isv('UpToDate', 6)] }];
    expect(graded(info({ levels: [platform('UpToDate', { pceSvn: 12 })] }))).toMatch(
      /^tdx\.tcb: platform: Intel lists no/,
    );
    expect(graded(info({ modules }))).toMatch(/^tdx\.tcb: TDX module TDX_01: Intel lists no/);
    expect(graded(info(), identity({ levels: [isv('UpToDate', 7)] }))).toMatch(
      /^tdx\.tcb: quoting enclave: Intel lists no/,
    );
    expect(graded(info({ levels: [] }))).toMatch(/^tdx\.tcb: platform: Intel lists no/);
  });

  test('has the advisories of all parts, each once, in order', () => {
    const modules = [{ ...MODULE, id: 'TDX_01', levels: [isv('OutOfDate', 0, ['INTEL-SA-3', 'INTEL-SA-1'])] }];
    const tcb = info({ modules, levels: [platform('OutOfDate', { advisoryIds: ['INTEL-SA-2'] })] });
    const result = gradeTcb(FACTS, tcb, identity({ levels: [isv('OutOfDate', 0, ['INTEL-SA-1'])] }));
    expect(result).toMatchObject({ value: { advisoryIds: ['INTEL-SA-1', 'INTEL-SA-2', 'INTEL-SA-3'] } });
  });
});

describe('the level of a platform', () => {
  const levels = (least: Partial<PlatformLevel>) => [platform('UpToDate', least), platform('OutOfDate')];

  test('is the first that each of the 16 SGX components and the PCE reach', () => {
    expect(graded(info({ levels: levels({ sgxComponents: components(3, 3, 2), pceSvn: 11 }) }))).toMatch(/^UpToDate/);
    expect(graded(info({ levels: levels({ pceSvn: 12 }) }))).toMatch(/^OutOfDate = OutOfDate/);
    for (let index = 0; index < 16; index++) {
      const above = [...FACTS.sgxComponents];
      above[index] = (above[index] ?? 0) + 1;
      expect(graded(info({ levels: levels({ sgxComponents: above }) }))).toMatch(/^OutOfDate = OutOfDate/);
    }
  });

  test('is the first that each TDX component reaches, but for the two of a module with versions of its own', () => {
    for (let index = 0; index < 16; index++) {
      const above = [...(FACTS.teeTcbSvns[0] ?? [])];
      above[index] = (above[index] ?? 0) + 1;
      const tcb = info({ levels: levels({ tdxComponents: above }) });
      expect(graded(tcb)).toMatch(index < 2 ? /^UpToDate/ : /^OutOfDate = OutOfDate/);
    }
  });

  test('of a module without versions depends on all 16 TDX components, and grades the module too', () => {
    const facts = { teeTcbSvns: [svn(5, 0, 3)] };
    expect(graded(info({ levels: levels({ tdxComponents: components(5, 0, 3) }) }), identity(), facts)).toMatch(
      /^UpToDate/,
    );
    expect(graded(info({ levels: levels({ tdxComponents: components(6, 0, 3) }) }), identity(), facts)).toBe(
      'OutOfDate = OutOfDate / OutOfDate / UpToDate',
    );
  });
});

describe('the TDX module', () => {
  test('of each version has the identity with this version in two hex digits', () => {
    const modules = [{ ...MODULE, id: 'TDX_1F', levels: [isv('OutOfDate')] }];
    expect(graded(info({ modules }), identity(), { teeTcbSvns: [svn(5, 0x1f, 3)] })).toMatch(/^OutOfDate/);
    expect(graded(info({ modules }), identity(), { teeTcbSvns: [svn(5, 1, 3)] })).toBe(
      'tdx.module: Intel lists no TDX module TDX_01',
    );
  });

  test.each([0, 1])('of version %s by another signer, or with attributes, is none of Intel', (version) => {
    const teeTcbSvns = [svn(5, version, 3)];
    expect(graded(info(), identity(), { teeTcbSvns, mrSignerSeam: Buffer.alloc(48, 1) })).toMatch(/^tdx\.module: /);
    const seamAttributes = Buffer.from('0000000000000080', 'hex');
    expect(graded(info(), identity(), { teeTcbSvns, seamAttributes })).toMatch(/^tdx\.module: /);
    // Whatever a mask leaves out.
    const lax = { ...MODULE, attributesMask: Buffer.alloc(8) };
    const tcb = info({ module: lax, modules: [{ ...lax, id: 'TDX_01', levels: [isv('UpToDate')] }] });
    expect(graded(tcb, identity(), { teeTcbSvns, seamAttributes })).toMatch(/^tdx\.module: /);
  });

  test('that runs now counts as the one of the launch does: the worse of both is the grade', () => {
    const modules = [{ ...MODULE, id: 'TDX_01', levels: [isv('UpToDate', 5), isv('OutOfDate', 2)] }];
    const now = (second: Buffer) => graded(info({ modules }), identity(), { teeTcbSvns: [svn(5, 1, 3), second] });
    expect(now(svn(5, 1, 3))).toMatch(/^UpToDate/);
    expect(now(svn(4, 1, 3))).toBe('OutOfDate = UpToDate / OutOfDate / UpToDate');
    expect(now(svn(1, 1, 3))).toMatch(/^tdx\.tcb: /);
    expect(now(svn(5, 2, 3))).toMatch(/^tdx\.module: /);
    const levels = [platform('UpToDate', { tdxComponents: components(0, 0, 3) }), platform('OutOfDate')];
    expect(graded(info({ levels }), identity(), { teeTcbSvns: [svn(5, 1, 3), svn(5, 1, 2)] })).toMatch(
      /^OutOfDate = Out/,
    );
  });
});

describe('of launch and now with one status', () => {
  test('the level of the older date is the grade, whichever comes first', () => {
    const [recent, old] = ['2024-03-13T00:00:00Z', '2023-08-09T00:00:00Z'];
    const modules = [
      {
        ...MODULE,
        id: 'TDX_01',
        levels: [
          { ...isv('OutOfDate', 5), date: recent },
          { ...isv('OutOfDate', 2), date: old },
        ],
      },
    ];
    const levels = [
      platform('UpToDate', { tdxComponents: components(0, 0, 3), date: recent }),
      platform('UpToDate', { date: old }),
    ];
    const pair = [svn(5, 1, 3), svn(4, 1, 2)];
    for (const teeTcbSvns of [pair, pair.toReversed()]) {
      expect(gradeTcb({ ...FACTS, teeTcbSvns }, info({ modules, levels }), identity())).toMatchObject({
        ok: true,
        value: { platform: { status: 'UpToDate', date: old }, module: { status: 'OutOfDate', date: old } },
      });
    }
  });
});

describe('the quoting enclave', () => {
  test.each([
    ['another signer', { mrSigner: Buffer.alloc(32, 2) }],
    ['another product', { isvProdId: 1 }],
    ['another MISCSELECT', { miscSelect: Buffer.from('01000000', 'hex') }],
    ['other attributes', { attributes: Buffer.from('20000000000000000000000000000000', 'hex') }],
  ])('with %s is not the one of Intel', (_, changes) => {
    expect(graded(info(), identity(), { qe: { ...FACTS.qe, ...changes } })).toMatch(/^tdx\.qe: /);
  });

  test('may differ in what the masks leave out', () => {
    const qe = { ...FACTS.qe, attributes: Buffer.alloc(16, 0x04), miscSelect: Buffer.alloc(4, 0x04) };
    const lax = { attributesMask: Buffer.alloc(16, 0xfb), miscSelectMask: Buffer.alloc(4, 0xfb) };
    expect(graded(info(), identity(lax), { qe })).toMatch(/^UpToDate/);
  });

  test('has the level of its SVN', () => {
    const levels = [isv('UpToDate', 8), isv('OutOfDate', 6), isv('Revoked', 0)];
    expect(graded(info(), identity({ levels }))).toMatch(/^OutOfDate/);
    expect(graded(info(), identity({ levels }), { qe: { ...FACTS.qe, isvSvn: 8 } })).toMatch(/^UpToDate/);
    expect(graded(info(), identity({ levels }), { qe: { ...FACTS.qe, isvSvn: 5 } })).toMatch(/^Revoked/);
  });
});
