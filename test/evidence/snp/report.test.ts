import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { PLATFORM_FLAGS, POLICY_FLAGS, SNP_REPORT_BYTES, SNP_RESERVED } from '../../../src/evidence/snp/constants.js';
import { generationOfCpuid, hasBit, parseSnpReport, readSnpReport } from '../../../src/evidence/snp/report.js';
import { guest, REPORT_DATA } from './simulated.js';

const GOOD = guest('Turin').report(REPORT_DATA);

/** A copy in which one byte is another. */
function withByte(offset: number, value: number, report = GOOD): Buffer {
  const changed = Buffer.from(report);
  changed[offset] = value;
  return changed;
}

describe('the length of a report', () => {
  test('every proper prefix is malformed', () => {
    for (let length = 0; length < GOOD.length; length++) {
      expect(() => parseSnpReport(GOOD.subarray(0, length))).toThrow(MalformedError);
    }
  });

  test('a trailing byte is malformed', () => {
    expect(() => parseSnpReport(Buffer.concat([GOOD, Buffer.alloc(1)]))).toThrow(MalformedError);
  });
});

describe('the version of a report', () => {
  test.each([2, 3, 4, 5])('%i is read', (version) => {
    expect(parseSnpReport(guest().report(REPORT_DATA, { version })).version).toBe(version);
  });

  test.each([0, 1, 6, 0x102, 0xffffffff])('%i is not', (version) => {
    expect(() => parseSnpReport(guest().report(REPORT_DATA, { version }))).toThrow(/version \d+ of/);
  });

  test.each([0, 2, 0x101, 0xffffffff])('neither is signature algorithm %i', (signatureAlgorithm) => {
    expect(() => parseSnpReport(guest().report(REPORT_DATA, { signatureAlgorithm }))).toThrow(
      /signature algorithm \d+ of/,
    );
  });

  test('the CPUID comes with version 3, the mitigation vectors with version 5', () => {
    const [v2, v3, v5] = [2, 3, 5].map((version) => parseSnpReport(guest().report(REPORT_DATA, { version })));
    expect([v2?.cpuid, v2?.mitigation]).toEqual([undefined, undefined]);
    expect([v3?.cpuid, v3?.mitigation]).toEqual([{ family: 0x19, model: 1, stepping: 1 }, undefined]);
    expect(v5?.mitigation).toEqual({ launch: 0x3fn, current: 0x3fn });
  });

  test('of version 4 is read what version 3 has; where version 5 has its vectors may stand anything', () => {
    const { version, ...v3 } = parseSnpReport(guest().report(REPORT_DATA, { version: 3 }));
    const bytes = Buffer.from(guest().report(REPORT_DATA, { version: 4 }));
    bytes.fill(0xff, 0x1f8, 0x208);
    expect(version).toBe(3);
    expect(parseSnpReport(bytes)).toEqual({ ...v3, version: 4, signature: expect.anything() });
  });
});

describe('what is reserved', () => {
  const offsets = (version: number) =>
    SNP_RESERVED.filter(({ before }) => before === undefined || version < before).flatMap(({ from, to }) =>
      Array.from({ length: to - from }, (_, index) => from + index),
    );

  test.each([2, 3, 4, 5])('in version %i each byte of it must be zero', (version) => {
    const report = guest().report(REPORT_DATA, { version });
    for (const offset of offsets(version)) {
      expect(() => parseSnpReport(withByte(offset, 1 << (offset % 8), report))).toThrow(/a reserved byte from/);
    }
  });

  test('it is as many bytes as the format says', () => {
    expect([2, 3, 4, 5].map((version) => offsets(version).length)).toEqual([614, 611, 595, 595]);
  });

  test('each bit of the guest policy that is not known, alone', () => {
    for (let bit = 26; bit < 64; bit++) {
      const policy = guest().fields.policy | (1n << BigInt(bit));
      expect(() => parseSnpReport(guest().report(REPORT_DATA, { policy }))).toThrow(/reserved bit of the guest policy/);
    }
  });

  test('bit 17 of the guest policy is one', () => {
    const policy = guest().fields.policy & ~0x20000n;
    expect(() => parseSnpReport(guest().report(REPORT_DATA, { policy }))).toThrow(/bit 17/);
  });

  test('each bit of PLATFORM_INFO from the eighth', () => {
    for (let bit = 8; bit < 64; bit++) {
      const platformInfo = 1n << BigInt(bit);
      expect(() => parseSnpReport(guest().report(REPORT_DATA, { platformInfo }))).toThrow(/PLATFORM_INFO/);
    }
  });

  test('each bit of the key information from the fifth', () => {
    for (let bit = 5; bit < 32; bit++) {
      expect(() => parseSnpReport(withByte(0x48 + (bit >> 3), 1 << (bit & 7)))).toThrow(/key information/);
    }
  });

  test.each([2, 3, 4, 5, 6])('SIGNING_KEY %i', (signingKey) => {
    expect(() => parseSnpReport(guest().report(REPORT_DATA, { signingKey }))).toThrow(/SIGNING_KEY/);
  });
});

