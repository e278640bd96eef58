/*
 * src/policy may assume that every claim and every PCR value it is given has been verified, and by whom. It never sees
 * evidence, so that no policy can decide on anything unverified. Documents it assumes nothing about.
 */
import { type AttestationResult, claimAt, claimTree, mergeClaims, OWN_AUTHORITY } from '../claims/claims.js';
import type { HashName } from '../crypto/digest.js';
import { accept, type ReasonCode, type Rejection, reject } from '../reason/reason.js';
import type { Decision, EvaluatedCondition, EvaluatedNode } from './decision.js';
import type { AcceptedPolicy, Deployment } from './deployment.js';
import { evaluatePolicyField, evaluatePolicyPcr, pcrValue, type VerifiedPcrs } from './policy-pcr.js';
import { evaluateReleasePolicy } from './release-decision.js';
import { comparisonsOf, sameAuthority } from './release-policy.js';

export interface PolicyInput {
  readonly deployment: Deployment;
  /** What the deployment accepts, from its document and registered beside it. */
  readonly accepted: readonly AcceptedPolicy[];
  readonly pcrs: VerifiedPcrs;
  /** Verified claims; those of Portcullis's own verifiers first. `policy.sha256` and `deployment` are added here. */
  readonly results: readonly AttestationResult[];
  readonly nowMs: number;
}

export interface PolicyMatch {
  /** The runtime policy that was measured. */
  readonly policySha256: string;
  readonly decision: Decision;
}

/** A refusal with the whole decision; `policySha256` where the measured policy is known all the same. */
export type PolicyRefusal = Rejection & { readonly decision: Decision; readonly policySha256?: string };

/**
 * Verified claims to a decision. All conditions are always evaluated and stand in the decision: the policy PCR (or the field of a hardware report), the dates
 * of the policy that it names, the reference PCRs, the release policy. The reason of a refusal is the first that is not
 * met: policy.hash, policy.validity, policy.pcr, policy.claims. Nothing is verified here: the caller vouches for `pcrs` and `results`.
 */
export function evaluatePolicy(input: PolicyInput): { readonly ok: true; readonly value: PolicyMatch } | PolicyRefusal {
  const { deployment, accepted, pcrs, nowMs } = input;
  const { measurement } = deployment;
  const { source, bank } = measurement;
  const measured =
    source === 'tpm'
      ? evaluatePolicyPcr(measurement, accepted, pcrs, nowMs)
      : evaluatePolicyField(measurement, source, accepted, ownClaim(input, source), nowMs);
  const { policySha256 } = measured;
  const references = Object.entries(deployment.platform.pcrs).map(([pcr, values]) =>
    evaluateReference(`tpm.pcrs.${bank}.${pcr}`, values, pcrValue(pcrs, bank, pcr)),
  );
  const release =
    deployment.release === undefined ? [] : [evaluateReleasePolicy(deployment.release, withOwn(input, policySha256))];
  const conditions: readonly EvaluatedNode[] = [measured.hash, measured.validity, ...references, ...release];
  const decision: Decision = { met: conditions.every(({ met }) => met), conditions };
  const refused = firstRefusal(measured.hash, measured.validity, references, release);
  if (refused === undefined && policySha256 !== undefined) return accept({ policySha256, decision });
  return {
    ...(refused ?? reject('policy.hash', 'no registered policy was measured')),
    decision,
    ...(policySha256 === undefined ? {} : { policySha256 }),
  };
}

function firstRefusal(
  hash: EvaluatedCondition,
  validity: EvaluatedCondition,
  references: readonly EvaluatedCondition[],
  release: readonly EvaluatedNode[],
): Rejection | undefined {
  if (!hash.met) return refusal('policy.hash', 'what was measured is no registered policy', hash);
  if (!validity.met) return refusal('policy.validity', 'the measured policy is not valid now', validity);
  const reference = references.find(({ met }) => !met);
  if (reference !== undefined) return refusal('policy.pcr', 'a reference PCR has another value', reference);
  const group = release.find(({ met }) => !met);
  if (group === undefined) return undefined;
  const condition = firstUnmet(group);
  if (condition === undefined) return reject('policy.claims', 'the release policy is not met');
  return refusal('policy.claims', 'the release policy is not met, first at', condition);
}

