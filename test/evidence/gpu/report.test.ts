import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { Writer } from '../../../src/bytes/writer.js';
import { MAX_GPU_REPORT_BYTES, parseGpuReport } from '../../../src/evidence/gpu/report.js';
import { gpu, NONCE } from './simulated.js';

/** What of a report is written, each with what it is in a sound one. */
interface Draft {
  readonly request?: Buffer;
  readonly response?: Buffer;
  readonly count?: number;
  readonly records?: readonly Buffer[];
  readonly recordLength?: number;
  readonly opaque?: readonly (readonly [number, Buffer])[];
  readonly opaqueLength?: number;
  readonly tail?: Buffer;
}

const REQUEST = Buffer.concat([Buffer.from('11e001ff', 'hex'), NONCE, Buffer.of(0)]);
const RESPONSE = Buffer.from('11600000', 'hex');

function record(
  index: number,
  value: Buffer,
  more: { size?: number; valueSize?: number; type?: number; spec?: number } = {},
) {
  return new Writer()
    .u8(index)
    .u8(more.spec ?? 1)
    .u16le(more.size ?? value.length + 3)
    .u8(more.type ?? 1)
    .u16le(more.valueSize ?? value.length)
    .bytes(value)
    .finish();
}

function written(draft: Draft = {}): Buffer {
  const {
    records = [record(1, Buffer.alloc(48, 7))],
    opaque = [[3, Buffer.from('1.2')]],
    tail = Buffer.alloc(96, 9),
  } = draft;
  const all = Buffer.concat(records);
  const length = Buffer.alloc(3);
  length.writeUIntLE(draft.recordLength ?? all.length, 0, 3);
  const data = new Writer();
  for (const [type, value] of opaque) data.u16le(type).u16le(value.length).bytes(value);
  const entries = data.finish();
  return new Writer()
    .bytes(draft.request ?? REQUEST)
    .bytes(draft.response ?? RESPONSE)
    .u8(draft.count ?? records.length)
    .bytes(length)
    .bytes(all)
    .bytes(Buffer.alloc(32, 3))
    .u16le(draft.opaqueLength ?? entries.length)
    .bytes(entries)
    .bytes(tail)
    .finish();
}

const changed = (bytes: Buffer, at: number, value: number) => {
  const copy = Buffer.from(bytes);
  copy[at] = value;
  return copy;
};

