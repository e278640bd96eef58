import { toHex } from '../bytes/hex.js';
import { sha256Hex } from '../crypto/digest.js';
import type { Evidence } from '../evidence/evidence.js';
import { withoutWaiting } from '../evidence/authority/authority-keys.js';
import { decodeEvidence } from '../evidence/presented.js';
import { type AkIdentity, presentedAk } from '../evidence/tpm/ak.js';
import { parseRecipient } from '../keys/recipient.js';
import { accept, reject, type Result } from '../reason/reason.js';
import { type Appraisal, appraise, freshNonce } from './appraise.js';
import type { Circumstances, Presented } from './circumstances.js';
import { sealAppraisal } from './archive.js';
import { attest } from './attest.js';
import type { Denial, ReleaseOutcome, ReleaseRequest } from './broker.js';
import type { BrokerContext } from './context.js';
import type { VersionState } from './entitlement.js';
import { explain } from './explain.js';
import {
  type BesidesQuote,
  hardwareIdentities,
  hasDevicesOrTokens,
  hasOthers,
  verifyCvmReport,
  verifyDevicesAndTokens,
  vouchingOf,
} from './hardware.js';
import { notePending, noteTrusted, type Seen } from './note-sighting.js';
import { receiptOf } from './receipt.js';
import { DECISION_SALT_BYTES } from './salted-decision.js';
import type { LoggedEntry, ReleaseFacts, ReleaseStore } from './store.js';
import type { ReleaseView } from './views.js';
import { vouchersOf, vouchingIdentities } from './vouchers.js';
import { wrapForRecipient } from './wrap.js';

/** How often a release is appraised beside others, where administration changes something meanwhile, before everything else waits for it. */
const ATTEMPTS_BESIDE_OTHERS = 3;

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

interface Committed extends Recorded {
  readonly appraisal: Appraisal<VersionState>;
  readonly atMs: number;
}

async function record(
  context: BrokerContext,
  request: ReleaseRequest,
): Promise<{ readonly ok: true; readonly value: Recorded } | Denial> {
  const evidence = decodeEvidence(request.evidence);
  const tpm = evidence.ok ? evidence.value.tpm : undefined;
  const ak = tpm === undefined ? undefined : presentedAk(tpm, context.aks);
  const seen = tpm !== undefined && ak?.ok === true ? { ak: ak.value, evidence: tpm } : undefined;
  const attempt = (within: BrokerContext, store: ReleaseStore) =>
    appraiseAndCommit(within, store, request, evidence, seen);
  let outcome = await attempt(context, context.store);
  for (let made = 1; outcome === 'changed' && made < ATTEMPTS_BESIDE_OTHERS; made++)
    outcome = await attempt(context, context.store);
  if (outcome === 'changed') {
    // Everybody waits for this one, so it must wait for nobody.
    const hurried = { ...context, authorities: withoutWaiting(context.authorities) };
    outcome = await context.store.releaseAlone((alone) => attempt(hurried, alone));
  }
  if (outcome === 'changed') throw new Error('the state changed inside the transaction of a release');
  if (outcome.ok) {
    const { appraisal, atMs, ...recorded } = outcome.value;
    if (seen !== undefined) noteTrusted(context, seen, appraisal, atMs);
    return accept(recorded);
  }
  context.observer.denied(outcome.reason);
  const denial = explain(outcome);
  const { deployment, key, version = 'latest' } = request;
  const { spkiSha256, name: akName } = seen?.ak ?? {};
  const akSpkiSha256 = outcome.unproven === true ? undefined : spkiSha256;
  context.denials.record(denial, { deployment, key, version, akSpkiSha256, akName });
  return explain(outcome, context.explain);
}

