import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parseHclFrame, parseHclReport } from '../../../src/evidence/hcl/report.js';
import { simulatedRuntimeData } from '../../../src/simulator/hcl.js';
import { AK_SPKI, EK_SPKI, isMalformed, patched, snpHcl, snpReport, tdxHcl, USER_DATA } from './samples.js';

/** The length without the zeros up to the end of the NV index. */
const bare = (report: Buffer) => report.subarray(0, report.readUInt32LE(8));
const runtimeDataOf = (text: string) => snpHcl({ overrides: { runtimeData: Buffer.from(text) } });

describe('an HCL report', () => {
  test('of an SNP machine gives the SNP report, the runtime data and the keys in it', () => {
    const hcl = parseHclReport(snpHcl());
    expect(hcl).toMatchObject({ version: 1, requestVersion: 1, hashType: 1, capabilities: 0 });
    expect(hcl.akSpki).toEqual(AK_SPKI);
    expect(hcl.ekSpki).toEqual(EK_SPKI);
    expect(hcl.userData).toEqual(Buffer.concat([USER_DATA, Buffer.alloc(64 - USER_DATA.length)]));
    if (hcl.hardware.kind !== 'snp') throw new Error('not of an SNP machine');
    expect(hcl.hardware.report).toEqual(snpReport(hcl.hardware.report.subarray(0x50, 0x90)));
  });

  test('of a TDX machine gives the TD report', () => {
    const { hardware, version } = parseHclReport(tdxHcl());
    expect([hardware.kind, version]).toEqual(['tdx', 2]);
  });

  test('with a request of version 2 has its runtime data behind the capability bitmap', () => {
    const [first, second] = [1, 2].map((requestVersion) =>
      parseHclReport(snpHcl({ requestVersion: requestVersion as 1 | 2 })),
    );
    expect(second!.capabilities).toBe(7);
    expect(second!.requestVersion).toBe(2);
    expect(second!.runtimeData).toEqual(first!.runtimeData);
  });

  test('may name no AK', () => {
    expect(parseHclReport(snpHcl({ akSpki: undefined })).akSpki).toBeUndefined();
  });

  test('may be followed by up to 4096 zero bytes', () => {
    const report = bare(snpHcl());
    expect(parseHclReport(report)).toEqual(parseHclReport(Buffer.concat([report, Buffer.alloc(4096)])));
    expect(() => parseHclReport(Buffer.concat([report, Buffer.alloc(4097)]))).toThrow(MalformedError);
  });

  test('may not be followed by anything else', () => {
    for (const report of [bare(snpHcl()), snpHcl()]) {
      expect(() => parseHclReport(Buffer.concat([report, Buffer.of(1)]))).toThrow(MalformedError);
    }
    const padded = snpHcl();
    expect(() => parseHclReport(patched(padded, padded.length - 1, 1))).toThrow(MalformedError);
  });

  test.each([
    ['SNP', snpHcl()],
    ['SNP with a request of version 2', snpHcl({ requestVersion: 2 })],
    ['TDX', tdxHcl()],
  ])('cut short is malformed at every length: %s', (_name, report) => {
    const whole = bare(report);
    const accepted: number[] = [];
    for (let length = 0; length < whole.length; length++) {
      if (!isMalformed(() => parseHclReport(whole.subarray(0, length)))) accepted.push(length);
    }
    expect(accepted).toEqual([]);
  });

  test.each([
    ['signature', 0, [0x49]],
    ['version', 4, [0]],
    ['version', 4, [3]],
    ['report_size', 8, [0]],
    ['request_type', 12, [1]],
    ['status', 16, [1]],
    ['reserved', 20, [1]],
    ['reserved', 31, [1]],
    ['data_size', 0x4c0, [0]],
    ['request version', 0x4c4, [0]],
    ['request version', 0x4c4, [3]],
    ['report_type', 0x4c8, [0]],
    ['report_data_hash_type', 0x4cc, [0]],
    ['report_data_hash_type', 0x4cc, [4]],
    ['variable_data_size', 0x4d0, [0]],
  ])('with another %s at offset %i is malformed', (_name, offset, bytes) => {
    expect(() => parseHclReport(patched(snpHcl(), offset, ...bytes))).toThrow(MalformedError);
  });

  test.each([
    ['the frame and hashes of an SNP report', bare(snpHcl()), [0x20, 0x4c0]],
    ['the frame and hashes of a TDX report', bare(tdxHcl()), [0x20, 0x20 + 256]],
  ])('no bit of %s can be flipped unnoticed', (_name, report, [from = 0, to = 0]) => {
    const head = [...Array(0x4d4).keys()].filter((offset) => offset < from || offset >= to);
    const accepted: string[] = [];
    for (const offset of head) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = patched(report, offset, (report[offset] ?? 0) ^ (1 << bit));
        if (!isMalformed(() => parseHclReport(flipped))) accepted.push(`${String(offset)}.${String(bit)}`);
      }
    }
    // Hash type 3, SHA-512, is for bindRuntimeData to refuse.
    expect(accepted).toEqual([`${String(0x4cc)}.1`]);
  });

  test('of a TDX machine has nothing behind the TD report', () => {
    expect(() => parseHclReport(patched(tdxHcl(), 0x20 + 1024, 1))).toThrow(/behind the TD report/);
    expect(() => parseHclReport(patched(tdxHcl(), 0x4bf, 1))).toThrow(/behind the TD report/);
  });

  test('has at most 4096 bytes of runtime data', () => {
    const json = (length: number) => {
      const text = simulatedRuntimeData({ akSpki: AK_SPKI, hardware: { kind: 'snp', report: snpReport } }).toString();
      return runtimeDataOf(`${text.slice(0, -1)}${' '.repeat(length - text.length)}}`);
    };
    expect(parseHclReport(json(4096)).akSpki).toEqual(AK_SPKI);
    expect(() => parseHclReport(json(4097))).toThrow(/longer than 4096/);
  });

  test('makes nothing but a malformed error of any bytes', () => {
    const seeds = [snpHcl(), tdxHcl(), snpHcl({ requestVersion: 2 })];
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(fc.tuple(fc.nat({ max: 2599 }), fc.nat({ max: 255 })), { maxLength: 8 }),
        fc.nat({ max: 2600 }),
        (seed, changes, length) => {
          const bytes = Buffer.from(seed.subarray(0, length));
          for (const [offset, value] of changes) if (offset < bytes.length) bytes[offset] = value;
          try {
            parseHclReport(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedError);
          }
        },
      ),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
        expect(() => parseHclReport(Buffer.from(bytes))).toThrow(MalformedError);
      }),
    );
  });

  test('gives the runtime data that was put in, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 4096 }),
        fc.constantFrom(1 as const, 2 as const),
        (bytes, requestVersion) => {
          const runtimeData = Buffer.from(bytes);
          const report = snpHcl({ requestVersion, overrides: { runtimeData } });
          expect(parseHclFrame(report).runtimeData).toEqual(runtimeData);
        },
      ),
    );
  });
});
