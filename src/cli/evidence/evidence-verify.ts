import { equalBytes } from '../../bytes/equal.js';
import { claimTree, type ClaimTree, mergeClaims, OWN_AUTHORITY } from '../../claims/claims.js';
import type { HardwareTrust } from '../../endorsement/collateral.js';
import { appraiseHardware, hasCvm, SAFE_HARDWARE_RULES } from '../../evidence/appraise.js';
import type { Evidence } from '../../evidence/evidence.js';
import type { VerifiedQuote } from '../../evidence/tpm/quote.js';
import { admitDeployment } from '../../policy/admit.js';
import type { Decision } from '../../policy/decision.js';
import { evaluatePolicy } from '../../policy/evaluate.js';
import { evaluateReleasePolicy } from '../../policy/release-decision.js';
import { accept, type ReasonCode, reject, type Rejection } from '../../reason/reason.js';
import { rulesOf } from '../../release/hardware.js';
import { checkMachine, isKnownCvm, type OfflineVouching, verifyTpm } from './machine-trust.js';
import type { EvidencePolicy } from './policy-file.js';
import { checkTies } from './ties.js';

/** What is demanded beside safe defaults; what is undefined is not checked. */
export interface EvidenceConditions {
  /** What extraData of the quote must be; empty: it must be empty. */
  readonly extraData: Buffer | undefined;
  /** What the devices must have answered. */
  readonly gpuNonce: Buffer | undefined;
  /** The report data of the confidential VM, all 64 bytes. */
  readonly reportData: Buffer | undefined;
  readonly policy: EvidencePolicy | undefined;
}

export const NO_CONDITIONS: EvidenceConditions = {
  extraData: undefined,
  gpuNonce: undefined,
  reportData: undefined,
  policy: undefined,
};

/** The claims, or the first thing that is wrong; with the decision where that is a policy's. */
export type Verdict = { readonly ok: true; readonly value: ClaimTree } | (Rejection & { readonly decision?: Decision });

/**
 * Verifies evidence offline, all kinds together: hardware reports first, since they may name the AK; then the quote; that all of
 * it is of one machine and one challenge; then the policy. What a condition is about must be there. NOT verified: freshness, beyond the
 * conditions; what only a broker knows (pins, enrolments, revocations), so that only by a deployment a certificate, or the report of a
 * confidential VM that it has a rule for, vouches for an AK: no claim tpm.ak.trust without it. A
 * release policy alone is judged by hcl.* too, and has to say itself which paravisor it believes. A deployment that also trusts what only a broker knows is not refused for want of it. With a deployment all is as the broker demands it, so that what is accepted here would be there; first,
 * that brokers take the deployment, in the development profile at least. Refuses with the codes of each kind, deployment.*,
 * evidence.malformed, evidence.unbound, token.untrusted, ak.untrusted, ak.pending, policy.*.
 */
export function verifyEvidenceOffline(
  evidence: Evidence,
  trust: HardwareTrust,
  conditions: EvidenceConditions,
): Verdict {
  const { policy, reportData, gpuNonce } = conditions;
  const deployment = policy?.kind === 'deployment' ? policy.deployment : undefined;
  const admitted = deployment === undefined ? undefined : admitDeployment(deployment, 'development');
  if (admitted?.ok === false) return { ...admitted, detail: `no broker takes the deployment: ${admitted.detail}` };
  const absent = conditionOnNothing(evidence, conditions);
  if (absent !== undefined) return absent;
  const rules = deployment === undefined ? SAFE_HARDWARE_RULES : rulesOf(deployment);
  const hardware = appraiseHardware(evidence, trust, rules, { reportData, gpuNonce });
  if (!hardware.ok) return hardware;
  const { cvm } = hardware.value;
  // The appraisal holds runtime data against it where there is an HCL report, and nothing else: a condition is one there too.
  if (reportData !== undefined && cvm !== undefined && !equalBytes(cvm.reportData, reportData)) {
    return reject('evidence.unbound', 'the report data of the hardware report in the HCL report is another one');
  }
  const demanded = deployment === undefined ? undefined : checkMachine(evidence, cvm, deployment);
  if (demanded?.ok === false) return demanded;
  const quote =
    evidence.tpm === undefined ? undefined : verifyTpm(evidence.tpm, cvm, deployment, trust, conditions.extraData);
  if (quote?.ok === false) return quote;
  const tied = checkTies(evidence, cvm, quote?.value, conditions);
  if (!tied.ok) return tied;
  if (evidence.tokens.length > 0) {
    return reject(
      'token.untrusted',
      'no authority is configured offline, so no attestation token is believed: leave tokens out',
    );
  }
  const isKnown = deployment === undefined || isKnownCvm(cvm, deployment);
  // Runtime data that a known paravisor did not check says what its sender likes: the broker claims nothing by it.
  const ofHardware = isKnown ? hardware.value.claims : claimTree({ ...hardware.value.claims, hcl: undefined });
  const claims = mergeClaims(ofHardware, quote === undefined ? claimTree({}) : claimsOf(quote.value));
  return decide(claims, quote?.value, policy, trust.atMs);
}

/** Evidence that a condition is about and that was not sent does not meet it. */
function conditionOnNothing(evidence: Evidence, conditions: EvidenceConditions): Rejection | undefined {
  const { tpm, gpus } = evidence;
  const absences: readonly (readonly [unknown, boolean, ReasonCode, string])[] = [
    [conditions.extraData, tpm !== undefined, 'quote.binding', 'there is no TPM quote whose extraData could be it'],
    [conditions.gpuNonce, gpus.length > 0, 'gpu.nonce', 'there is no device that could have answered the nonce'],
    [
      conditions.reportData,
      hasCvm(evidence),
      'evidence.unbound',
      'there is no report of a confidential VM whose report data could be it',
    ],
  ];
  const found = absences.find(([condition, isThere]) => condition !== undefined && !isThere);
  return found === undefined ? undefined : reject(found[2], found[3]);
}

/** Where nothing vouched for the AK, that is no claim. */
function claimsOf({ claims, trust }: VerifiedQuote<OfflineVouching>): ClaimTree {
  const { tpm } = claims;
  if (trust.vouched || typeof tpm !== 'object' || typeof tpm['ak'] !== 'object') return claims;
  return claimTree({ ...claims, tpm: claimTree({ ...tpm, ak: claimTree({ ...tpm['ak'], trust: undefined }) }) });
}

function decide(
  claims: ClaimTree,
  quote: VerifiedQuote | undefined,
  policy: EvidencePolicy | undefined,
  nowMs: number,
): Verdict {
  const results = [{ authority: OWN_AUTHORITY, claims }];
  if (policy === undefined) return accept(claims);
  if (policy.kind === 'release') {
    const group = evaluateReleasePolicy(policy.policy, results);
    if (group.met) return accept(claims);
    return {
      ...reject('policy.claims', 'the release policy is not met by the verified claims'),
      decision: { met: false, conditions: [group] },
    };
  }
  const { deployment, accepted } = policy;
  const decided = evaluatePolicy({ deployment, accepted, pcrs: quote?.pcrs ?? {}, results, nowMs });
  if (!decided.ok) return decided;
  const named = claimTree({ deployment: deployment.name, policy: claimTree({ sha256: decided.value.policySha256 }) });
  return accept(mergeClaims(claims, named));
}
