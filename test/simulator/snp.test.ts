import { createPublicKey, verify } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { parseCertificate } from '../../src/crypto/x509.js';
import { COMMON_NAME, onlyAttribute } from '../../src/crypto/x509-name.js';
import { simulatedMakers, SIMULATED_GENERATIONS } from '../../src/simulator/makers.js';
import { SimulatedSnp } from '../../src/simulator/snp.js';
import { issueVek } from '../../src/simulator/snp-vek.js';

const SEED = Buffer.alloc(32, 9);
const DATES = { notBeforeMs: Date.UTC(2026, 0, 1), notAfterMs: Date.UTC(2033, 0, 1) };
const MAKERS = simulatedMakers(SEED);
const DATA = Buffer.from(Array.from({ length: 64 }, (_, index) => index + 1));

describe('a simulated report', () => {
  test('has each field where the format has it', () => {
    const snp = new SimulatedSnp({ generation: 'Turin', seed: SEED });
    const report = snp.report(DATA, {
      guestSvn: 0x01020304,
      policy: 0x1122334455667788n,
      familyId: Buffer.alloc(16, 0xa1),
      imageId: Buffer.alloc(16, 0xa2),
      vmpl: 3,
      platformInfo: 0x8877665544332211n,
      authorKeyEnabled: true,
      maskChipKey: true,
      signingKey: 1,
      measurement: Buffer.alloc(48, 0xa3),
      hostData: Buffer.alloc(32, 0xa4),
      idKeyDigest: Buffer.alloc(48, 0xa5),
      authorKeyDigest: Buffer.alloc(48, 0xa6),
      reportId: Buffer.alloc(32, 0xa7),
      reportIdMa: Buffer.alloc(32, 0xa8),
      reportedTcb: { fmc: 1, bootloader: 2, tee: 3, snp: 4, microcode: 5 },
      currentTcb: { fmc: 6 },
      committedTcb: { snp: 7 },
      launchTcb: { microcode: 8 },
      cpuid: [0x1a, 0x11, 1],
      chipId: Buffer.alloc(64, 0xa9),
      currentFirmware: [1, 55, 65],
      committedFirmware: [2, 56, 66],
      launchMitigation: 0x0102030405060708n,
      currentMitigation: 0x1112131415161718n,
    });
    const hex = (from: number, length: number) => report.toString('hex', from, from + length);
    expect(report).toHaveLength(1184);
    expect([hex(0, 4), hex(4, 4), hex(8, 8)]).toEqual(['05000000', '04030201', '8877665544332211']);
    expect([hex(0x10, 16), hex(0x20, 16)]).toEqual(['a1'.repeat(16), 'a2'.repeat(16)]);
    expect([hex(0x30, 4), hex(0x34, 4), hex(0x38, 8)]).toEqual(['03000000', '01000000', '0600000000000000']);
    expect([hex(0x40, 8), hex(0x48, 4), hex(0x4c, 4)]).toEqual(['1122334455667788', '07000000', '00000000']);
    expect(hex(0x50, 64)).toBe(DATA.toString('hex'));
    expect([hex(0x90, 48), hex(0xc0, 32)]).toEqual(['a3'.repeat(48), 'a4'.repeat(32)]);
    expect([hex(0xe0, 48), hex(0x110, 48)]).toEqual(['a5'.repeat(48), 'a6'.repeat(48)]);
    expect([hex(0x140, 32), hex(0x160, 32)]).toEqual(['a7'.repeat(32), 'a8'.repeat(32)]);
    expect([hex(0x180, 8), hex(0x188, 3)]).toEqual(['0102030400000005', '1a1101']);
    expect([hex(0x1a0, 64), hex(0x1e0, 8)]).toEqual(['a9'.repeat(64), '0000000700000000']);
    expect([hex(0x1e8, 4), hex(0x1ec, 4), hex(0x1f0, 8)]).toEqual(['41370100', '42380200', '0000000000000008']);
    expect([hex(0x1f8, 8), hex(0x200, 8)]).toEqual(['0807060504030201', '1817161514131211']);
    expect(report.subarray(0x208, 0x2a0).every((byte) => byte === 0)).toBe(true);
    expect(report.subarray(0x330).every((byte) => byte === 0)).toBe(true);
  });

  test('is signed over all that stands before the signature, which is little-endian', () => {
    const snp = new SimulatedSnp({ generation: 'Milan', seed: SEED });
    const report = snp.report(DATA);
    const scalar = (from: number) => Buffer.from(report.subarray(from, from + 48)).reverse();
    const signature = Buffer.concat([scalar(0x2a0), scalar(0x2e8)]);
    const key = createPublicKey({ key: snp.spki, format: 'der', type: 'spki' });
    const isSigned = (signed: Buffer) => verify('sha384', signed, { key, dsaEncoding: 'ieee-p1363' }, signature);
    expect(isSigned(report.subarray(0, 0x2a0))).toBe(true);
    expect(isSigned(report.subarray(0, 0x29f))).toBe(false);
  });

  test('leaves out what its version does not have', () => {
    const snp = new SimulatedSnp({ generation: 'Milan', seed: SEED });
    const parts = (version: number) => {
      const report = snp.report(DATA, { version });
      return [report.toString('hex', 0x188, 0x18b), report.toString('hex', 0x1f8, 0x1f9)];
    };
    expect([2, 3, 4, 5].map(parts)).toEqual([
      ['000000', '00'],
      ['190101', '00'],
      ['190101', '00'],
      ['190101', '3f'],
    ]);
  });

  test('bytes of another length than their field are an error', () => {
    const snp = new SimulatedSnp({ generation: 'Milan', seed: SEED });
    expect(() => snp.report(Buffer.alloc(63))).toThrow(RangeError);
    expect(() => snp.report(DATA, { hostData: Buffer.alloc(33) })).toThrow(RangeError);
  });
});

