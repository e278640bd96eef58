import { canonicalJson, type Json } from '../bytes/canonical-json.js';
import { releaseBinding } from '../challenge/binding.js';
import { checkNonce, type FreshNonce } from '../challenge/nonce.js';
import { claimTree, type ClaimTree, mergeClaims, OWN_AUTHORITY } from '../claims/claims.js';
import { sha256Hex } from '../crypto/digest.js';
import { saltedDecision } from './salted-decision.js';
import { bootChain } from '../policy/boot-chain.js';
import type { Decision } from '../policy/decision.js';
import { evaluatePolicy } from '../policy/evaluate.js';
import { accept, type Result } from '../reason/reason.js';
import { type AkTrusted, cvmTrust } from './ak-trust.js';
import { attest } from './attest.js';
import type { Denial, ReleaseRequest } from './broker.js';
import type { Circumstances, Presented } from './circumstances.js';
import { type DecidingFacts, entitle, type Entitlement, usable, type VersionState } from './entitlement.js';
import { type BesidesQuote, isUnverified } from './hardware.js';
import type { PolicyLink, TpmClock } from './records.js';

/** What may be released, to whom, and why. */
export interface Appraisal<V extends VersionState> {
  readonly entitlement: Entitlement<V>;
  readonly nonce: FreshNonce;
  readonly trust: AkTrusted;
  /** Of the quote; undefined where the machine has no TPM. */
  readonly clock: TpmClock | undefined;
  readonly claims: ClaimTree;
  readonly decision: Decision;
  /** The text of `decision` that its hash is of. */
  readonly detail: string;
  /** The members of the log entry that follow from the appraisal. */
  readonly entry: Readonly<Record<string, string | number | undefined>>;
}

/**
 * Whether a request is granted, by the facts and the circumstances alone: the same arguments give the same answer, when a
 * release is asked for and when it is replayed. The order of the checks is the contract's. NOT checked: that the nonce
 * was not spent before; the transaction that records the release does.
 */
export function appraise<V extends VersionState>(
  { request, recipient, evidence, besides }: Presented,
  facts: DecidingFacts<V>,
  circumstances: Circumstances,
): { readonly ok: true; readonly value: Appraisal<V> } | Denial {
  const { broker, nowMs } = circumstances;
  const { deployment, key, version = 'latest', nonce } = request;

  const fresh = freshNonce(request, facts, circumstances);
  if (!fresh.ok) return fresh;

  const entitled = entitle(facts, request);
  if (!entitled.ok) return entitled;
  const rules = entitled.value.deployment;

  if (!evidence.ok) return evidence;
  const extraData =
    besides?.extraData ?? releaseBinding({ broker, deployment, key, version, nonce, recipient: recipient.thumbprint });
  const attested = attest({ evidence: evidence.value, besides, extraData }, rules, facts, circumstances);
  if (!attested.ok) return attested;

  if (isUnverified(evidence.value, besides, rules)) throw new Error('evidence was not verified before its appraisal');
  const { ak, pcrs, trust, clock } = attested.value;
  const claims = mergeClaims(
    attested.value.claims,
    ...hardwareClaims(besides, cvmTrust(circumstances, facts, rules).ok),
  );
  const results = [{ authority: OWN_AUTHORITY, claims }, ...tokenResults(besides)];
  const policy = evaluatePolicy({ deployment: rules, accepted: facts.policies, pcrs, results, nowMs });
  if (!policy.ok) return policy;
  const free = usable(facts, entitled.value);
  if (!free.ok) return free;

  const { decision, policySha256 } = policy.value;
  const detail = saltedDecision(decision, circumstances.salt);
  const cvm = besides?.cvm?.ok === true ? besides.cvm.value.cvm : undefined;
  const gpus = besides?.devices?.ok === true ? evidence.value.gpus.length : 0;
  // No spread among so many members: it would make an object that is slow to read.
  const entry = {
    profile: circumstances.profile,
    broker,
    deployment,
    key,
    version: entitled.value.version.version,
    policy_sha256: policySha256,
    policy_sha384: rules.measurement.bank === 'sha384' ? sha384Of(facts.policies, policySha256) : undefined,
    recipient: recipient.thumbprint,
    ak_name: ak?.name ?? 'none',
    ak_spki_sha256: ak?.spkiSha256,
    ak_trust: trust.kind,
    ak_allowed_by: trust.allowedBy,
    ek_spki_sha256: trust.ekSpkiSha256,
    cvm: cvm?.kind,
    cvm_measurement: cvm?.measurement,
    gpus: gpus > 0 ? gpus : undefined,
    boot: bootChain(rules),
    evidence_sha256: sha256Hex(canonicalJson(request.evidence as unknown as Json)),
    nonce_sha256: sha256Hex(fresh.value.bytes),
    decision_sha256: sha256Hex(detail),
  };
  return accept({ entitlement: entitled.value, nonce: fresh.value, trust, clock, claims, decision, detail, entry });
}

/**
 * What the runtime data of an HCL report says, only a paravisor that is known has checked (`isKnown`: a rule is for it): anybody can
 * have a processor sign the hash of his own.
 */
function hardwareClaims(besides: BesidesQuote | undefined, isKnown: boolean): readonly ClaimTree[] {
  const { cvm, devices } = besides ?? {};
  return [
    ...(cvm?.ok === true ? [isKnown ? cvm.value.claims : claimTree({ ...cvm.value.claims, hcl: undefined })] : []),
    ...(devices?.ok === true ? [claimTree({ gpu: devices.value.claims })] : []),
  ];
}

function tokenResults(besides: BesidesQuote | undefined) {
  return besides?.tokens?.ok === true ? besides.tokens.value.results : [];
}

/** That the nonce of a request is ours, for what it asks for, and fresh: challenge.invalid, challenge.expired. */
export function freshNonce(
  { deployment, key, version = 'latest', nonce }: ReleaseRequest,
  { state }: DecidingFacts,
  { broker, nowMs, challengeTtlMs, nonceKey }: Circumstances,
): Result<FreshNonce> {
  const times = { nowMs, ttlMs: challengeTtlMs, floorMs: state.nonceFloorMs };
  return checkNonce(nonceKey(state.epoch), { broker, deployment, key, version }, nonce, times);
}

/** What was measured, where that was not the SHA-256. */
function sha384Of(policies: readonly PolicyLink[], sha256Hex: string): string | undefined {
  return policies.find((link) => link.sha256 === sha256Hex)?.sha384;
}
