import { describe, expect, test } from '@jest/globals';
import { parseCertificate } from '../../src/crypto/x509.js';
import { trustAnchorsOf } from '../../src/endorsement/trust-anchors.js';
import { validatePath } from '../../src/endorsement/path.js';
import { parseGpuReport } from '../../src/evidence/gpu/report.js';
import { SimulatedGpu } from '../../src/simulator/gpu.js';
import { makerRoots, simulatedMakers } from '../../src/simulator/makers.js';

const makers = simulatedMakers(Buffer.alloc(32, 3));
const NONCE = Buffer.alloc(32, 1);

describe('a simulated GPU', () => {
  test('is the same device for the same seed, and another one for another', () => {
    const of = (fill: number) => new SimulatedGpu(makers.nvidiaDevices, { seed: Buffer.alloc(32, fill) });
    expect(of(1).pdi).toEqual(of(1).pdi);
    expect(parseCertificate(of(1).certificates[0]!).spki).toEqual(parseCertificate(of(1).certificates[0]!).spki);
    expect(of(1).pdi).not.toEqual(of(2).pdi);
    expect(parseCertificate(of(1).certificates[0]!).spki).not.toEqual(parseCertificate(of(2).certificates[0]!).spki);
  });

  test.each(['GH100', 'GB100', 'GB20X', 'LS_10'] as const)(
    'of chip %s has a chain of five below the root of its maker',
    (chip) => {
      const { certificates } = new SimulatedGpu(makers.nvidiaDevices, { chip });
      const path = validatePath({
        chain: certificates,
        anchors: trustAnchorsOf([makerRoots(makers).nvidiaDevices]),
        atMs: Date.UTC(2026, 0, 1),
        purpose: {},
        crls: [],
        crlPolicy: 'none',
      });
      expect(path.ok && path.path).toHaveLength(4);
    },
  );

  test('answers the nonce that it is asked with, or the one it is told to', () => {
    const answered = (options: { readonly nonce?: Buffer }) =>
      parseGpuReport(new SimulatedGpu(makers.nvidiaDevices, options).report(NONCE)).nonce;
    expect(answered({})).toEqual(NONCE);
    expect(answered({ nonce: Buffer.alloc(32, 2) })).toEqual(Buffer.alloc(32, 2));
    expect(() => new SimulatedGpu(makers.nvidiaDevices).report(Buffer.alloc(31))).toThrow(RangeError);
  });

  test('has the measurements that its reference lists, unless something is wrong with it', () => {
    const differing = (options: ConstructorParameters<typeof SimulatedGpu>[1]) => {
      const gpu = new SimulatedGpu(makers.nvidiaDevices, options);
      const { measurements } = parseGpuReport(gpu.report(NONCE));
      return gpu
        .reference()
        .flatMap((rim) =>
          [...rim.measurements].flatMap(([index, [value]]) =>
            measurements[index]!.value.equals(value!) ? [] : [index],
          ),
        );
    };
    expect(differing({})).toEqual([]);
    expect(differing({ chip: 'LS_10' })).toEqual([]);
    expect(differing({ driverVersion: '590.12', vbiosVersion: '96.00.a5.00.01' })).toEqual([]);
    expect(differing({ confidentialComputing: 'devtools' })).toEqual([9]);
    expect(differing({ confidentialComputing: 'off' })).toEqual([9]);
    expect(differing({ measurements: { 3: Buffer.alloc(48), 22: Buffer.alloc(48) } }).sort()).toEqual([22, 3]);
  });

  test('of other versions has other measurements', () => {
    const [driver] = new SimulatedGpu(makers.nvidiaDevices).reference();
    const [other] = new SimulatedGpu(makers.nvidiaDevices, { driverVersion: '590.12' }).reference();
    expect(driver!.measurements.get(21)).not.toEqual(other!.measurements.get(21));
  });
});
