import { equalBytes } from '../../bytes/equal.js';
import { AnchorSets } from '../../endorsement/anchor-sets.js';
import type { HardwareTrust } from '../../endorsement/collateral.js';
import { NO_REVOCATION_LISTS } from '../../endorsement/known-paths.js';
import { namesAk, type VerifiedCvm } from '../../evidence/appraise.js';
import type { Evidence } from '../../evidence/evidence.js';
import type { AkVouching } from '../../evidence/tpm/ak.js';
import type { TpmEvidence } from '../../evidence/tpm/evidence.js';
import { verifyQuote, type VerifiedQuote } from '../../evidence/tpm/quote.js';
import { pinsPcrs } from '../../policy/boot-chain.js';
import type { Deployment, TrustKind } from '../../policy/deployment.js';
import { neededPcrs } from '../../policy/evaluate.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { akTrust, cvmTrust, type TrustFacts } from '../../release/ak-trust.js';
import type { CvmVouching } from '../../release/vouchers.js';

/** What only a store knows. */
const NO_FACTS: TrustFacts = { attester: undefined, akRevoked: false, revoked: [] };
/** The second half of the report data where there is no TPM. */
const NO_AK = Buffer.alloc(32);
/** Kinds of trust that hang on what an administrator did, or on a broker for development. */
const IN_THE_STORE: readonly TrustKind[] = ['pinned', 'ek-certificate', 'simulator'];

/**
 * What the rules of a deployment ask of the machine beside its quote, as `attest` of a broker does: no HCL report whose machine
 * nothing but its paravisor is known of; without a quote a report that is enough alone, fresh and of no AK; and where the processor
 * measures the policy, a rule that is for its report. Refusals: evidence.malformed, evidence.unbound, ak.untrusted.
 */
export function checkMachine(
  { tpm, hcl }: Evidence,
  cvm: VerifiedCvm | undefined,
  deployment: Deployment,
): Result<undefined> {
  const { source } = deployment.measurement;
  if (hcl !== undefined && source !== 'tpm' && !pinsPcrs(deployment) && !deployment.platform.unmeasuredBoot) {
    return reject(
      'evidence.unbound',
      'the launch measurement of a machine with HCL is its paravisor’s, which heeds no policy: platform.pcrs must pin what runs above it',
    );
  }
  if (tpm === undefined) {
    if (source === 'tpm' || Object.keys(neededPcrs(deployment)).length > 0) {
      return reject('evidence.malformed', 'evidence.tpm is missing: the deployment needs PCRs of the TPM');
    }
    if (hcl !== undefined) {
      return reject('evidence.unbound', 'an HCL report is as old as the machine: only a TPM quote by its AK is fresh');
    }
    if (cvm !== undefined && !equalBytes(cvm.reportData.subarray(32), NO_AK)) {
      return reject('evidence.unbound', 'the report data names an AK, and evidence.tpm is missing');
    }
  }
  if (source === 'tpm') return accept(undefined);
  const trusted = cvmTrust(cvm === undefined ? {} : { cvm: vouchingOf(cvm, undefined) }, NO_FACTS, deployment);
  return trusted.ok ? accept(undefined) : trusted;
}

/** Whether a rule of the deployment is for the report. */
export function isKnownCvm(cvm: VerifiedCvm | undefined, deployment: Deployment): boolean {
  return cvm !== undefined && cvmTrust({ cvm: vouchingOf(cvm, undefined) }, NO_FACTS, deployment).ok;
}

/** Why an AK is believed, and whether anything offline is the reason. */
export type OfflineVouching = AkVouching & { readonly vouched: boolean };

/** The quote under the AK that the report names, where there is a report. Without a deployment nothing vouches for that AK. */
export function verifyTpm(
  tpm: TpmEvidence,
  cvm: VerifiedCvm | undefined,
  deployment: Deployment | undefined,
  trust: HardwareTrust,
  extraData: Buffer | undefined,
): Result<VerifiedQuote<OfflineVouching>> {
  return verifyQuote<OfflineVouching>(tpm, {
    extraData,
    neededPcrs: deployment === undefined ? {} : neededPcrs(deployment),
    trust: (ak) => {
      const named = checkNamed(cvm, ak.spki);
      if (!named.ok) return named;
      // Anybody with such a processor can have it sign a key of his own: whose report vouches for an AK, only a deployment says.
      if (deployment === undefined) return accept({ kind: 'cvm-report' as const, vouched: false });
      const vouchers = {
        simulatorCa: undefined,
        nowMs: trust.atMs,
        anchors: new AnchorSets(1),
        paths: trust.paths,
        revocationLists: NO_REVOCATION_LISTS,
        ...(cvm === undefined ? {} : { cvm: vouchingOf(cvm, ak.spki) }),
      };
      const believed = akTrust(vouchers, NO_FACTS, deployment, tpm.akCertificates)(ak);
      if (believed.ok) return accept({ ...believed.value, vouched: true });
      const isOpen = deployment.attesters.trust.some((kind) => IN_THE_STORE.includes(kind));
      return isOpen ? accept({ kind: 'pinned' as const, vouched: false }) : believed;
    },
  });
}

function checkNamed(cvm: VerifiedCvm | undefined, akSpki: Buffer): Result<undefined> {
  if (cvm === undefined || namesAk(cvm, akSpki)) return accept(undefined);
  return cvm.hasRuntimeData
    ? reject('hcl.ak_mismatch', 'the AK of the quote is not the one in the runtime data of the HCL report')
    : reject('evidence.unbound', 'the second half of the report data is not the SHA-256 of the AK');
}

function vouchingOf(
  { measurement, idKeyDigest, vmpl, identities, hasRuntimeData }: VerifiedCvm,
  akSpki: Buffer | undefined,
): CvmVouching {
  return {
    akSpki,
    isParavisorAk: hasRuntimeData,
    measurement,
    ...(idKeyDigest === undefined ? {} : { idKeyDigest }),
    vmpl,
    identities,
  };
}
