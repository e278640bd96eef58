import { canonicalJson, type Json } from '../bytes/canonical-json.js';
import { toHex } from '../bytes/hex.js';
import { releaseBinding } from '../challenge/binding.js';
import { checkNonce } from '../challenge/nonce.js';
import { sha256 } from '../crypto/digest.js';
import { OWN_AUTHORITY } from '../claims/claims.js';
import { parseAk } from '../evidence/tpm/ak.js';
import { verifyQuote } from '../evidence/tpm/quote.js';
import { parseRecipient } from '../keys/recipient.js';
import { bootChain } from '../policy/boot-chain.js';
import { evaluatePolicy, neededPcrs } from '../policy/evaluate.js';
import { accept, reject } from '../reason/reason.js';
import { akTrust } from './ak-trust.js';
import type { Denial, ReleaseOutcome, ReleaseRequest } from './broker.js';
import type { BrokerContext } from './context.js';
import { explain } from './explain.js';
import { entitle, usable } from './entitlement.js';
import { decodeTpmEvidence, refuseUnbound } from './presented-evidence.js';
import type { PolicyLink } from './records.js';
import { StoreUnavailableError } from './store.js';
import { wrapForRecipient } from './wrap.js';

/** How often a release is appraised anew because administration changed something meanwhile, before it gives up. */
const MAX_ATTEMPTS = 8;

/** The path of one release. Denials are recorded and explained; faults of the store are thrown, and nothing has left then. */
export async function release(context: BrokerContext, request: ReleaseRequest): Promise<ReleaseOutcome> {
  const startedAtMs = context.clock();
  const evidence = decodeTpmEvidence(request.evidence);
  const ak = evidence.ok ? parseAk(evidence.value.ak, context.akKeys) : undefined;
  const identity = ak?.ok === true ? { akSpkiSha256: ak.value.spkiSha256, akName: ak.value.name } : undefined;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const outcome = await appraiseAndCommit(context, request, evidence, identity?.akSpkiSha256);
    if (outcome === 'changed') continue;
    if (outcome.ok) {
      context.observer.released(context.clock() - startedAtMs);
      return outcome;
    }
    context.observer.denied(outcome.reason);
    const denial = explain(outcome);
    const { deployment, key, version = 'latest' } = request;
    const { akSpkiSha256, akName } = identity ?? {};
    context.denials.record(denial, { deployment, key, version, akSpkiSha256, akName });
    return explain(outcome, context.explain);
  }
  throw new StoreUnavailableError('administrative changes keep overtaking the release; try again');
}

/** One appraisal under one state generation. The order of the checks is the contract's. */
async function appraiseAndCommit(
  context: BrokerContext,
  request: ReleaseRequest,
  evidence: ReturnType<typeof decodeTpmEvidence>,
  akSpkiSha256: string | undefined,
): Promise<ReleaseOutcome | 'changed'> {
  const { broker, store } = context;
  const { deployment, key, version = 'latest', nonce } = request;

  const recipient = parseRecipient(request.recipient);
  if (!recipient.ok) return recipient;
  if (!evidence.ok && evidence.reason === 'request.malformed') return evidence;

  const facts = await store.releaseFacts({ deployment, key, version, akSpkiSha256 });
  const scope = { broker, deployment, key, version };
  const clock = { nowMs: context.clock(), ttlMs: context.challengeTtlMs, floorMs: facts.state.nonceFloorMs };
  const fresh = checkNonce(context.nonceKey(facts.state.epoch), scope, nonce, clock);
  if (!fresh.ok) return fresh;

  const entitled = entitle(facts, request);
  if (!entitled.ok) return entitled;
  const rules = entitled.value.deployment;

  if (!evidence.ok) return evidence;
  const quote = verifyQuote(evidence.value, {
    extraData: releaseBinding({ ...scope, nonce, recipient: recipient.value.thumbprint }),
    neededPcrs: neededPcrs(rules),
    trust: akTrust(context, facts, rules, evidence.value.akCertificates),
    keys: context.akKeys,
  });
  if (!quote.ok) return quote;
  const bound = refuseUnbound(request.evidence, evidence.value.akCertificates, quote.value.ak.spki);
  if (!bound.ok) return bound;

  const { ak, pcrs, claims, trust } = quote.value;
  const results = [{ authority: OWN_AUTHORITY, claims }];
  const policy = evaluatePolicy({ deployment: rules, accepted: facts.policies, pcrs, results, nowMs: context.clock() });
  if (!policy.ok) return policy;
  const free = usable(facts, entitled.value);
  if (!free.ok) return free;

  const wrapped = await wrapForRecipient(context, entitled.value, recipient.value);
  const releaseId = toHex(context.random(16));
  const detail = JSON.stringify(policy.value.decision);
  const committed = await store.commitRelease({
    generation: facts.state.generation,
    epoch: facts.state.epoch,
    nonce: fresh.value.bytes,
    nonceIssuedAtMs: fresh.value.issuedAtMs,
    entry: {
      release_id: releaseId,
      profile: context.profile,
      broker,
      deployment,
      key,
      version: wrapped.version,
      policy_sha256: policy.value.policySha256,
      policy_sha384:
        rules.measurement.bank === 'sha384' ? sha384Of(facts.policies, policy.value.policySha256) : undefined,
      recipient: recipient.value.thumbprint,
      ak_name: ak.name,
      ak_spki_sha256: ak.spkiSha256,
      ak_trust: trust,
      boot: bootChain(rules),
      evidence_sha256: toHex(sha256(canonicalJson(request.evidence as unknown as Json))),
      jwe_sha256: toHex(sha256(Buffer.from(wrapped.jwe, 'ascii'))),
      nonce_sha256: toHex(sha256(fresh.value.bytes)),
      decision_sha256: toHex(sha256(Buffer.from(detail, 'utf8'))),
    },
    detail,
  });
  switch (committed.outcome) {
    case 'changed':
      return 'changed';
    case 'expired':
      return reject('challenge.expired', 'the nonce is too old; ask for a new challenge');
    case 'replayed':
      return replayed();
    case 'committed':
      return accept({
        release_id: releaseId,
        key: { name: key, version: wrapped.version, kty: entitled.value.key.kty },
        jwe: wrapped.jwe,
      });
  }
}

/** What was measured, where that was not the SHA-256. */
function sha384Of(policies: readonly PolicyLink[], sha256: string): string | undefined {
  return policies.find((link) => link.sha256 === sha256)?.sha384;
}

function replayed(): Denial {
  const spent = { claim: 'challenge.spent', operator: 'equals', expected: false, found: true } as const;
  return reject('challenge.replayed', 'the nonce has been spent by a release; ask for a new challenge', spent);
}