/** One appraisal under one state generation, then the wrapping and the durable record; nothing leaves before that. */
async function appraiseAndCommit(
  context: BrokerContext,
  store: ReleaseStore,
  request: ReleaseRequest,
  evidence: Result<Evidence>,
  seen: Seen | undefined,
): Promise<{ readonly ok: true; readonly value: Committed } | Denial | 'changed'> {
  const { key } = request;

  const recipient = parseRecipient(request.recipient);
  if (!recipient.ok) return recipient;
  if (!evidence.ok && evidence.reason === 'request.malformed') return evidence;

  const presented = { request, recipient: recipient.value, evidence };
  const gathered = await gather(context, store, presented, seen?.ak, circumstancesOf(context));
  if (gathered === 'changed') return gathered;
  const { facts, besides, circumstances } = gathered;
  const appraised = appraise({ request, recipient: recipient.value, evidence, besides }, facts, circumstances);
  if (!appraised.ok) {
    if (appraised.reason === 'ak.pending' && seen !== undefined) {
      const extraData = besides?.extraData;
      notePending(
        context,
        seen,
        { ...request, recipient: recipient.value.thumbprint, extraData },
        facts,
        circumstances,
      );
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
    nonceExpiresAtMs: nonce.issuedAtMs + context.challengeTtlMs,
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
      return accept({
        appraisal: appraised.value,
        atMs: circumstances.nowMs,
        answer: {
          release_id: releaseId,
          key: { name: key, version: wrapped.version, kty: entitlement.key.kty },
          jwe: wrapped.jwe,
        },
        logged: committed.logged,
      });
  }
}

/** What an appraisal is made of, all under one state generation. */
interface Gathered {
  readonly facts: ReleaseFacts;
  readonly besides: BesidesQuote | undefined;
  readonly circumstances: Circumstances;
}

/**
 * Reads the facts, verifies what was sent beside the quote by the rules of the deployment, and reads the facts again with whether
 * anything was revoked that it hangs on, or that vouches for the AK. All that is dear, and nobody is owed it without a nonce of
 * ours; devices and tokens not even before the quote, with the report of the VM, has been accepted.
 */
async function gather(
  context: BrokerContext,
  store: ReleaseStore,
  presented: Omit<Presented, 'besides'>,
  ak: AkIdentity | undefined,
  before: Circumstances,
): Promise<Gathered | 'changed'> {
  const { request, evidence } = presented;
  const { deployment: name, key, version = 'latest' } = request;
  const query = { deployment: name, key, version, akSpkiSha256: ak?.spkiSha256 };
  const facts = await store.releaseFacts(query);
  const deployment = facts.deployment?.deployment;
  const alone: Gathered = { facts, besides: undefined, circumstances: before };
  if (!evidence.ok || deployment === undefined) return alone;

  const certificates = evidence.value.tpm?.akCertificates ?? [];
  const others = hasOthers(evidence.value, deployment);
  if (certificates.length === 0 && facts.attester?.enrolments === undefined && !others) return alone;
  if (!freshNonce(request, facts, before).ok) return alone;

  const { generation } = facts.state;
  const again = async (besides: BesidesQuote | undefined, circumstances: Circumstances): Promise<Gathered> => {
    const vouching = vouchingIdentities(circumstances, deployment, facts.attester, certificates);
    const identities = [...vouching, ...(besides === undefined ? [] : hardwareIdentities(besides))];
    const further = identities.length === 0 ? facts : await store.releaseFacts({ ...query, identities });
    return { facts: further, besides, circumstances };
  };
  const isChanged = ({ facts: { state } }: Gathered): boolean => state.generation !== generation;
  if (!others) {
    const gathered = await again(undefined, before);
    return isChanged(gathered) ? 'changed' : gathered;
  }

  const trust = context.hardwareTrust(deployment, before.nowMs);
  const asked = { ...presented, broker: context.broker, evidence: evidence.value, ak, deployment };
  const report = verifyCvmReport(asked, trust);
  const circumstances = withReport(before, report, ak);
  const gathered = await again(report, circumstances);
  if (isChanged(gathered)) return 'changed';
  if (!hasDevicesOrTokens(evidence.value, deployment)) return gathered;
  if (
    !attest(
      { evidence: evidence.value, besides: report, extraData: report.extraData },
      deployment,
      gathered.facts,
      circumstances,
    ).ok
  )
    return gathered;
  const all = await again(await verifyDevicesAndTokens(report, asked, trust, context.authorities), circumstances);
  return isChanged(all) ? 'changed' : all;
}

/** What is so, with what the report of the VM says of the AK. */
function withReport(before: Circumstances, report: BesidesQuote, ak: AkIdentity | undefined): Circumstances {
  const cvm = vouchingOf(report, ak);
  return cvm === undefined ? before : { ...before, cvm };
}

/** What is so at this moment, beside the facts of the store. */
function circumstancesOf(context: BrokerContext): Circumstances {
  const { broker, profile, challengeTtlMs, nonceKey, aks } = context;
  const { simulatorCa, nowMs, anchors, paths, revocationLists } = vouchersOf(context);
  const salt = toHex(context.random(DECISION_SALT_BYTES));
  return { simulatorCa, nowMs, anchors, paths, revocationLists, broker, profile, challengeTtlMs, nonceKey, aks, salt };
}

function replayed(): Denial {
  const spent = { claim: 'challenge.spent', operator: 'equals', expected: false, found: true } as const;
  return reject('challenge.replayed', 'the nonce has been spent by a release; ask for a new challenge', spent);
}
