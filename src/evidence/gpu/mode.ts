import type { GpuFacts } from './facts.js';

/**
 * What of a report says that its device is not in a mode that is known to protect its memory; undefined where nothing does.
 *
 * What a report CAN tell: whether it is behind protected PCIe (from 550 drivers on), and whether it is passed through alone,
 * with others, or behind protected PCIe (FEATURE_FLAG, from 580 drivers on). A value that is not known, a flag that is missing
 * where the version of the opaque data promises one, and two flags that contradict each other are faults.
 *
 * What it can NOT tell: that the device is in devtools mode, or that confidential computing is off. No field of a report says
 * so. With confidential computing off the driver opens no SPDM session, and there is no report at all. Devtools mode shows in
 * the measurements (on Hopper in number 9, counted from 0, as a maintainer of NVIDIA's nvtrust has said), which then are not
 * those of the manifests: gpu.measurement. So it is the comparison alone that proves production mode, as it is for NVIDIA's own
 * `dbgstat`; no claim says more than that comparison did.
 */
export function modeFault({ mode, protectedPcie, opaqueDataVersion }: GpuFacts): string | undefined {
  if (mode === 'other') return 'its feature flag is none that is known';
  if (protectedPcie === 'other') return 'its status of protected PCIe is none that is known';
  if (mode === undefined && (opaqueDataVersion ?? 0) >= 1) return 'it says nothing of its mode';
  if (mode !== undefined && protectedPcie !== undefined && (mode === 'PPCIE') !== protectedPcie) {
    return 'its feature flag contradicts its status of protected PCIe';
  }
  return undefined;
}

/** Whether the GPUs that say so say different modes: those of one machine are all in the same. */
export function areMixed(facts: readonly GpuFacts[]): boolean {
  const told = (members: readonly unknown[]) => new Set(members.filter((member) => member !== undefined)).size;
  return told(facts.map(({ mode }) => mode)) > 1 || told(facts.map(({ protectedPcie }) => protectedPcie)) > 1;
}
