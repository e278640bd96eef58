import type { GpuDevice } from './chain.js';
import type { GpuFacts } from './facts.js';

/** A device whose report is verified, as far as others of its machine are concerned. */
export interface PlacedDevice {
  readonly device: GpuDevice;
  readonly facts: GpuFacts;
}

/** `absent`: there is nothing to be compared, since no switch answered or no GPU says that it is behind protected PCIe. */
export type Topology = { readonly state: 'absent' | 'agrees' } | { readonly state: 'differs'; readonly detail: string };

/**
 * Compares who is linked with whom: behind protected PCIe links are not encrypted, so that GPUs and switches of one machine
 * should all have answered, and no other. Where any switch answered, each GPU must name exactly the switches that answered, each
 * switch exactly the GPUs. GPUs alone are `absent` and not refused, since reports of genuine ones come so: a policy that
 * wants the switches asks for the claim gpu.topology. GPUs are known by the number that is in the certificate of their boot ROM
 * (checked on a genuine set of eight GPUs and four switches).
 */
export function compareTopology(devices: readonly PlacedDevice[]): Topology {
  const gpus = devices.filter(({ device }) => device.kind === 'gpu');
  const switches = devices.filter(({ device }) => device.kind === 'switch');
  const isProtected = gpus.some(({ facts }) => facts.protectedPcie === true || facts.mode === 'PPCIE');
  if (switches.length === 0 || !isProtected) return { state: 'absent' };
  const gpuPdis = gpus.map(({ device }) => device.pdi);
  const switchPdis = switches.map(({ facts }) => facts.ownPdi);
  if (!gpus.every(({ facts }) => sameSet(facts.switchPdis, switchPdis))) {
    return { state: 'differs', detail: 'a GPU is linked to other switches than those that answered' };
  }
  if (!switches.every(({ facts }) => sameSet(facts.gpuPdis, gpuPdis))) {
    return { state: 'differs', detail: 'a switch is linked to other GPUs than those that answered' };
  }
  if (!switches.every(({ device, facts }) => device.pdi === facts.ownPdi)) {
    return { state: 'differs', detail: 'a switch reports another number than is in its certificate' };
  }
  return { state: 'agrees' };
}

/** A PDI that is not known equals none. */
function sameSet(listed: readonly string[] | undefined, answered: readonly (string | undefined)[]): boolean {
  if (listed?.length !== answered.length) return false;
  return answered.every((pdi) => pdi !== undefined && listed.includes(pdi));
}
