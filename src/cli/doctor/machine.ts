import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fail, ok, warn, type Finding } from './finding.js';

/** The resource manager of the kernel first: without it every tool must flush what it loads. */
const TPM_DEVICES = ['/dev/tpmrm0', '/dev/tpm0'];
const TPM_TOOLS = ['createak', 'createek', 'evictcontrol', 'flushcontext', 'getcap', 'quote', 'readpublic'].map(
  (tool) => `tpm2_${tool}`,
);

/** Node and what a workload on this machine needs. `nodeVersion` is without the v. */
export function machineFindings(
  nodeVersion: string,
  env: Readonly<Record<string, string | undefined>>,
): readonly Finding[] {
  return [nodeFinding(nodeVersion), toolsFinding(env['PATH'] ?? ''), deviceFinding(TPM_DEVICES)];
}

/** As `engines` of package.json has it: >=20.19 <21 || >=22.14. */
export function nodeFinding(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const fits = (major === 20 && minor >= 19) || (major === 22 && minor >= 14) || major > 22;
  return fits
    ? ok('node', `Node ${version}`)
    : fail('node', `Node ${version} is not supported`, 'install Node 20.19 or later of 20, or 22.14 or later');
}

export function toolsFinding(path: string): Finding {
  const folders = path.split(delimiter).filter((folder) => folder !== '');
  const missing = TPM_TOOLS.filter((tool) => !folders.some((folder) => existsSync(join(folder, tool))));
  if (missing.length === 0) return ok('tpm2-tools', 'installed');
  return warn(
    'tpm2-tools',
    `${missing.join(', ')} not found; workloads on this machine can use the simulator only`,
    'install the package tpm2-tools where workloads run; a machine that runs the broker alone does not need it',
  );
}

/** `usable` says whether this user may read and write a device. */
export function deviceFinding(devices: readonly string[], usable: (path: string) => boolean = mayUse): Finding {
  const device = devices.find((path) => existsSync(path));
  if (device === undefined) return ok('TPM device', 'none here; needed only where workloads run');
  if (usable(device)) return ok('TPM device', `${device} can be used`);
  const advice = 'add the user to its group: usermod -aG tss USER';
  return warn('TPM device', `${device} cannot be read and written by this user`, advice);
}

function mayUse(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
