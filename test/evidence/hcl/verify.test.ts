import { describe, expect, test } from '@jest/globals';
import { parseHclReport } from '../../../src/evidence/hcl/report.js';
import { parseTdReport } from '../../../src/evidence/hcl/td-report.js';
import { bindRuntimeData, matchTdQuote, readHclReport, type TdQuoteBody } from '../../../src/evidence/hcl/verify.js';
import type { Result } from '../../../src/reason/reason.js';
import { reportDataOf, simulatedTdReport } from '../../../src/simulator/hcl.js';
import { patched, snpHcl, TD_FIELDS, tdxHcl } from './samples.js';

const reasonOf = (result: Result<unknown>) => (result.ok ? 'accepted' : result.reason);

describe('the runtime data', () => {
  const hcl = parseHclReport(snpHcl());
  const named = reportDataOf(hcl.runtimeData);

  test('is bound by report data that is its SHA-256 and 32 zero bytes', () => {
    expect(reasonOf(bindRuntimeData(hcl, named))).toBe('accepted');
  });

  test('is not bound by report data that differs in any bit', () => {
    for (let bit = 0; bit < 512; bit++) {
      const other = patched(named, bit >> 3, (named[bit >> 3] ?? 0) ^ (1 << (bit & 7)));
      expect(reasonOf(bindRuntimeData(hcl, other))).toBe('hcl.runtime_data');
    }
  });

  test('is not bound by the hash alone', () => {
    expect(reasonOf(bindRuntimeData(hcl, named.subarray(0, 32)))).toBe('hcl.runtime_data');
    expect(reasonOf(bindRuntimeData(hcl, Buffer.alloc(0)))).toBe('hcl.runtime_data');
  });

  test('is bound by SHA-256 only', () => {
    const other = parseHclReport(snpHcl({ overrides: { hashType: 2 } }));
    expect(reasonOf(bindRuntimeData(other, named))).toBe('hcl.type');
  });

  test('that was changed anywhere is noticed', () => {
    const report = snpHcl();
    const end = report.readUInt32LE(8);
    for (let offset = 0x4d4; offset < end; offset++) {
      const read = readHclReport(patched(report, offset, (report[offset] ?? 0) ^ (1 << (offset & 7))));
      expect(reasonOf(read.ok ? bindRuntimeData(read.value, named) : read)).toBe('hcl.runtime_data');
    }
  });
});

describe('reading an HCL report', () => {
  test.each([1, 3, 5, 99])('of type %i is refused by its type', (reportType) => {
    expect(reasonOf(readHclReport(snpHcl({ overrides: { reportType } })))).toBe('hcl.type');
  });

  test.each([2, 3])('with hash type %i is refused by its type', (hashType) => {
    expect(reasonOf(readHclReport(tdxHcl({ overrides: { hashType } })))).toBe('hcl.type');
  });

  test('that does not parse is malformed', () => {
    expect(reasonOf(readHclReport(Buffer.alloc(0)))).toBe('evidence.malformed');
    expect(reasonOf(readHclReport(snpHcl({ overrides: { runtimeData: Buffer.from('[]') } })))).toBe(
      'evidence.malformed',
    );
    expect(reasonOf(readHclReport(patched(tdxHcl(), 0x20 + 600, 0xff)))).toBe('evidence.malformed');
  });

  test('gives what the parser gives', () => {
    expect(readHclReport(tdxHcl())).toEqual({ ok: true, value: parseHclReport(tdxHcl()) });
  });
});

describe('a TD quote', () => {
  const reportData = Buffer.alloc(64, 0x77);
  const tdReport = parseTdReport(simulatedTdReport({ reportData, ...TD_FIELDS }));
  const quote: TdQuoteBody = { reportData, ...TD_FIELDS };

  test('with the same fields is of the TD report', () => {
    expect(reasonOf(matchTdQuote(tdReport, quote))).toBe('accepted');
  });

  const single = Object.entries(quote).filter((entry): entry is [string, Buffer] => Buffer.isBuffer(entry[1]));

  test('all of its fields are compared', () => {
    expect(single.map(([name]) => name).sort()).toEqual([
      'mrConfigId',
      'mrOwner',
      'mrOwnerConfig',
      'mrSeam',
      'mrServiceTd',
      'mrSignerSeam',
      'mrTd',
      'reportData',
      'seamAttributes',
      'tdAttributes',
      'teeTcbSvn',
      'teeTcbSvn2',
      'xfam',
    ]);
  });

  test.each(single)('with another %s is of another TD', (name, value) => {
    for (const offset of [0, value.length - 1]) {
      const other = { ...quote, [name]: patched(value, offset, (value[offset] ?? 0) ^ 1) };
      expect(reasonOf(matchTdQuote(tdReport, other))).toBe('hcl.quote_mismatch');
    }
    const shorter = { ...quote, [name]: value.subarray(1) };
    expect(reasonOf(matchTdQuote(tdReport, shorter))).toBe('hcl.quote_mismatch');
  });

  test.each([0, 1, 2, 3])('with another RTMR%i is of another TD', (n) => {
    const rtmrs = TD_FIELDS.rtmrs.map((rtmr, index) => (index === n ? patched(rtmr, 47, 0xff) : rtmr));
    expect(reasonOf(matchTdQuote(tdReport, { ...quote, rtmrs }))).toBe('hcl.quote_mismatch');
    expect(reasonOf(matchTdQuote(tdReport, { ...quote, rtmrs: TD_FIELDS.rtmrs.slice(0, n) }))).toBe(
      'hcl.quote_mismatch',
    );
  });

  test('of TDX 1.0 cannot stand for a TD with service TDs', () => {
    const older = { ...quote, teeTcbSvn2: undefined, mrServiceTd: undefined };
    expect(reasonOf(matchTdQuote(tdReport, older))).toBe('hcl.quote_mismatch');
    const alone = { reportData, ...TD_FIELDS, mrServiceTd: Buffer.alloc(48) };
    const without = parseTdReport(simulatedTdReport(alone));
    expect(reasonOf(matchTdQuote(without, older))).toBe('accepted');
  });
});
