/** TCB info and QE identity: how they are taken apart, and what does not parse. */
import fc from 'fast-check';
import { describe, expect, test } from '@jest/globals';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { MAX_DOCUMENT_BYTES, readDocumentBody } from '../../../src/endorsement/intel/document-body.js';
import { parseQeIdentity } from '../../../src/endorsement/intel/qe-identity.js';
import { parseTcbInfo } from '../../../src/endorsement/intel/tcb-info.js';
import { simulatedMakers } from '../../../src/simulator/makers.js';
import { simulatedIntelCollateral } from '../../../src/simulator/tdx-collateral.js';

const NOW = Date.UTC(2026, 10, 21);
const made = simulatedIntelCollateral(simulatedMakers(Buffer.alloc(32, 1)).intel, NOW);
const INFO = made.tcbInfos[0]!.body;
const IDENTITY = made.qeIdentities[0]!.body;
const SIGNATURE = '0f'.repeat(64);
const read = (text: string) => readDocumentBody(Buffer.from(text), 'tcbInfo');

type Json = Readonly<Record<string, unknown>>;
const innerOf = (body: Buffer, member: 'tcbInfo' | 'enclaveIdentity') => readDocumentBody(body, member).value as Json;
const info = innerOf(INFO, 'tcbInfo');
const identity = innerOf(IDENTITY, 'enclaveIdentity');

/** A copy in which the value at a path is another one; undefined takes it out. */
function changed(value: unknown, path: readonly (string | number)[], to: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return to;
  if (Array.isArray(value))
    return value.map((item, index) => (index === name ? changed(item, rest, to) : (item as unknown)));
  const object = value as Json;
  const entries = Object.entries({ ...object, [name]: changed(object[name], rest, to) });
  return Object.fromEntries(entries.filter(([, member]) => member !== undefined));
}

describe('a signed document', () => {
  test('is taken apart without being written anew: the inner bytes are those that were received', () => {
    const inner = '{ "id" : "TDX",\n "x":1.0, "y":"\\u0041" }';
    const { inner: found, signature } = read(`{"tcbInfo":${inner},"signature":"${SIGNATURE}"}`);
    expect(found.toString()).toBe(inner);
    expect(signature.toString('hex')).toBe(SIGNATURE);
  });

  test('may have white space around its members', () => {
    expect(read(` {\n "tcbInfo" : {} ,\n "signature" : "${SIGNATURE}" }\n`).inner.toString()).toBe('{}');
  });

  test.each([
    ['nothing', ''],
    ['another member', `{"enclaveIdentity":{},"signature":"${SIGNATURE}"}`],
    ['the signature first', `{"signature":"${SIGNATURE}","tcbInfo":{}}`],
    ['a third member', `{"tcbInfo":{},"x":1,"signature":"${SIGNATURE}"}`],
    ['a member behind the signature', `{"tcbInfo":{},"signature":"${SIGNATURE}","x":1}`],
    ['two signatures', `{"tcbInfo":{},"signature":"${SIGNATURE}","signature":"${SIGNATURE}"}`],
    ['no signature', '{"tcbInfo":{}}'],
    ['a short signature', `{"tcbInfo":{},"signature":"${SIGNATURE.slice(2)}"}`],
    ['a long signature', `{"tcbInfo":{},"signature":"${SIGNATURE}00"}`],
    ['an inner text', `{"tcbInfo":"{}","signature":"${SIGNATURE}"}`],
    ['an inner list', `{"tcbInfo":[],"signature":"${SIGNATURE}"}`],
    ['two inner objects', `{"tcbInfo":{},"tcbInfo":{},"signature":"${SIGNATURE}"}`],
    ['a member twice in the inner object', `{"tcbInfo":{"id":"TDX","\\u0069d":"SGX"},"signature":"${SIGNATURE}"}`],
    ['an inner object that is cut short', `{"tcbInfo":{"a":{},"signature":"${SIGNATURE}"}`],
    ['bytes behind it', `{"tcbInfo":{},"signature":"${SIGNATURE}"}x`],
    ['deep nesting', `{"tcbInfo":${'{"a":'.repeat(20)}1${'}'.repeat(20)},"signature":"${SIGNATURE}"}`],
  ])('with %s is malformed', (_, text) => {
    expect(() => read(text)).toThrow(MalformedError);
  });

  test('has at most 256 KiB', () => {
    const of = (size: number) => {
      const rest = `{"tcbInfo":{"a":""},"signature":"${SIGNATURE}"}`.length;
      return `{"tcbInfo":{"a":"${'x'.repeat(size - rest)}"},"signature":"${SIGNATURE}"}`;
    };
    expect(read(of(MAX_DOCUMENT_BYTES)).inner.length).toBeGreaterThan(MAX_DOCUMENT_BYTES - 200);
    expect(() => read(of(MAX_DOCUMENT_BYTES + 1))).toThrow(MalformedError);
  });

  test('is none if it is cut anywhere', () => {
    for (let length = 0; length < IDENTITY.length; length++) {
      expect(() => readDocumentBody(IDENTITY.subarray(0, length), 'enclaveIdentity')).toThrow(MalformedError);
    }
  });
});

