import { describe, expect, test } from '@jest/globals';
import { OPAQUE } from '../../../src/evidence/gpu/constants.js';
import type { SimulatedGpuOptions } from '../../../src/simulator/gpu.js';
import { gpu, NONCE, numbered, opaque, told, verify } from './simulated.js';

describe('gpu.duplicate', () => {
  test('for a device that answers twice', () => {
    const device = gpu();
    expect(told(verify([device.evidence(NONCE), device.evidence(NONCE)]))).toBe(
      'gpu.duplicate: device 1 has answered before',
    );
  });

  test('for a device that answers again with a certificate for other firmware', () => {
    const again = gpu({ serial: 77n });
    expect(told(verify([gpu().evidence(NONCE), again.evidence(NONCE)]))).toMatch(/^gpu\.duplicate/);
  });

  test('for another device with the same number of its certificate', () => {
    const twins = [numbered(1, { serial: 77n }), numbered(2, { serial: 77n })];
    expect(told(verify(twins.map((one) => one.evidence(NONCE))))).toMatch(/^gpu\.duplicate/);
  });

  test('before anything that is wrong with their number', () => {
    const device = gpu();
    expect(told(verify([device.evidence(NONCE), device.evidence(NONCE)], { count: 1 }))).toMatch(/^gpu\.duplicate/);
  });
});

describe('gpu.count', () => {
  test('for too few or too many GPUs; switches are not counted', () => {
    const both = [numbered(1), numbered(2, { chip: 'LS_10' })].map((one) => one.evidence(NONCE));
    expect(told(verify(both, { count: 1 }))).toBe('accepted');
    expect(told(verify(both, { count: 2 }))).toMatch(
      /^gpu\.count: 1 GPUs answered; those that only tokens name are for the claims of these tokens$/,
    );
    expect(told(verify([], { count: 1 }))).toMatch(/^gpu\.count/);
    expect(told(verify([]))).toBe('accepted');
    expect(
      told(
        verify(
          [numbered(1), numbered(3)].map((one) => one.evidence(NONCE)),
          { count: 1 },
        ),
      ),
    ).toMatch(/^gpu\.count/);
  });

  describe('behind protected PCIe', () => {
    const pdis = (...numbers: readonly number[]) => numbers.map((number) => numbered(number).pdi);
    const machine = (gpuLinks: readonly number[], switchLinks: readonly number[], more: SimulatedGpuOptions = {}) => [
      numbered(1, { mode: 'PPCIE', linkedTo: pdis(...gpuLinks) }),
      numbered(2, { mode: 'PPCIE', linkedTo: pdis(...gpuLinks) }),
      numbered(11, { chip: 'LS_10', linkedTo: pdis(...switchLinks), ...more }),
      numbered(12, { chip: 'LS_10', linkedTo: pdis(...switchLinks) }),
    ];
    const of = (devices: ReturnType<typeof machine>) => told(verify(devices.map((one) => one.evidence(NONCE))));

    test('not for devices that are linked with each other, in any order', () => {
      expect(of(machine([11, 12], [1, 2]))).toBe('accepted');
      expect(of(machine([12, 11], [2, 1]).reverse())).toBe('accepted');
    });

    test('for a link to a device that did not answer, or to fewer than did', () => {
      expect(of(machine([11, 12, 13], [1, 2]))).toMatch(/^gpu\.count: a GPU is linked/);
      expect(of(machine([11], [1, 2]))).toMatch(/^gpu\.count: a GPU is linked/);
      expect(of(machine([11, 12], [1, 2, 3]))).toMatch(/^gpu\.count: a switch is linked/);
      expect(of(machine([11, 12], [1]))).toMatch(/^gpu\.count: a switch is linked/);
      expect(of(machine([11, 12], [1, 2]).slice(1))).toMatch(/^gpu\.count/);
      expect(of(machine([11, 12], [1, 2]).slice(0, 3))).toMatch(/^gpu\.count/);
    });

    test('for devices that do not say what they are linked to', () => {
      expect(of(machine([11, 12], [1, 2], opaque(OPAQUE.gpuPdis, null)))).toMatch(/^gpu\.count/);
      expect(of(machine([11, 12], [1, 2], opaque(OPAQUE.switchPdi, null)))).toMatch(/^gpu\.count/);
      const [, ...others] = machine([11, 12], [1, 2]);
      expect(of([numbered(1, { mode: 'PPCIE' }), ...others])).toMatch(/^gpu\.count/);
    });

    test('for a switch that gives the number of another one', () => {
      const swapped = machine([11, 12], [1, 2], opaque(OPAQUE.switchPdi, numbered(12).pdi));
      const last = numbered(12, { chip: 'LS_10', linkedTo: pdis(1, 2), ...opaque(OPAQUE.switchPdi, numbered(11).pdi) });
      expect(of([...swapped.slice(0, 3), last])).toMatch(/^gpu\.count: a switch reports/);
    });

    test('for a GPU that is not behind it among those that are', () => {
      const [first, , ...switches] = machine([11, 12], [1, 2]);
      expect(of([first!, numbered(2), ...switches])).toMatch(/^gpu\.count/);
    });

    test('not looked at where no switch answered', () => {
      expect(of(machine([11, 12], [1, 2]).slice(0, 2))).toBe('accepted');
    });
  });
});