describe('a measurement report', () => {
  test('parses into its parts', () => {
    const bytes = written({
      opaque: [
        [3, Buffer.from('1.2')],
        [9999, Buffer.alloc(0)],
      ],
    });
    const report = parseGpuReport(bytes);
    expect(report.nonce).toEqual(NONCE);
    expect(report.slot).toBe(0);
    expect(report.measurements).toEqual([{ type: 1, value: Buffer.alloc(48, 7) }]);
    expect(report.responderNonce).toEqual(Buffer.alloc(32, 3));
    expect([...report.opaque]).toEqual([
      [3, Buffer.from('1.2')],
      [9999, Buffer.alloc(0)],
    ]);
    expect(report.signed).toEqual(bytes.subarray(0, -96));
    expect(report.signature).toEqual(Buffer.alloc(96, 9));
    expect(report.trailing).toBe(0);
  });

  test('is what a simulated device makes', () => {
    const bytes = gpu().report(NONCE);
    const report = parseGpuReport(bytes);
    expect(report.measurements).toHaveLength(64);
    expect(Buffer.concat([report.signed, report.signature])).toEqual(bytes);
  });

  test('may have no measurements and no opaque data', () => {
    expect(parseGpuReport(written({ records: [], opaque: [] })).measurements).toEqual([]);
  });

  test('every proper prefix is refused', () => {
    const bytes = gpu().report(NONCE);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => parseGpuReport(bytes.subarray(0, length))).toThrow(MalformedError);
    }
  });

  test('one byte behind it is ignored, two are refused', () => {
    const bytes = gpu().report(NONCE);
    const longer = (count: number) => Buffer.concat([bytes, Buffer.alloc(count, 1)]);
    expect(parseGpuReport(longer(1))).toEqual({ ...parseGpuReport(bytes), trailing: 1 });
    expect(() => parseGpuReport(longer(2))).toThrow('2 trailing bytes');
  });

  test.each([
    ['request of another version', changed(written(), 0, 0x12)],
    ['request of another code', changed(written(), 1, 0xe1)],
    ['request without signature', changed(written(), 2, 0)],
    ['request with a bit that is reserved', changed(written(), 2, 3)],
    ['request for one measurement', changed(written(), 3, 1)],
    ['request for their number', changed(written(), 3, 0)],
    ['request for a slot over 7', changed(changed(written(), 36, 8), 40, 8)],
    ['response of another version', changed(written(), 37, 0x10)],
    ['response of another code', changed(written(), 38, 0x7f)],
    ['response with a first parameter', changed(written(), 39, 1)],
    ['response of another slot', changed(written(), 40, 1)],
    ['record of another place', written({ records: [record(2, Buffer.alloc(48))] })],
    ['record twice', written({ records: [record(1, Buffer.alloc(48)), record(1, Buffer.alloc(48))] })],
    ['record of another specification', written({ records: [record(1, Buffer.alloc(48), { spec: 2 })] })],
    ['raw record', written({ records: [record(1, Buffer.alloc(48), { type: 0x81 })] })],
    ['record whose sizes do not agree', written({ records: [record(1, Buffer.alloc(48), { size: 50 })] })],
    ['record without value', written({ records: [record(1, Buffer.alloc(0))] })],
    ['record of 65 bytes', written({ records: [record(1, Buffer.alloc(65))] })],
    ['fewer records than it counts', written({ count: 2 })],
    ['more records than it counts', written({ count: 0 })],
    ['record length that is too small', written({ recordLength: 54 })],
    ['record length that is too large', written({ recordLength: 56 })],
    ['record length beyond the end', written({ recordLength: 0xffffff })],
    ['opaque length beyond the end', written({ opaqueLength: 0xffff })],
    ['opaque length that is too small', written({ opaqueLength: 6 })],
    [
      'opaque data twice',
      written({
        opaque: [
          [3, Buffer.of(1)],
          [3, Buffer.of(1)],
        ],
      }),
    ],
    [
      'too many opaque entries',
      written({ opaque: Array.from({ length: 65 }, (_, type) => [type, Buffer.alloc(0)] as const) }),
    ],
    ['signature that is too short', written({ tail: Buffer.alloc(95) })],
  ])('is refused: %s', (_, bytes) => {
    expect(() => parseGpuReport(bytes)).toThrow(MalformedError);
  });

  test.each([
    ['a slot of 7', changed(changed(written(), 36, 7), 40, 7)],
    ['a record of 64 bytes', written({ records: [record(1, Buffer.alloc(64))] })],
    [
      '64 opaque entries',
      written({ opaque: Array.from({ length: 64 }, (_, type) => [type, Buffer.alloc(0)] as const) }),
    ],
  ])('may have %s', (_, bytes) => {
    expect(parseGpuReport(bytes).signature).toHaveLength(96);
  });

  test('is at most 8192 bytes long', () => {
    const filled = (length: number) => written({ opaque: [[1, Buffer.alloc(length)]] });
    const room = MAX_GPU_REPORT_BYTES - filled(0).length;
    expect(parseGpuReport(filled(room)).trailing).toBe(0);
    expect(() => parseGpuReport(filled(room + 1))).toThrow('more than 8192 bytes');
  });

  test('no bytes throw anything but MalformedError', () => {
    const sound = gpu().report(NONCE);
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.nat(sound.length - 1), fc.nat(255)).map(([at, value]) => changed(sound, at, value)),
    );
    fc.assert(
      fc.property(anything, (bytes) => {
        try {
          return parseGpuReport(Buffer.from(bytes)).signature.length === 96;
        } catch (error) {
          return error instanceof MalformedError;
        }
      }),
    );
  });

  test('what is written is what is parsed', () => {
    const values = fc.array(fc.uint8Array({ minLength: 1, maxLength: 64 }), { maxLength: 20 });
    const entries = fc.uniqueArray(fc.tuple(fc.nat(0xffff), fc.uint8Array({ maxLength: 40 })), {
      selector: ([type]) => type,
      maxLength: 20,
    });
    fc.assert(
      fc.property(values, entries, (measurements, opaque) => {
        const records = measurements.map((value, at) => record(at + 1, Buffer.from(value)));
        const data = opaque.map(([type, value]) => [type, Buffer.from(value)] as const);
        const report = parseGpuReport(written({ records, opaque: data }));
        expect(report.measurements.map(({ value }) => value)).toEqual(measurements.map((value) => Buffer.from(value)));
        expect([...report.opaque]).toEqual(data);
      }),
      { numRuns: 50 },
    );
  });
});
