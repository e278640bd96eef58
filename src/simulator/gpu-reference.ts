import { createHash } from 'node:crypto';
import { MEASUREMENT_BYTES } from '../evidence/gpu/constants.js';
import type { SimulatedChip } from './gpu-certificates.js';
import type { SimulatedRim } from './rim.js';

/** What the measurements of a sound simulated device follow from. */
export interface SimulatedFirmware {
  readonly chip: SimulatedChip;
  readonly driverVersion: string;
  readonly vbiosVersion: string;
}

const GPU_MEASUREMENTS = 64;
const SWITCH_MEASUREMENTS = 31;
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);
/** As in genuine manifests for Hopper: which of them lists which measurement, counted from 0. */
const DRIVER_INDEXES: ReadonlySet<number> = new Set([7, ...range(21, 40)]);
const VBIOS_INDEXES: ReadonlySet<number> = new Set([...range(0, 6), ...range(8, 12)]);

/** The measurements of a sound device, SHA-384 each; those that nothing measures are zero. */
export function simulatedMeasurements({ chip, driverVersion, vbiosVersion }: SimulatedFirmware): readonly Buffer[] {
  const value = (of: string, index: number) =>
    createHash('sha384')
      .update(`simulated ${chip} ${of}\n${String(index)}`)
      .digest();
  if (chip === 'LS_10') return range(0, SWITCH_MEASUREMENTS - 1).map((index) => value(vbiosVersion, index));
  return range(0, GPU_MEASUREMENTS - 1).map((index) => {
    if (DRIVER_INDEXES.has(index)) return value(driverVersion, index);
    return VBIOS_INDEXES.has(index) ? value(vbiosVersion, index) : Buffer.alloc(MEASUREMENT_BYTES);
  });
}

/** What the manifests for such a device say: `simulatedGpuReference(…).map((rim) => issueRim(makers.nvidiaRims, rim))`. */
export function simulatedGpuReference(firmware: SimulatedFirmware): readonly SimulatedRim[] {
  const measurements = simulatedMeasurements(firmware);
  const version = firmware.vbiosVersion.toUpperCase();
  const listed = (indexes: readonly number[] | ReadonlySet<number>) =>
    new Map([...indexes].map((index) => [index, [measurements[index] ?? Buffer.alloc(MEASUREMENT_BYTES)] as const]));
  if (firmware.chip === 'LS_10') {
    const all = listed(range(0, SWITCH_MEASUREMENTS - 1));
    return [{ kind: 'switch', version, meta: { product: 'LS10' }, measurements: all }];
  }
  const meta = { product: firmware.chip };
  return [
    { kind: 'driver', version: firmware.driverVersion, meta, measurements: listed(DRIVER_INDEXES) },
    { kind: 'vbios', version, meta, measurements: listed(VBIOS_INDEXES) },
  ];
}
