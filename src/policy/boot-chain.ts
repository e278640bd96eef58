import type { Deployment } from './deployment.js';

/** Sets of PCRs that cover what runs before the policy can be measured: firmware's boot decisions, or a unified kernel image with its command line. */
const CHAINS = [
  ['4', '7'],
  ['4', '11', '12'],
];

/**
 * Whether the reference values pin a boot chain: PCRs 4 and 7, or 4, 11 and 12; or, where the policy is measured by the processor
 * itself, the launch measurement of every machine that may attest. Without one, the policy PCR only proves that
 * somebody extended a public hash. Whether the values themselves are good ones is not known here, nor whether a launch
 * measurement covers kernel, initrd and command line: the launch measurement of a paravisor does not.
 */
export function bootChain(deployment: Deployment): 'pinned' | 'unmeasured' {
  const { source } = deployment.measurement;
  const { trust, allow } = deployment.attesters;
  const isLaunched = trust.every((kind) => kind === 'cvm-report' || kind === 'simulator') && allow.cvm.length > 0;
  if (source !== 'tpm' && isLaunched && allow.cvm.every(({ measurement }) => measurement !== undefined))
    return 'pinned';
  const { pcrs } = deployment.platform;
  const hasReference = (pcr: string): boolean => Object.hasOwn(pcrs, pcr) && (pcrs[pcr]?.length ?? 0) > 0;
  return CHAINS.some((chain) => chain.every(hasReference)) ? 'pinned' : 'unmeasured';
}
