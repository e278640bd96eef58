import { CC_DRIVER, servedDriver } from '../endorsement/rim/served-driver.js';

/**
 * The names of NVIDIA's manifests. A manifest says kind, chip and version (see rimId); the name under which NVIDIA serves it says what is
 * not signed too: project and SKUs of a VBIOS or switch, and `CC` for drivers of all chips but GH100.
 */

const WITH_SKUS = /^(?:switchVBIOSRim_)?(NV_(?:GPU_VBIOS|SWITCH_BIOS)(?:_[0-9A-Za-z]+){4})$/;
/** As NVIDIA's verifier ships manifests of VBIOS: `g520_0202_885_9600740014_PROD`. Those that end otherwise are of tests. */
const SHIPPED_VBIOS = /^((?:[0-9a-z]+_){3}[0-9a-f]{10})_PROD$/i;

/**
 * The name under which NVIDIA serves the manifest of this id (see rimId) that lies in this file. That of a driver follows from the id;
 * that of a VBIOS or switch stands, where anywhere, in the name of the file: undefined where that is none of NVIDIA's, or of another one.
 */
export function servedAs(file: string, id: string): string | undefined {
  if (id.startsWith('NV_GPU_DRIVER_')) return servedDriver(id);
  const stem = file.replace(/^.*\//, '').replace(/\.(?:swidtag|xml|json)$/i, '');
  const [, shipped] = SHIPPED_VBIOS.exec(stem) ?? [];
  const name =
    WITH_SKUS.exec(stem)?.[1] ?? (shipped === undefined ? undefined : `NV_GPU_VBIOS_${shipped.toUpperCase()}`);
  return name !== undefined && isSameRim(name, id) ? name : undefined;
}

/** Whether a name of NVIDIA's may be that of the manifest with this id (see rimId). */
export function isSameRim(served: string, id: string): boolean {
  return signedPart(served) === signedPart(id);
}

/** What a name says that is signed too: of VBIOS and switches kind and version, without project and SKUs. */
function signedPart(name: string): string {
  const upper = name.toUpperCase();
  if (upper.startsWith(CC_DRIVER)) return `NV_GPU_DRIVER_${upper.slice(CC_DRIVER.length)}`;
  const [, kind, version] = /^(NV_GPU_VBIOS|NV_SWITCH_BIOS)_.*_([^_]*)$/.exec(upper) ?? [];
  return kind === undefined || version === undefined ? upper : `${kind}_${version}`;
}
