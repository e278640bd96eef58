import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parseTdReport } from '../../../src/evidence/hcl/td-report.js';
import { simulatedTdReport } from '../../../src/simulator/hcl.js';
import { isMalformed, patched, TD_FIELDS } from './samples.js';

const reportData = Buffer.alloc(64, 0x77);
const report = simulatedTdReport({ reportData, ...TD_FIELDS });

describe('a TD report', () => {
  test('gives the fields that were put in', () => {
    expect(parseTdReport(report)).toEqual({
      reportData,
      cpuSvn: Buffer.alloc(16),
      mac: Buffer.alloc(32),
      ...TD_FIELDS,
    });
  });

  test('cut short or with a trailing byte is malformed', () => {
    for (let length = 0; length < report.length; length++) {
      expect(() => parseTdReport(report.subarray(0, length))).toThrow(MalformedError);
    }
    expect(() => parseTdReport(Buffer.concat([report, Buffer.of(0)]))).toThrow(/trailing/);
  });

  test('no bit can be flipped unnoticed but of CPUSVN, report data and MAC, which quotes must show', () => {
    const free = [
      [16, 32],
      [128, 192],
      [224, 256],
    ] as const;
    const wrong: string[] = [];
    for (let offset = 0; offset < report.length; offset++) {
      const isFree = free.some(([from, to]) => offset >= from && offset < to);
      for (let bit = 0; bit < 8; bit++) {
        const flipped = patched(report, offset, (report[offset] ?? 0) ^ (1 << bit));
        if (isMalformed(() => parseTdReport(flipped)) === isFree) wrong.push(`${String(offset)}.${String(bit)}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('is of version 1 exactly where a service TD is bound', () => {
    const alone = simulatedTdReport({ reportData });
    expect(parseTdReport(alone).mrServiceTd).toEqual(Buffer.alloc(48));
    expect(() => parseTdReport(patched(alone, 2, 1))).toThrow(/version/);
    expect(() => parseTdReport(patched(report, 2, 0))).toThrow(/version/);
    expect(() => parseTdReport(patched(report, 2, 2))).toThrow(/version/);
  });

  test('makes nothing but a malformed error of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1000, maxLength: 1030 }), (bytes) => {
        expect(() => parseTdReport(Buffer.from(bytes))).toThrow(MalformedError);
      }),
    );
  });

  test('that is made from its own fields is the same', () => {
    const field = (length: number) =>
      fc.uint8Array({ minLength: length, maxLength: length }).map((b) => Buffer.from(b));
    const fields = fc.record({
      reportData: field(64),
      mrTd: field(48),
      mrConfigId: field(48),
      tdAttributes: field(8),
      xfam: field(8),
      mrSeam: field(48),
      mrServiceTd: field(48),
    });
    fc.assert(
      fc.property(fields, (draft) => {
        const made = simulatedTdReport(draft);
        expect(simulatedTdReport(parseTdReport(made))).toEqual(made);
      }),
    );
  });
});