/** Names the claim and what was found, never what was expected: the detail is sent even where expected values are hidden. */
function refusal(reason: ReasonCode, what: string, { claim, found, note }: EvaluatedCondition): Rejection {
  const value = found === null || found === undefined ? 'absent' : String(found);
  return reject(reason, `${what}: ${claim} is ${value}${note === undefined ? '' : ` (${note})`}`);
}

/** The first comparison that is not met below a node that is not met. */
function firstUnmet(node: EvaluatedNode): EvaluatedCondition | undefined {
  if (node.met) return undefined;
  if ('claim' in node) return node;
  return [...(node.anyOf ?? []), ...(node.allOf ?? [])].map(firstUnmet).find((found) => found !== undefined);
}

function evaluateReference(claim: string, expected: readonly string[], found: string | undefined): EvaluatedCondition {
  const met = found !== undefined && expected.includes(found);
  return { claim, operator: 'in', expected, found: found ?? null, met };
}

/** A claim of our own verifiers; undefined where it is no text. */
function ownClaim({ results }: PolicyInput, name: string): string | undefined {
  const own = results.filter(({ authority }) => authority === OWN_AUTHORITY).map(({ claims }) => claimAt(claims, name));
  return own.find((value) => typeof value === 'string');
}

/** The results, with the claims that are known only here put into the one result of our own authority; no other spelling passes for it. */
function withOwn(input: PolicyInput, policySha256: string | undefined): readonly AttestationResult[] {
  const own = input.results.filter(({ authority }) => authority === OWN_AUTHORITY).map(({ claims }) => claims);
  const policy = claimTree({ sha256: policySha256 });
  const here = claimTree({ deployment: input.deployment.name, policy });
  const others = input.results.filter(({ authority }) => !sameAuthority(authority, OWN_AUTHORITY));
  return [{ authority: OWN_AUTHORITY, claims: mergeClaims(...own, here) }, ...others];
}

const PCR_CLAIM = /^tpm\.pcrs\.(sha256|sha384|sha512)\.([0-9]|1[0-9]|2[0-3])$/;

/**
 * The PCRs that a quote must cover, ascending by bank: the policy PCR, the reference PCRs, and those that conditions of
 * the release policy name under our own authority, in whatever bank they name them.
 */
export function neededPcrs(deployment: Deployment): NeededPcrs {
  let needed = known.get(deployment);
  if (needed === undefined) known.set(deployment, (needed = findNeededPcrs(deployment)));
  return needed;
}

export type NeededPcrs = Readonly<Partial<Record<HashName, readonly number[]>>>;

/** Of deployments, which never change: asked for at each challenge and each release. */
const known = new WeakMap<Deployment, NeededPcrs>();

function findNeededPcrs(deployment: Deployment): NeededPcrs {
  const { measurement, platform, release } = deployment;
  const references = Object.keys(platform.pcrs).map(Number);
  const policy = measurement.source === 'tpm' ? [measurement.pcr] : [];
  const needed: Partial<Record<HashName, number[]>> = {};
  if (policy.length + references.length > 0) needed[measurement.bank] = [...policy, ...references];
  for (const { authority, group } of release?.authorities ?? []) {
    if (!sameAuthority(authority, OWN_AUTHORITY)) continue;
    for (const { claim } of comparisonsOf(group)) {
      const [, bank, pcr] = PCR_CLAIM.exec(claim) ?? [];
      if (bank !== undefined) (needed[bank as HashName] ??= []).push(Number(pcr));
    }
  }
  return Object.fromEntries(Object.entries(needed).map(([bank, list]) => [bank, ascending(list)]));
}

function ascending(pcrs: readonly number[]): readonly number[] {
  return [...new Set(pcrs)].sort((a, b) => a - b);
}