describe('a simulated machine', () => {
  test('is the same for the same seed, and another without one', () => {
    const machine = (seed?: Buffer) =>
      new SimulatedSnp({ generation: 'Milan', ...(seed === undefined ? {} : { seed }) });
    const [one, same, random, other] = [machine(SEED), machine(SEED), machine(), machine()];
    expect([same.spki, same.fields]).toEqual([one.spki, one.fields]);
    expect(random.spki).not.toEqual(other.spki);
    expect(random.fields.chipId).not.toEqual(other.fields.chipId);
  });

  test('keeps what is set, and forgets what was said for one report', () => {
    const snp = new SimulatedSnp({ generation: 'Genoa', seed: SEED });
    expect(snp.report(DATA, { vmpl: 2 })[0x30]).toBe(2);
    expect(snp.report(DATA)[0x30]).toBe(0);
    expect(snp.set({ vmpl: 1 }).report(DATA)[0x30]).toBe(1);
  });

  test('signs again what was changed in a report, and leaves the old one as it was', () => {
    const snp = new SimulatedSnp({ generation: 'Milan', seed: SEED });
    const report = snp.report(DATA);
    const before = Buffer.from(report);
    const again = snp.sign(report);
    expect(report).toEqual(before);
    expect(again.subarray(0, 0x2a0)).toEqual(report.subarray(0, 0x2a0));
  });
});

describe('a simulated certificate', () => {
  const AMD = '1.3.6.1.4.1.3704.1';
  const read = (der: Buffer) => {
    const certificate = parseCertificate(der);
    const values = [...certificate.extensions].map(([oid, { value }]) => [
      oid.slice(AMD.length),
      value.toString('hex'),
    ]);
    const names = [certificate.subject, certificate.issuer].map(({ attributes }) =>
      onlyAttribute(attributes, COMMON_NAME),
    );
    return { names, values: Object.fromEntries(values) as Record<string, string>, certificate };
  };

  test.each(SIMULATED_GENERATIONS)('of a VCEK of %s says what AMD says', (generation) => {
    const snp = new SimulatedSnp({ generation, seed: SEED });
    const { names, values, certificate } = read(snp.certificate(MAKERS, DATES));
    expect(names).toEqual(['SEV-VCEK', `SEV-${generation}`]);
    expect([certificate.notBeforeMs, certificate.notAfterMs]).toEqual([DATES.notBeforeMs, DATES.notAfterMs]);
    expect([certificate.serial, certificate.spki]).toEqual(['00', snp.spki]);
    const { chipId, reportedTcb } = snp.fields;
    const isTurin = generation === 'Turin';
    const int = (value = 0) => (value < 0x80 ? '0201' : '020200') + value.toString(16).padStart(2, '0');
    expect(values).toEqual({
      '.1': isTurin ? '020101' : '020100',
      '.2': `1605${Buffer.from(generation).toString('hex')}`,
      ...(isTurin ? { '.3.9': int(reportedTcb.fmc) } : { '.3.4': '020100' }),
      '.3.1': int(reportedTcb.bootloader),
      '.3.2': int(reportedTcb.tee),
      '.3.3': int(reportedTcb.snp),
      ...{ '.3.5': '020100', '.3.6': '020100', '.3.7': '020100' },
      '.3.8': int(reportedTcb.microcode),
      '.4': chipId.toString('hex', 0, isTurin ? 8 : 64),
    });
  });

  test('of a VLEK names its provider and no chip', () => {
    const snp = new SimulatedSnp({ generation: 'Milan', seed: SEED });
    const { names, values } = read(snp.certificate(MAKERS, { ...DATES, cspId: 'CN=cloud.example' }));
    expect(names).toEqual(['SEV-VLEK', 'SEV-VLEK-Milan']);
    expect([values['.4'], values['.5']]).toEqual([undefined, `1610${Buffer.from('CN=cloud.example').toString('hex')}`]);
  });

  test('has the serial and the product that are asked for', () => {
    const { spki } = new SimulatedSnp({ generation: 'Milan', seed: SEED });
    const draft = { generation: 'Milan', kind: 'VCEK', spki, tcb: {}, hwId: Buffer.alloc(64), ...DATES } as const;
    const { certificate, values } = read(
      issueVek(MAKERS.amd.Milan, { ...draft, serial: 0x1234n, productName: 'Milan-B0' }),
    );
    expect([certificate.serial, values['.2']]).toEqual(['1234', `1608${Buffer.from('Milan-B0').toString('hex')}`]);
  });
});
