import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { NO_COLLATERAL, type HardwareTrust } from '../../src/endorsement/collateral.js';
import { PINNED_ROOTS, withSimulator } from '../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../src/endorsement/known-paths.js';
import { rimId, verifyRim } from '../../src/endorsement/rim/verify.js';
import { makerRoots, simulatedMakers } from '../../src/simulator/makers.js';
import { issueRim, type SimulatedRim } from '../../src/simulator/rim.js';

const AT = Date.UTC(2026, 10, 21);
const makers = simulatedMakers(Buffer.alloc(32, 1));
const trust: HardwareTrust = {
  roots: withSimulator(makerRoots(makers)),
  collateral: NO_COLLATERAL,
  paths: new KnownPaths(8),
  atMs: AT,
  requireCrls: false,
};
const hashOf = (text: string) => createHash('sha384').update(text).digest();
const driver: SimulatedRim = {
  kind: 'driver',
  version: '550.144.03',
  meta: { product: 'GH100' },
  measurements: new Map([
    [7, [hashOf('a')]],
    [21, Array.from({ length: 12 }, (_, n) => hashOf(`b${String(n)}`))],
    [70, [hashOf('c')]],
  ]),
};

describe('a simulated manifest', () => {
  test.each<SimulatedRim>([
    driver,
    { ...driver, kind: 'vbios', version: '96.00.5E.00.01' },
    { ...driver, kind: 'switch', version: '96.10.55.00.01', meta: { product: 'LS10' } },
  ])('of a $kind is good under the root of the simulator', (draft) => {
    const result = verifyRim(issueRim(makers.nvidiaRims, draft), trust);
    if (!result.ok) throw new Error(result.detail);
    const { kind, version, meta } = draft;
    expect(result.value).toMatchObject({ kind, version, meta, id: rimId(kind, meta.product, version) });
    const active = [...result.value.measurements].filter(([, measurement]) => measurement.active);
    expect(new Map(active.map(([index, { alternatives }]) => [index, alternatives]))).toEqual(draft.measurements);
    expect(result.value.measurements.size).toBe(71);
  });

  test('is refused under the pinned roots', () => {
    const result = verifyRim(issueRim(makers.nvidiaRims, driver), { ...trust, roots: PINNED_ROOTS });
    expect(result).toMatchObject({ ok: false, reason: 'gpu.rim' });
  });

  test('is refused under the root of another simulator', () => {
    const other = simulatedMakers(Buffer.alloc(32, 2));
    expect(verifyRim(issueRim(other.nvidiaRims, driver), trust)).toMatchObject({ ok: false, reason: 'gpu.rim' });
  });

  test('is refused from a signer whose key is not the one of the certificate', () => {
    const other = simulatedMakers(Buffer.alloc(32, 2)).nvidiaRims.signer;
    const mixed = { ...makers.nvidiaRims, signer: { ...makers.nvidiaRims.signer, key: other.key } };
    expect(verifyRim(issueRim(mixed, driver), trust)).toMatchObject({
      reason: 'gpu.rim',
      detail: 'the manifest NV_GPU_DRIVER_GH100_550.144.03: it is not signed by its signer',
    });
  });
});