describe('flags', () => {
  test.each(POLICY_FLAGS)('bit $bit of the guest policy is read alone', ({ bit }) => {
    const report = parseSnpReport(guest().report(REPORT_DATA, { policy: 0x20000n | (1n << BigInt(bit)) }));
    expect(POLICY_FLAGS.filter((flag) => hasBit(report.policy, flag.bit)).map((flag) => flag.bit)).toEqual([bit]);
  });

  test.each(PLATFORM_FLAGS)('bit $bit of PLATFORM_INFO is read alone', ({ bit }) => {
    const report = parseSnpReport(guest().report(REPORT_DATA, { platformInfo: 1n << BigInt(bit) }));
    expect(PLATFORM_FLAGS.filter((flag) => hasBit(report.platformInfo, flag.bit)).map((flag) => flag.bit)).toEqual([
      bit,
    ]);
  });

  test('the key information is three fields', () => {
    const read = (fields: object) => {
      const { authorKeyEnabled, maskChipKey, signingKey } = parseSnpReport(guest().report(REPORT_DATA, fields));
      return [authorKeyEnabled, maskChipKey, signingKey];
    };
    expect(read({ authorKeyEnabled: true })).toEqual([true, false, 'VCEK']);
    expect(read({ maskChipKey: true })).toEqual([false, true, 'VCEK']);
    expect(read({ signingKey: 1 })).toEqual([false, false, 'VLEK']);
    expect(read({ signingKey: 7 })).toEqual([false, false, undefined]);
  });
});

describe('the generation by CPUID', () => {
  test.each([
    [0x19, 0x00, 'Milan'],
    [0x19, 0x0f, 'Milan'],
    [0x19, 0x10, 'Genoa'],
    [0x19, 0x1f, 'Genoa'],
    [0x19, 0xa0, 'Genoa'],
    [0x19, 0xaf, 'Genoa'],
    [0x1a, 0x00, 'Turin'],
    [0x1a, 0x11, 'Turin'],
  ] as const)('family %i model %i is %s', (family, model, generation) => {
    expect(generationOfCpuid({ family, model, stepping: 0 })).toBe(generation);
  });

  test.each([
    [0x17, 0x31],
    [0x19, 0x20],
    [0x19, 0x9f],
    [0x19, 0xb0],
    [0x1a, 0x12],
    [0x1a, 0x50],
    [0x1a, 0x90],
    [0, 0],
  ])('family %i model %i is none that is known', (family, model) => {
    expect(generationOfCpuid({ family, model, stepping: 0 })).toBeUndefined();
  });
});

describe('properties', () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((b) => Buffer.from(b));
  const number = fc.integer({ min: 0, max: 0xffffffff });
  const u8 = fc.integer({ min: 0, max: 255 });
  const version = fc.tuple(u8, u8, u8);

  test('no input of any length throws anything but MalformedError', () => {
    const inputs = fc.oneof(fc.uint8Array({ maxLength: 2000 }), bytes(SNP_REPORT_BYTES));
    fc.assert(
      fc.property(inputs, (input) => {
        try {
          parseSnpReport(Buffer.from(input));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });

  test('whatever is written is read again', () => {
    const fields = fc.record({
      version: fc.constantFrom(2, 3, 4, 5),
      guestSvn: number,
      policy: fc.bigInt(0n, 0x3ffffffn).map((bits) => bits | 0x20000n),
      familyId: bytes(16),
      imageId: bytes(16),
      vmpl: number,
      platformInfo: fc.bigInt(0n, 0xffn),
      authorKeyEnabled: fc.boolean(),
      maskChipKey: fc.boolean(),
      measurement: bytes(48),
      hostData: bytes(32),
      idKeyDigest: bytes(48),
      authorKeyDigest: bytes(48),
      reportId: bytes(32),
      reportIdMa: bytes(32),
      chipId: bytes(64),
      currentFirmware: version,
      committedFirmware: version,
      cpuid: version,
      launchMitigation: fc.bigInt(0n, (1n << 64n) - 1n),
      currentMitigation: fc.bigInt(0n, (1n << 64n) - 1n),
    });
    fc.assert(
      fc.property(fields, bytes(64), (written, reportData) => {
        const report = parseSnpReport(guest().report(reportData, written));
        const [family, model, stepping] = written.cpuid;
        const firmware = ([major, minor, build]: readonly number[]) => ({ major, minor, build });
        const { cpuid, launchMitigation, currentMitigation, ...same } = written;
        expect(cpuid).toHaveLength(3);
        expect(report).toMatchObject({
          ...same,
          reportData,
          currentFirmware: firmware(written.currentFirmware),
          committedFirmware: firmware(written.committedFirmware),
        });
        expect(report.cpuid).toEqual(written.version >= 3 ? { family, model, stepping } : undefined);
        const mitigation = { launch: launchMitigation, current: currentMitigation };
        expect(report.mitigation).toEqual(written.version >= 5 ? mitigation : undefined);
      }),
      { numRuns: 60 },
    );
  });

  test('every byte of a report is read as a field, or reserved', () => {
    const text = (report: Buffer) =>
      JSON.stringify(readSnpReport(report), (_, value: unknown) =>
        typeof value === 'bigint' ? value.toString() : value,
      );
    const good = text(GOOD);
    const unread = Array.from({ length: SNP_REPORT_BYTES }, (_, offset) => offset).filter((offset) => {
      const isReserved = SNP_RESERVED.some(
        ({ from, to, before }) => before === undefined && offset >= from && offset < to,
      );
      return !isReserved && text(withByte(offset, (GOOD[offset] ?? 0) ^ 0x01)) === good;
    });
    // The upper bytes of the key information, of which reservedFaults knows.
    expect(unread).toEqual([0x49, 0x4a, 0x4b]);
  });
});
