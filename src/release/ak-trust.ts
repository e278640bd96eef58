import type { X509Certificate } from 'node:crypto';
import { verifySimulatorCertificate } from '../endorsement/simulator.js';
import type { AkIdentity, AkTrust } from '../evidence/tpm/ak.js';
import type { Deployment } from '../policy/deployment.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { DecidingFacts } from './entitlement.js';

/** What vouches for AKs beside the facts of the store, and when: ms since the Unix epoch. */
export interface TrustAnchors {
  /** Development profile only. */
  readonly simulatorCa: X509Certificate | undefined;
  readonly nowMs: number;
}

/**
 * What makes an AK believable to a deployment: pinned by an administrator (SPKI and Name both match), or, in the
 * development profile, certified by the simulator CA. ak.revoked comes first and goes by SPKI, so that changing free
 * attributes, and with them the Name, does not dodge it. Otherwise ak.untrusted.
 */
export function akTrust(
  { simulatorCa, nowMs }: TrustAnchors,
  facts: DecidingFacts,
  deployment: Deployment,
  certificates: readonly Buffer[],
): (ak: AkIdentity) => Result<AkTrust> {
  return (ak) => {
    if (facts.akRevoked) return reject('ak.revoked', 'this AK has been revoked');
    const { trust } = deployment.attesters;
    const pin = facts.attester;
    if (trust.includes('pinned') && pin?.deployments.includes(deployment.name) === true && pin.akName === ak.name) {
      return accept('pinned');
    }
    if (trust.includes('simulator') && simulatorCa !== undefined) {
      return verifySimulatorCertificate(certificates[0], ak.spki, simulatorCa, nowMs);
    }
    return reject(
      'ak.untrusted',
      `nothing that the deployment trusts vouches for the AK with Name ${ak.name}; an administrator can pin it with: portcullis attester trust`,
    );
  };
}
