import type { HardwareTrust } from '../../endorsement/collateral.js';
import { findRim, rimId, type RimKind, type VerifiedRim } from '../../endorsement/rim/verify.js';
import { servedDriver } from '../../endorsement/rim/served-driver.js';
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

/** What the name of a manifest takes from the certificates of a device. */
export type NamedDevice = Pick<GpuDevice, 'kind' | 'chip'>;

/**
 * Which manifests the report of a device is compared with: driver and VBIOS of a GPU, the BIOS of a switch. From Blackwell on the
 * driver's are served under another name than Hopper's, with the chip that the report names.
 */
export function neededManifests({ kind, chip }: NamedDevice, facts: GpuFacts): readonly NeededManifest[] {
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
  const driver = rimId('driver', product, version);
  return [
    { kind: 'driver', id: driver, servedAs: servedDriver(driver), version },
    { ...bios, kind: 'vbios', id: rimId('vbios', product, vbiosVersion), servedAs: `NV_GPU_VBIOS_${board}` },
  ];
}

/**
 * The verified manifests of a device. Refusals: collateral.unavailable where one is not at hand or no longer valid, which then names
 * all of which that is so, each as it is served; before that gpu.rim where one is not signed by NVIDIA or says that it is of another kind or
 * version than it was looked up by. Project and SKUs are not compared: no manifest says anything of them.
 */
export function findManifests(needed: readonly NeededManifest[], trust: HardwareTrust): Result<readonly VerifiedRim[]> {
  const results = needed.map((manifest) => findManifest(manifest, trust));
  // What is wrong with one is not told as another one that is missing.
  const isRefused = (result: (typeof results)[number]) => !result.ok && result.reason !== 'collateral.unavailable';
  const refusal = results.find(isRefused) ?? results.find((result) => !result.ok);
  if (refusal?.ok === false && refusal.reason === 'collateral.unavailable') {
    const details = results.flatMap((result) =>
      !result.ok && result.reason === refusal.reason ? [result.detail] : [],
    );
    return reject(refusal.reason, details.join('; '));
  }
  return refusal?.ok === false ? refusal : accept(results.flatMap((result) => (result.ok ? [result.value] : [])));
}

function findManifest({ kind, id, servedAs, version }: NeededManifest, trust: HardwareTrust): Result<VerifiedRim> {
  const found = findRim(id, trust);
  // Looked up by one name and fetched by another: whoever reads the refusal needs the second.
  if (!found.ok) return { ...found, detail: found.detail.replaceAll(id, servedAs) };
  const manifest = found.value;
  if (manifest.id !== id || manifest.kind !== kind || manifest.version.toLowerCase() !== version.toLowerCase()) {
    return reject('gpu.rim', `${servedAs}: the manifest is not of this device`);
  }
  return found;
}
