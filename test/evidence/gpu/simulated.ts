/** Simulated devices, and whoever believes in their maker. */
import { NO_COLLATERAL, type HardwareTrust } from '../../../src/endorsement/collateral.js';
import { withSimulator } from '../../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { type GpuEvidence, type GpuRules, SAFE_GPU_RULES } from '../../../src/evidence/gpu/evidence.js';
import { verifyGpus } from '../../../src/evidence/gpu/verify.js';
import { SimulatedGpu, type SimulatedGpuOptions } from '../../../src/simulator/gpu.js';
import { makerRoots, simulatedMakers } from '../../../src/simulator/makers.js';
import { issueRim, type SimulatedRim } from '../../../src/simulator/rim.js';

export const AT = Date.UTC(2026, 10, 22);
export const NONCE = Buffer.alloc(32, 0x2a);
export const makers = simulatedMakers(Buffer.alloc(32, 7));
const roots = withSimulator(makerRoots(makers));

export const gpu = (options: SimulatedGpuOptions = {}) => new SimulatedGpu(makers.nvidiaDevices, options);

/** Another device for each number. */
export const numbered = (number: number, options: SimulatedGpuOptions = {}) =>
  gpu({ seed: Buffer.alloc(32, number), ...options });

/** One entry of opaque data is another one; null: it is left out. */
export const opaque = (type: number, value: Buffer | null): SimulatedGpuOptions => ({ opaque: { [type]: value } });

/** Manifests for the default versions of GPU and switch. */
export const soundRims: readonly Buffer[] = [gpu(), gpu({ chip: 'GB100' }), gpu({ chip: 'LS_10' })]
  .flatMap((device) => device.reference())
  .map((rim) => issueRim(makers.nvidiaRims, rim));

export const issued = (...rims: readonly SimulatedRim[]) => rims.map((rim) => issueRim(makers.nvidiaRims, rim));

export function trust(rims: readonly Buffer[] = soundRims): HardwareTrust {
  const collateral = { ...NO_COLLATERAL, rims };
  return { roots, collateral, paths: new KnownPaths(64), atMs: AT, requireCrls: false };
}

export const sound = trust();

export function verify(
  evidence: readonly GpuEvidence[],
  rules: Partial<GpuRules> = {},
  believed: HardwareTrust = sound,
) {
  return verifyGpus(evidence, believed, { nonce: NONCE, rules: { ...SAFE_GPU_RULES, ...rules } });
}

/** The refusal of one device of these options, `reason: detail`, or `accepted`. */
export function verdict(options: SimulatedGpuOptions, rules: Partial<GpuRules> = {}, believed = sound): string {
  return told(verify([gpu(options).evidence(NONCE)], rules, believed));
}

export function told(result: ReturnType<typeof verify>): string {
  return result.ok ? 'accepted' : `${result.reason}: ${result.detail}`;
}
