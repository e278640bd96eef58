import type { HardwareTrust } from '../../endorsement/collateral.js';
import { findRim, rimId, type RimKind, type VerifiedRim } from '../../endorsement/rim/verify.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import type { GpuDevice } from './chain.js';
import type { GpuFacts } from './facts.js';

/** A manifest that a device needs. */
export interface NeededManifest {
  readonly kind: RimKind;
  /** As rimId makes it: by this it is found in the collateral. */
  readonly id: string;
  /** The name under which NVIDIA's service has it (`https://rim.attestation.nvidia.com/v1/rim/<name>`). */
  readonly servedAs: string;
  readonly version: string;
}

/** Which manifests the report of a device is compared with: driver and VBIOS of a GPU, the BIOS of a switch. */
export function neededManifests({ kind, chip, architecture }: GpuDevice, facts: GpuFacts): readonly NeededManifest[] {
  const { driverVersion, vbiosVersion, project, projectSku, chipSku } = facts;
  const digits = vbiosVersion.replaceAll('.', '').toUpperCase();
  const board = `${project}_${projectSku}_${chipSku}_${digits}`;
  const bios = { version: vbiosVersion };
  if (kind === 'switch') {
    return [
      { ...bios, kind: 'switch', id: rimId('switch', 'LS10', vbiosVersion), servedAs: `NV_SWITCH_BIOS_${board}` },
    ];
  }
  const product = facts.chipInfo ?? chip;
  const version = driverVersion ?? '';
  const family = architecture === 'HOPPER' ? 'NV_GPU_DRIVER' : 'NV_GPU_CC_DRIVER';
  return [
    { kind: 'driver', id: rimId('driver', product, version), servedAs: `${family}_${product}_${version}`, version },
    { ...bios, kind: 'vbios', id: rimId('vbios', product, vbiosVersion), servedAs: `NV_GPU_VBIOS_${board}` },
  ];
}

/**
 * The verified manifests of a device. Refusals: collateral.unavailable where one is not at hand or no longer valid; gpu.rim
 * where one is not signed by NVIDIA or says that it is of another kind or version than it was looked up by. Project and SKUs
 * are not compared: no manifest says anything of them.
 */
export function findManifests(needed: readonly NeededManifest[], trust: HardwareTrust): Result<readonly VerifiedRim[]> {
  const manifests: VerifiedRim[] = [];
  for (const { kind, id, servedAs, version } of needed) {
    const found = findRim(id, trust);
    if (!found.ok) return { ...found, detail: `${servedAs}: ${found.detail}` };
    const manifest = found.value;
    if (manifest.id !== id || manifest.kind !== kind || manifest.version.toLowerCase() !== version.toLowerCase()) {
      return reject('gpu.rim', `${servedAs}: the manifest is not of this device`);
    }
    manifests.push(manifest);
  }
  return accept(manifests);
}
