import { AnchorSets } from '../../endorsement/anchor-sets.js';
import type { HardwareTrust } from '../../endorsement/collateral.js';
import { NO_REVOCATION_LISTS } from '../../endorsement/known-paths.js';
import { namesAk, type VerifiedCvm } from '../../evidence/appraise.js';
import type { AkVouching } from '../../evidence/tpm/ak.js';
import type { TpmEvidence } from '../../evidence/tpm/evidence.js';
import { verifyQuote, type VerifiedQuote } from '../../evidence/tpm/quote.js';
import type { Deployment, TrustKind } from '../../policy/deployment.js';
import { neededPcrs } from '../../policy/evaluate.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { akTrust, cvmTrust, type TrustFacts } from '../../release/ak-trust.js';
import type { CvmVouching } from '../../release/vouchers.js';

/** What only a store knows. */
const NO_FACTS: TrustFacts = { attester: undefined, akRevoked: false, revoked: [] };
/** Kinds of trust that hang on what an administrator did, or on a broker for development. */
const IN_THE_STORE: readonly TrustKind[] = ['pinned', 'ek-certificate', 'simulator'];

/** `attesters.allow.cvm`, wherever a deployment goes by reports; a report is needed where it goes by nothing else. */
export function checkAllowed(cvm: VerifiedCvm | undefined, deployment: Deployment | undefined): Result<undefined> {
  if (deployment === undefined) return accept(undefined);
  const { trust, allow } = deployment.attesters;
  const goesByReports = trust.includes('cvm-report') || allow.cvm.length > 0;
  const onlyByReports = trust.every((kind) => kind === 'cvm-report');
  if (!goesByReports || (cvm === undefined && !onlyByReports)) return accept(undefined);
  const vouchers = cvm === undefined ? {} : { cvm: vouchingOf(cvm, cvm.runtimeAk) };
  const trusted = cvmTrust(vouchers, NO_FACTS, deployment);
  return trusted.ok ? accept(undefined) : trusted;
}

/** Why an AK is believed, and whether anything offline is the reason. */
export type OfflineVouching = AkVouching & { readonly vouched: boolean };

/** The quote under the AK that the report names, where there is a report. */
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
      if (deployment === undefined) return accept({ kind: 'cvm-report' as const, vouched: cvm !== undefined });
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
  { measurement, idKeyDigest, vmpl, identities }: VerifiedCvm,
  akSpki: Buffer | undefined,
): CvmVouching {
  return { akSpki, measurement, ...(idKeyDigest === undefined ? {} : { idKeyDigest }), vmpl, identities };
}
