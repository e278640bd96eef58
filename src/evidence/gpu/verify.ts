/**
 * Measurement reports of NVIDIA GPUs and NVSwitches. This room may assume nothing about its input: whoever sends evidence chooses
 * every byte of it. It turns evidence into claims, or into the one reason why not.
 */
import { claimTree, type ClaimTree } from '../../claims/claims.js';
import type { HardwareTrust } from '../../endorsement/collateral.js';
import type { RevocableIdentity } from '../../endorsement/identity.js';
import { unusedRims, type VerifiedRim } from '../../endorsement/rim/verify.js';
import { accept, reject, type Rejection, type Result } from '../../reason/reason.js';
import type { GpuDevice } from './chain.js';
import { deviceClaims } from './claims.js';
import { type AnsweringDevice, verifyDevice } from './device.js';
import type { GpuEvidence, GpuRules } from './evidence.js';
import { matchMeasurements } from './measurements.js';
import { areMixed } from './mode.js';
import { findManifests, type NeededManifest, neededManifests } from './rims.js';
import { compareTopology } from './topology.js';

/** As many devices as one binding covers. */
export const MAX_GPU_DEVICES = 16;

/** What devices are held against. */
export interface GpuExpectations {
  /** What every device must have answered, 32 bytes. undefined: not checked, which is for offline use only. */
  readonly nonce: Buffer | undefined;
  readonly rules: GpuRules;
}

/** Devices that passed every check of verifyGpus. */
export interface VerifiedGpus {
  /** The tree below `gpu`: a tree for each device by its place, `0`, `1`, …, and what is said of all of them. */
  readonly claims: ClaimTree;
  /** Which devices answered, in the order sent: as tokens of NVIDIA's name them. */
  readonly devices: readonly Pick<GpuDevice, 'kind' | 'ueid'>[];
  /** The devices, and what their certificates and manifests hang on. */
  readonly identities: readonly RevocableIdentity[];
}

/**
 * Verifies the devices of one machine. The checks come in this order, each stage for all devices before the next: what each
 * says for itself (evidence.malformed, gpu.chain, gpu.signature, gpu.nonce, gpu.fwid, gpu.debug); that none answered twice
 * (gpu.duplicate); that they are as many GPUs as the rules say, and, where switches answered too and GPUs are behind protected
 * PCIe, that exactly those devices answered that are linked with each other (gpu.count); that all GPUs are in the same mode
 * (gpu.debug); the manifests and the measurements (collateral.unavailable, gpu.rim, gpu.measurement); last, that no CRL of
 * a device is stale (collateral.unavailable).
 *
 * NOT verified: that the devices are those of the machine that sent them, which nothing but the nonce and the measured guest
 * says; that GPUs behind protected PCIe came with their switches: without any they are accepted, and only a policy that asks
 * for the claim gpu.topology refuses them; which versions of driver and VBIOS are good enough; that NVIDIA has not put a device
 * on hold. All measurements, versions and modes are claims.
 */
export function verifyGpus(
  evidence: readonly GpuEvidence[],
  trust: HardwareTrust,
  { nonce, rules }: GpuExpectations,
): Result<VerifiedGpus> {
  if (evidence.length > MAX_GPU_DEVICES) return reject('evidence.malformed', 'more devices than one binding covers');
  const devices: AnsweringDevice[] = [];
  for (const [index, one] of evidence.entries()) {
    const verified = verifyDevice(one, trust, nonce, rules.debug);
    if (!verified.ok) return inPlace(verified, index);
    devices.push(verified.value);
  }

  const twice = duplicateOf(devices);
  if (twice !== undefined) return reject('gpu.duplicate', `device ${String(twice)} has answered before`);
  const gpus = devices.filter(({ device }) => device.kind === 'gpu');
  const miscounted = checkCount(gpus.length, rules.count);
  if (miscounted !== undefined) return miscounted;
  const topology = compareTopology(devices);
  if (topology.state === 'differs') return reject('gpu.count', topology.detail);
  if (!rules.debug && areMixed(gpus.map(({ facts }) => facts))) {
    return reject('gpu.debug', 'the GPUs are in different modes');
  }

  const claims: Record<string, ClaimTree> = {};
  const identities = new Set<RevocableIdentity>();
  let withoutCrl: Rejection | undefined;
  for (const [index, device] of devices.entries()) {
    const needed = neededManifests(device.device, device.facts);
    const manifests = findManifests(needed, trust);
    if (!manifests.ok) return inPlace(manifests, index);
    const matched = matchMeasurements(device.report, device.facts, manifests.value, `gpu.${String(index)}`);
    if (!matched.ok) return inPlace(besideUnused(matched, manifests.value, needed, trust), index);
    if (device.device.withoutCrl !== undefined) withoutCrl ??= inPlace(device.device.withoutCrl, index);
    claims[String(index)] = deviceClaims(device, matched.value, needed);
    for (const { identities: of } of [device.device, ...manifests.value])
      of.forEach((identity) => identities.add(identity));
  }
  if (withoutCrl !== undefined) return withoutCrl;
  return accept({
    claims: claimTree({
      ...claims,
      count: gpus.length,
      switches: devices.length - gpus.length,
      topology: topology.state === 'agrees' ? true : undefined,
    }),
    devices: devices.map(({ device: { kind, ueid } }) => ({ kind, ueid })),
    identities: [...identities],
  });
}

/** The place of a device that is there twice: by its leaf, or by its boot ROM, which stays when the firmware is changed. */
function duplicateOf(devices: readonly AnsweringDevice[]): number | undefined {
  const ueids = devices.map(({ device }) => device.ueid);
  const bootRoms = devices.map(({ device }) => device.bootRomSpki.toString('latin1'));
  const index = devices.findIndex((_, at) => {
    return ueids.indexOf(ueids[at] ?? '') < at || bootRoms.indexOf(bootRoms[at] ?? '') < at;
  });
  return index < 0 ? undefined : index;
}

function checkCount(found: number, expected: number | undefined): Rejection | undefined {
  if (expected === undefined || found === expected) return undefined;
  const detail = `${String(found)} GPUs answered; those that only tokens name are for the claims of these tokens`;
  return reject('gpu.count', detail, {
    claim: 'gpu.count',
    operator: 'equals',
    expected,
    found,
  });
}

/** Says where another manifest of the same id might have fitted: only whoever fills the collateral knows which is the right one. */
function besideUnused(
  refusal: Rejection,
  used: readonly VerifiedRim[],
  needed: readonly NeededManifest[],
  trust: HardwareTrust,
): Rejection {
  const unused = used.flatMap((rim) => {
    const others = unusedRims(rim, trust).length;
    if (others === 0) return [];
    const name = needed.find(({ id }) => id === rim.id)?.servedAs ?? rim.id;
    return [`not used: ${String(others)} more good of ${name}, since the signer of sha256 ${rim.sha256} is the newest`];
  });
  return { ...refusal, detail: [refusal.detail, ...unused].join('; ') };
}

function inPlace(rejection: Rejection, index: number): Rejection {
  return { ...rejection, detail: `device ${String(index)}: ${rejection.detail}` };
}