describe('a TCB info', () => {
  test('has its levels, modules and dates', () => {
    const parsed = parseTcbInfo(info);
    expect(parsed).toMatchObject({ evaluationDataNumber: 18, issuedAtMs: NOW - 86_400_000 });
    expect(parsed.levels.map(({ status, pceSvn }) => [status, pceSvn])).toEqual([['UpToDate', 13], ['OutOfDate', 5]]); // prettier-ignore
    expect(parsed.modules.map(({ id }) => id)).toEqual(['TDX_01']);
    expect(parsed.levels[1]?.advisoryIds).toEqual(['INTEL-SA-00837']);
  });

  test('may be without module identities, and have members that are not known', () => {
    expect(parseTcbInfo({ ...info, tdxModuleIdentities: undefined, more: 1 }).modules).toEqual([]);
  });

  const level = (...rest: readonly (string | number)[]) => ['tcbLevels', 0, ...rest];
  const module = (...rest: readonly (string | number)[]) => ['tdxModuleIdentities', 0, ...rest];
  test.each([
    ['id', ['id'], 'SGX'],
    ['version', ['version'], 2],
    ['version', ['version'], '3'],
    ['TCB type', ['tcbType'], 1],
    ['issue date', ['issueDate'], '2026-02-30T00:00:00Z'],
    ['issue date', ['issueDate'], '2026-02-01'],
    ['next update', ['nextUpdate'], undefined],
    ['FMSPC', ['fmspc'], '50806f0000'],
    ['FMSPC', ['fmspc'], '50806f00000g'],
    ['PCE id', ['pceId'], 0],
    ['evaluation number', ['tcbEvaluationDataNumber'], -1],
    ['evaluation number', ['tcbEvaluationDataNumber'], 1.5],
    ['TDX module', ['tdxModule'], undefined],
    ['signer of the module', ['tdxModule', 'mrsigner'], '00'],
    ['levels', ['tcbLevels'], []],
    ['levels', ['tcbLevels'], {}],
    ['SGX components', level('tcb', 'sgxtcbcomponents'), [{ svn: 1 }]],
    ['a component', level('tcb', 'sgxtcbcomponents', 3, 'svn'), 256],
    ['a component', level('tcb', 'tdxtcbcomponents', 3, 'svn'), '1'],
    ['TDX components', level('tcb', 'tdxtcbcomponents'), undefined],
    ['PCE SVN', level('tcb', 'pcesvn'), 65536],
    ['date of a level', level('tcbDate'), undefined],
    ['status', level('tcbStatus'), 1],
    ['advisories', level('advisoryIDs'), ['a,b']],
    ['advisories', level('advisoryIDs'), 'INTEL-SA-00837'],
    ['module identities', ['tdxModuleIdentities'], {}],
    ['SVN of a module', module('tcbLevels', 0, 'tcb', 'isvsvn'), -1],
    ['levels of a module', module('tcbLevels'), []],
  ] as const)('with another %s is malformed', (_, path, to) => {
    expect(() => parseTcbInfo(changed(info, path, to))).toThrow(MalformedError);
  });

  test('with the same module twice is malformed, however it is spelled', () => {
    const [first] = info['tdxModuleIdentities'] as readonly object[];
    expect(() => parseTcbInfo({ ...info, tdxModuleIdentities: [first, { ...first, id: 'tdx_01' }] })).toThrow(/twice/);
  });

  test('has at most 256 levels', () => {
    const [first] = info['tcbLevels'] as readonly object[];
    const of = (count: number) => parseTcbInfo({ ...info, tcbLevels: Array.from({ length: count }, () => first) });
    expect(of(256).levels).toHaveLength(256);
    expect(() => of(257)).toThrow(MalformedError);
  });
});

describe('a QE identity', () => {
  test('has MISCSELECT and its mask in the order of an enclave report, as they are written', () => {
    const parsed = parseQeIdentity({ ...identity, miscselect: '01020000', miscselectMask: 'FFFFFF00' });
    expect(parsed.miscSelect.toString('hex')).toBe('01020000');
    expect(parsed.miscSelectMask.toString('hex')).toBe('ffffff00');
    expect(parsed).toMatchObject({ isvProdId: 2, evaluationDataNumber: 18 });
    expect(parsed.levels.map(({ isvSvn }) => isvSvn)).toEqual([8, 4]);
  });

  test.each([
    ['id', ['id'], 'QE'],
    ['version', ['version'], 1],
    ['MISCSELECT', ['miscselect'], '00'],
    ['attributes', ['attributes'], undefined],
    ['mask', ['attributesMask'], 'FF'],
    ['signer', ['mrsigner'], '00'.repeat(31)],
    ['product', ['isvprodid'], 65536],
    ['SVN', ['tcbLevels', 0, 'tcb', 'isvsvn'], 'x'],
    ['levels', ['tcbLevels'], undefined],
  ] as const)('with another %s is malformed', (_, path, to) => {
    expect(() => parseQeIdentity(changed(identity, path, to))).toThrow(MalformedError);
  });
});

test('no JSON makes the parsers throw anything but MalformedError', () => {
  const paths = (value: unknown, prefix: readonly (string | number)[] = []): (readonly (string | number)[])[] => [
    prefix,
    ...(typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([name, member]) =>
          paths(member, [...prefix, Array.isArray(value) ? Number(name) : name]),
        )
      : []),
  ];
  for (const [document, parse] of [
    [info, parseTcbInfo],
    [identity, parseQeIdentity],
  ] as const) {
    // prettier-ignore
    fc.assert(
      fc.property(fc.constantFrom(...paths(document)), fc.jsonValue(), (path, to) => {
        try {
          parse(changed(document, path, to));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
      { numRuns: 300 },
    );
  }
});
