import { toHex } from '../bytes/hex.js';
import { sha256Hex } from '../crypto/digest.js';
import { presentedAk } from '../evidence/tpm/ak.js';
import { parseRecipient } from '../keys/recipient.js';
import { accept, reject, type Result } from '../reason/reason.js';
import { appraise, type Circumstances, freshNonce } from './appraise.js';
import { sealAppraisal } from './archive.js';
import type { Denial, ReleaseOutcome, ReleaseRequest } from './broker.js';
import type { BrokerContext } from './context.js';
import { explain } from './explain.js';
import { notePending, noteTrusted, type Seen } from './note-sighting.js';
import { decodeTpmEvidence } from './presented-evidence.js';
import { receiptOf } from './receipt.js';
import { DECISION_SALT_BYTES } from './salted-decision.js';
import { type LoggedEntry, type ReleaseFacts, type Store, StoreUnavailableError } from './store.js';
import type { ReleaseView } from './views.js';
import { vouchersOf, vouchingIdentities } from './vouchers.js';
import { wrapForRecipient } from './wrap.js';

/** How often a release is appraised anew because administration changed something meanwhile, before it gives up. */
const MAX_ATTEMPTS = 8;

/** The path of one release. Denials are recorded and explained; faults of the store are thrown, and nothing has left then. */
export function release(context: BrokerContext, request: ReleaseRequest): Promise<ReleaseOutcome> {
  const startedAtMs = context.clock();
  // Not awaited in a function that has the request: the witnesses may take seconds, and its memory is given back by then.
  return record(context, request).then(async (outcome) => {
    if (!outcome.ok) return outcome;
    const { answer, logged } = outcome.value;
    const receipt = await receiptOf(context, logged);
    context.observer.released(context.clock() - startedAtMs);
    return accept({ ...answer, receipt });
  });
}

/** A release that is on disk: the answer but for its receipt, and what that is made from. */
interface Recorded {
  readonly answer: Omit<ReleaseView, 'receipt'>;
  readonly logged: LoggedEntry;
}

async function record(context: BrokerContext, request: ReleaseRequest): Promise<Result<Recorded> | Denial> {
  const evidence = decodeTpmEvidence(request.evidence);
  const ak = evidence.ok ? presentedAk(evidence.value, context.aks) : undefined;
  const seen = evidence.ok && ak?.ok === true ? { ak: ak.value, evidence: evidence.value } : undefined;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const outcome = await appraiseAndCommit(context, request, evidence, seen);
    if (outcome === 'changed') continue;
    if (outcome.ok) return outcome;
    context.observer.denied(outcome.reason);
    const denial = explain(outcome);
    const { deployment, key, version = 'latest' } = request;
    const { spkiSha256: akSpkiSha256, name: akName } = seen?.ak ?? {};
    context.denials.record(denial, { deployment, key, version, akSpkiSha256, akName });
    return explain(outcome, context.explain);
  }
  throw new StoreUnavailableError('administrative changes keep overtaking the release; try again');
}

/** One appraisal under one state generation, then the wrapping and the durable record; nothing leaves before that. */
async function appraiseAndCommit(
  context: BrokerContext,
  request: ReleaseRequest,
  evidence: ReturnType<typeof decodeTpmEvidence>,
  seen: Seen | undefined,
): Promise<Result<Recorded> | Denial | 'changed'> {
  const { store } = context;
  const { key } = request;

  const recipient = parseRecipient(request.recipient);
  if (!recipient.ok) return recipient;
  if (!evidence.ok && evidence.reason === 'request.malformed') return evidence;

  const circumstances = circumstancesOf(context);
  const facts = await factsFor(store, request, seen?.ak.spkiSha256, circumstances, evidence);
  if (facts === 'changed') return facts;
  const appraised = appraise({ request, recipient: recipient.value, evidence }, facts, circumstances);
  if (!appraised.ok) {
    if (appraised.reason === 'ak.pending' && seen !== undefined) {
      notePending(context, seen, { ...request, recipient: recipient.value.thumbprint }, facts, circumstances.nowMs);
    }
    return appraised;
  }
  const { entitlement, nonce, trust, entry, detail } = appraised.value;

  const wrapped = await wrapForRecipient(context, entitlement, recipient.value);
  const releaseId = toHex(context.random(16));
  const sealed = context.archive.on
    ? sealAppraisal(context, releaseId, { request, facts, circumstances, trust: trust.kind })
    : undefined;
  const committed = await store.commitRelease({
    generation: facts.state.generation,
    epoch: facts.state.epoch,
    nonce: nonce.bytes,
    nonceIssuedAtMs: nonce.issuedAtMs,
    entry: { ...entry, release_id: releaseId, jwe_sha256: sha256Hex(wrapped.jwe) },
    detail,
    ...(sealed === undefined ? {} : { archive: { releaseId, sealed } }),
  });
  switch (committed.outcome) {
    case 'changed':
      return 'changed';
    case 'expired':
      return reject('challenge.expired', 'the nonce is too old; ask for a new challenge');
    case 'replayed':
      return replayed();
    case 'committed':
      if (seen !== undefined) noteTrusted(context, seen, appraised.value, circumstances.nowMs);
      return accept({
        answer: {
          release_id: releaseId,
          key: { name: key, version: wrapped.version, kty: entitlement.key.kty },
          jwe: wrapped.jwe,
        },
        logged: committed.logged,
      });
  }
}

/**
 * The facts, with whether anything was revoked that vouches for the AK by its deployment's rules; that needs the rules
 * first, and the paths of certificates, which nobody is owed without a nonce of ours.
 */
async function factsFor(
  store: Store,
  request: ReleaseRequest,
  akSpkiSha256: string | undefined,
  circumstances: Circumstances,
  evidence: ReturnType<typeof decodeTpmEvidence>,
): Promise<ReleaseFacts | 'changed'> {
  const { deployment, key, version = 'latest' } = request;
  const query = { deployment, key, version, akSpkiSha256 };
  const facts = await store.releaseFacts(query);
  const certificates = evidence.ok ? evidence.value.akCertificates : [];
  const vouched =
    certificates.length > 0 || facts.attester?.enrolments !== undefined || circumstances.cvm !== undefined;
  if (!vouched) return facts;
  if (!freshNonce(request, facts, circumstances).ok) return facts;
  const identities = vouchingIdentities(circumstances, facts.deployment?.deployment, facts.attester, certificates);
  if (identities.length === 0) return facts;
  const further = await store.releaseFacts({ ...query, identities });
  return further.state.generation === facts.state.generation ? further : 'changed';
}

/** What is so at this moment, beside the facts of the store. */
function circumstancesOf(context: BrokerContext): Circumstances {
  const { broker, profile, challengeTtlMs, nonceKey, aks } = context;
  const salt = toHex(context.random(DECISION_SALT_BYTES));
  return { ...vouchersOf(context), broker, profile, challengeTtlMs, nonceKey, aks, salt };
}

function replayed(): Denial {
  const spent = { claim: 'challenge.spent', operator: 'equals', expected: false, found: true } as const;
  return reject('challenge.replayed', 'the nonce has been spent by a release; ask for a new challenge', spent);
}
