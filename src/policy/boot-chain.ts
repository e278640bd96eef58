import { OWN_AUTHORITY } from '../claims/claims.js';
import type { Deployment } from './deployment.js';
import { type ReleasePolicy, sameAuthority } from './release-policy.js';

/** Sets of PCRs that cover what runs before the policy can be measured: firmware's boot decisions, or a unified kernel image with its command line. */
const CHAINS = [
  ['4', '7'],
  ['4', '11', '12'],
];

/**
 * Whether the reference values pin a boot chain: PCRs 4 and 7, or 4, 11 and 12; or, where the policy is measured by the processor
 * itself, the launch measurement of every machine that may attest: of SEV-SNP, which can cover kernel, initrd and command line; of
 * TDX, which covers the firmware alone, with RTMR1 and RTMR2 (firmware's boot decisions, then kernel, initrd and command line) in
 * the release policy. Without one, the policy PCR only proves that somebody extended a public hash. Whether the values
 * themselves are good ones is not known here.
 */
export function bootChain(deployment: Deployment): 'pinned' | 'unmeasured' {
  return pinsPcrs(deployment) || pinsLaunch(deployment) ? 'pinned' : 'unmeasured';
}

/** Whether PCRs pin it: of a machine with a paravisor nothing else does. */
export function pinsPcrs({ platform: { pcrs } }: Deployment): boolean {
  const hasReference = (pcr: string): boolean => Object.hasOwn(pcrs, pcr) && (pcrs[pcr]?.length ?? 0) > 0;
  return CHAINS.some((chain) => chain.every(hasReference));
}

/** Not where the deployment says that it pins none: then machines whose measurement is a paravisor's are let in too. */
function pinsLaunch({ measurement: { source }, platform, attesters: { trust, allow }, release }: Deployment): boolean {
  if (
    source === 'tpm' ||
    platform.unmeasuredBoot ||
    !trust.every((kind) => kind === 'cvm-report' || kind === 'simulator')
  )
    return false;
  if (allow.cvm.length === 0 || !allow.cvm.every(({ measurement }) => measurement !== undefined)) return false;
  return (
    source === 'snp.host_data' || (release !== undefined && KERNEL_RTMRS.every((claim) => demands(release, claim)))
  );
}

const KERNEL_RTMRS = ['tdx.rtmrs.1', 'tdx.rtmrs.2'];

/** Whether nothing is released unless this claim has one value: seen where it stands in the outermost group, which is enough for people. */
function demands({ kind, authorities }: ReleasePolicy, claim: string): boolean {
  const own = authorities.filter(({ authority }) => sameAuthority(authority, OWN_AUTHORITY));
  if (kind === 'anyOf' && own.length !== authorities.length) return false;
  const inGroup = own.map(
    ({ group }) =>
      (group.kind === 'allOf' || group.conditions.length === 1) &&
      group.conditions.some((each) => 'claim' in each && each.claim === claim && each.operator === 'equals'),
  );
  return kind === 'allOf' ? inGroup.some(Boolean) : inGroup.length > 0 && inGroup.every(Boolean);
}
