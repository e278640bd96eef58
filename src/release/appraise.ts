import { canonicalJson, type Json } from '../bytes/canonical-json.js';
import { releaseBinding } from '../challenge/binding.js';
import { checkNonce, type FreshNonce, type NonceKey } from '../challenge/nonce.js';
import { type ClaimTree, OWN_AUTHORITY } from '../claims/claims.js';
import { sha256Hex } from '../crypto/digest.js';
import type { TpmEvidence } from '../evidence/tpm/evidence.js';
import type { TrustedAks } from '../evidence/tpm/trusted-aks.js';
import { verifyQuote } from '../evidence/tpm/quote.js';
import type { Recipient } from '../keys/recipient.js';
import { saltedDecision } from './salted-decision.js';
import { bootChain } from '../policy/boot-chain.js';
import type { Decision } from '../policy/decision.js';
import { evaluatePolicy, neededPcrs } from '../policy/evaluate.js';
import { accept, type Result } from '../reason/reason.js';
import { akTrust, type AkTrusted } from './ak-trust.js';
import type { Denial, ReleaseRequest } from './broker.js';
import { type DecidingFacts, entitle, type Entitlement, usable, type VersionState } from './entitlement.js';
import { refuseUnbound } from './presented-evidence.js';
import type { PolicyLink, Profile, TpmClock } from './records.js';
import type { Vouchers } from './vouchers.js';

/** A request as it was received, and what its bytes decode to. */
export interface Presented {
  readonly request: ReleaseRequest;
  readonly recipient: Recipient;
  readonly evidence: Result<TpmEvidence>;
}

/** What an appraisal depends on beside the request and the facts of the store. */
export interface Circumstances extends Vouchers {
  readonly broker: string;
  readonly profile: Profile;
  readonly challengeTtlMs: number;
  readonly nonceKey: (epoch: number) => NonceKey;
  /** Random, hex: stands with the decision, so that its hash in the public log confirms no guess of what it holds. */
  readonly salt: string;
  /** AKs that were trusted before; those trusted now are put in. */
  readonly aks: TrustedAks;
}

/** What may be released, to whom, and why. */
export interface Appraisal<V extends VersionState> {
  readonly entitlement: Entitlement<V>;
  readonly nonce: FreshNonce;
  readonly trust: AkTrusted;
  /** Of the quote. */
  readonly clock: TpmClock;
  readonly claims: ClaimTree;
  readonly decision: Decision;
  /** The text of `decision` that its hash is of. */
  readonly detail: string;
  /** The members of the log entry that follow from the appraisal. */
  readonly entry: Readonly<Record<string, string | undefined>>;
}

/**
 * Whether a request is granted, by the facts and the circumstances alone: the same arguments give the same answer, when a
 * release is asked for and when it is replayed. The order of the checks is the contract's. NOT checked: that the nonce
 * was not spent before; the transaction that records the release does.
 */
export function appraise<V extends VersionState>(
  { request, recipient, evidence }: Presented,
  facts: DecidingFacts<V>,
  circumstances: Circumstances,
): { readonly ok: true; readonly value: Appraisal<V> } | Denial {
  const { broker, nowMs, aks } = circumstances;
  const { deployment, key, version = 'latest', nonce } = request;

  const fresh = freshNonce(request, facts, circumstances);
  if (!fresh.ok) return fresh;

  const entitled = entitle(facts, request);
  if (!entitled.ok) return entitled;
  const rules = entitled.value.deployment;

  if (!evidence.ok) return evidence;
  const quote = verifyQuote(evidence.value, {
    extraData: releaseBinding({ broker, deployment, key, version, nonce, recipient: recipient.thumbprint }),
    neededPcrs: neededPcrs(rules),
    trust: akTrust(circumstances, facts, rules, evidence.value.akCertificates),
    known: aks,
  });
  if (!quote.ok) return quote;
  const byCertificate = quote.value.trust.kind === 'ak-certificate';
  const untied = byCertificate ? [] : evidence.value.akCertificates;
  const bound = refuseUnbound(request.evidence, untied, quote.value.ak.spki);
  if (!bound.ok) return bound;

  const { ak, pcrs, claims, trust } = quote.value;
  const results = [{ authority: OWN_AUTHORITY, claims }];
  const policy = evaluatePolicy({ deployment: rules, accepted: facts.policies, pcrs, results, nowMs });
  if (!policy.ok) return policy;
  const free = usable(facts, entitled.value);
  if (!free.ok) return free;

  const { decision, policySha256 } = policy.value;
  const detail = saltedDecision(decision, circumstances.salt);
  const entry = {
    profile: circumstances.profile,
    broker,
    deployment,
    key,
    version: entitled.value.version.version,
    policy_sha256: policySha256,
    policy_sha384: rules.measurement.bank === 'sha384' ? sha384Of(facts.policies, policySha256) : undefined,
    recipient: recipient.thumbprint,
    ak_name: ak.name,
    ak_spki_sha256: ak.spkiSha256,
    ak_trust: trust.kind,
    ak_allowed_by: trust.allowedBy,
    ek_spki_sha256: trust.ekSpkiSha256,
    boot: bootChain(rules),
    evidence_sha256: sha256Hex(canonicalJson(request.evidence as unknown as Json)),
    nonce_sha256: sha256Hex(fresh.value.bytes),
    decision_sha256: sha256Hex(detail),
  };
  const { clockInfo, firmwareVersion } = quote.value.quote;
  const clock = { ...clockInfo, firmwareVersion };
  return accept({ entitlement: entitled.value, nonce: fresh.value, trust, clock, claims, decision, detail, entry });
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
