import type { Deployment } from './deployment.js';

/** Sets of PCRs that cover what runs before the policy can be measured: firmware's boot decisions, or a unified kernel image with its command line. */
const CHAINS = [
  ['4', '7'],
  ['4', '11', '12'],
];

/**
 * Whether the reference values pin a boot chain: PCRs 4 and 7, or 4, 11 and 12. Without one, the policy PCR only proves
 * that somebody extended a public hash. Whether the values themselves are good ones is not known here.
 */
export function bootChain(deployment: Deployment): 'pinned' | 'unmeasured' {
  const { pcrs } = deployment.platform;
  const hasReference = (pcr: string): boolean => Object.hasOwn(pcrs, pcr) && (pcrs[pcr]?.length ?? 0) > 0;
  return CHAINS.some((chain) => chain.every(hasReference)) ? 'pinned' : 'unmeasured';
}
