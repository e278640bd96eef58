import { accept, type ReasonCode, reject, type Result } from '../reason/reason.js';
import { bootChain } from './boot-chain.js';
import type { Deployment } from './deployment.js';

/** Fixed by init: what a broker may accept. */
export type Profile = 'development' | 'production';

/** PCRs that a guest can reset at any time (TCG PC Client: 16 for debugging, 23 for applications). */
export const RESETTABLE_PCRS: readonly number[] = [16, 23];

interface Objection {
  readonly reason: ReasonCode;
  readonly detail: string;
  /** Where it is said as a warning and not refused. */
  readonly tolerated: boolean;
}

/**
 * Whether a broker of this profile may take the deployment: refusals deployment.unsupported, deployment.simulator_trust,
 * deployment.resettable_pcr, deployment.unmeasured_boot, each saying what to do. What is tolerated (in the development
 * profile, or because the document says so) comes back as warnings.
 */
export function admitDeployment(
  deployment: Deployment,
  profile: Profile,
): Result<{ readonly warnings: readonly string[] }> {
  const objections = [unsupported, simulatorTrust, resettablePcr, unmeasuredBoot].flatMap((rule) =>
    rule(deployment, profile),
  );
  const refused = objections.find(({ tolerated }) => !tolerated);
  if (refused !== undefined) return reject(refused.reason, refused.detail);
  return accept({ warnings: objections.map(({ detail }) => detail) });
}

function unsupported({ measurement, attesters }: Deployment): readonly Objection[] {
  const { source } = measurement;
  if (source === 'tpm' || attesters.trust.every((kind) => kind === 'cvm-report' || kind === 'simulator')) return [];
  const detail =
    `measurement.source ${source} is set by the host, and heeded only by a guest that is known: ` +
    'trust cvm-report alone, and list launch measurements in attesters.allow.cvm';
  return [{ reason: 'deployment.unsupported', detail, tolerated: false }];
}

function simulatorTrust({ attesters }: Deployment, profile: Profile): readonly Objection[] {
  if (profile === 'development' || !attesters.trust.includes('simulator')) return [];
  const detail =
    'attesters.trust names simulator, whose keys prove nothing; in the production profile use pinned, or try the deployment in a development broker';
  return [{ reason: 'deployment.simulator_trust', detail, tolerated: false }];
}

function resettablePcr({ measurement }: Deployment, profile: Profile): readonly Objection[] {
  const { source, pcr, allowResettable } = measurement;
  if (source !== 'tpm' || !RESETTABLE_PCRS.includes(pcr)) return [];
  const detail = `measurement.pcr ${String(pcr)} can be reset and extended anew by anything in the guest, at any time; choose another PCR, or say measurement.allowResettable: true`;
  return [{ reason: 'deployment.resettable_pcr', detail, tolerated: allowResettable || profile === 'development' }];
}

function unmeasuredBoot(deployment: Deployment, profile: Profile): readonly Objection[] {
  if (bootChain(deployment) === 'pinned') return [];
  const detail =
    'no boot chain is pinned, so any code in the guest can measure the policy without enforcing it; ' +
    'give platform.pcrs reference values for PCRs 4 and 7, or 4, 11 and 12, or say platform.unmeasuredBoot: true' +
    (deployment.measurement.source === 'tdx.mrconfigid'
      ? '; MRTD covers the firmware alone: the release policy must demand tdx.rtmrs.1 and tdx.rtmrs.2 too'
      : '');
  const tolerated = deployment.platform.unmeasuredBoot || profile === 'development';
  return [{ reason: 'deployment.unmeasured_boot', detail, tolerated }];
}
