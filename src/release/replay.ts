import { fromBase64url } from '../bytes/base64url.js';
import type { Json } from '../bytes/canonical-json.js';
import { sha256Hex } from '../crypto/digest.js';
import { AnchorSets } from '../endorsement/anchor-sets.js';
import { KnownPaths, NO_REVOCATION_LISTS } from '../endorsement/known-paths.js';
import { decodeEvidence } from '../evidence/presented.js';
import { presentedAk } from '../evidence/tpm/ak.js';
import { TrustedAks } from '../evidence/tpm/trusted-aks.js';
import { parseRecipient } from '../keys/recipient.js';
import { accept, reject, type Result } from '../reason/reason.js';
import { type Members, parseEntry } from '../translog/entry.js';
import { leafHash } from '../translog/merkle.js';
import { verifyPseudonym } from '../translog/names.js';
import { verifyInclusion } from '../translog/proof.js';
import { appraise, type Appraisal } from './appraise.js';
import { type ArchivedAppraisal, openAppraisal } from './archive.js';
import type { Denial } from './broker.js';
import type { BrokerContext } from './context.js';
import type { VersionState } from './entitlement.js';
import { explain } from './explain.js';
import { hasOthers, verifyCvmReport, verifyDevicesAndTokens, vouchingOf } from './hardware.js';
import { proveInclusion } from './log-proofs.js';
import { type Store, StoreIntegrityError } from './store.js';
import { rfc3339 } from './time.js';
import type { ReplayView } from './views.js';

/** Members of an entry that do not follow from the appraisal: what it is, and the JWE, which is made with fresh randomness. */
const NOT_REPLAYED: ReadonlySet<string> = new Set(['type', 'time', 'names', 'release_id', 'jwe_sha256']);

type Difference = ReplayView['differences'][number];
type Replayed = { readonly ok: true; readonly value: Appraisal<VersionState> } | Denial;

/**
 * Appraises an archived release again: the code that would appraise it now, on the request, the facts and the time of
 * then, held against the entry in the log. What has changed since (policies, attesters, keys, the clock) plays no part.
 * Refusal: resource.unknown. Throws StoreIntegrityError where archive or entry are not what was written.
 */
export async function replayRelease(
  context: BrokerContext,
  releaseId: string,
  { evidence: withEvidence = false }: { readonly evidence?: boolean },
): Promise<Result<ReplayView>> {
  const { store } = context;
  const archived = await store.archived(releaseId);
  if (archived === undefined) {
    return reject(
      'resource.unknown',
      'nothing is archived of a release with this id; set archive.evidence to on, and releases from then on can be replayed',
    );
  }
  const { index } = archived;
  const opened = openAppraisal(context, releaseId, archived.sealed);
  if (!opened.ok) return opened;
  const { entry, decision: recorded } = await recordedRelease(store, releaseId, index);

  const { request, circumstances } = opened.value;
  const replayed = await repeat(context, opened.value);
  const differences = replayed.ok
    ? compare(entry, recorded, replayed.value, opened.value)
    : [{ member: 'outcome', recorded: 'released', replayed: replayed.reason }];
  return accept({
    release_id: releaseId,
    index,
    same: differences.length === 0,
    appraised_at: rfc3339(circumstances.nowMs),
    ...outcomeOf(replayed),
    differences,
    log: entry,
    ...(withEvidence ? { presented: request as unknown as Json } : {}),
  });
}

/**
 * The appraisal of then, by the code of now. What was revoked then, the facts say; CRLs and collateral of then are not kept: that
 * of now is used, by the clock of then.
 */
async function repeat(context: BrokerContext, { request, facts, circumstances }: ArchivedAppraisal): Promise<Replayed> {
  const { broker, nonceKey } = context;
  const recipient = parseRecipient(request.recipient);
  if (!recipient.ok) return recipient;
  const evidence = decodeEvidence(request.evidence);
  const presented = { request, recipient: recipient.value, evidence };
  const vouchers = { anchors: new AnchorSets(), paths: new KnownPaths(1), revocationLists: NO_REVOCATION_LISTS };
  const then = { broker, nonceKey, aks: new TrustedAks(1), ...vouchers, ...circumstances };
  const deployment = facts.deployment?.deployment;
  if (!evidence.ok || deployment === undefined || !hasOthers(evidence.value, deployment)) {
    return appraise({ ...presented, besides: undefined }, facts, then);
  }
  const { tpm } = evidence.value;
  const ak = tpm === undefined ? undefined : presentedAk(tpm);
  const known = ak?.ok === true ? ak.value : undefined;
  const trust = context.hardwareTrust(deployment, circumstances.nowMs);
  const asked = { ...presented, broker, evidence: evidence.value, ak: known, deployment };
  const besides = await verifyDevicesAndTokens(verifyCvmReport(asked, trust), asked, trust, context.authorities);
  const cvm = vouchingOf(besides, known);
  return appraise({ ...presented, besides }, facts, cvm === undefined ? then : { ...then, cvm });
}

/** The decision of the replay, with the claims that it is about, or why it would be refused. */
function outcomeOf(replayed: Replayed): Pick<ReplayView, 'decision' | 'claims' | 'refusal'> {
  if (replayed.ok) {
    const { decision, claims } = replayed.value;
    return { decision: decision as unknown as Json, claims };
  }
  const { reason, detail, decision = { met: false, conditions: [] } } = explain(replayed);
  return { decision: decision as unknown as Json, refusal: { reason, detail } };
}

/** Every member of the entry that follows from the appraisal and is not what the replay comes to; the trees, where their hashes differ. */
function compare(
  entry: Members,
  decision: Json,
  replayed: Appraisal<VersionState>,
  { request, facts, salts }: ArchivedAppraisal,
): readonly Difference[] {
  const named = (member: 'deployment' | 'key'): string => {
    const [recorded, name, salt] = [entry[member], request[member], salts?.[member]];
    const hidden = entry['names'] === 'salted' && typeof recorded === 'string' && salt !== undefined;
    return hidden && verifyPseudonym(recorded, name, fromBase64url(salt, 'salt')) ? recorded : name;
  };
  const expected: Readonly<Record<string, string | undefined>> = {
    ...replayed.entry,
    deployment: named('deployment'),
    key: named('key'),
    state_generation: String(facts.state.generation),
  };
  const members = [...new Set([...Object.keys(entry), ...Object.keys(expected)])].sort();
  const differences = members
    .filter((member) => !NOT_REPLAYED.has(member) && entry[member] !== expected[member])
    .map((member) => difference(member, entry[member], expected[member]));
  if (entry['decision_sha256'] === expected['decision_sha256']) return differences;
  return [...differences, difference('decision', decision, replayed.decision as unknown as Json)];
}

function difference(member: string, recorded: Json | undefined, replayed: Json | undefined): Difference {
  return {
    member,
    ...(recorded === undefined ? {} : { recorded }),
    ...(replayed === undefined ? {} : { replayed }),
  };
}

/** The entry of a release, proven to be in the log, and the decision beside it, which it has the hash of. Throws StoreIntegrityError. */
async function recordedRelease(
  store: Store,
  releaseId: string,
  index: number,
): Promise<{ readonly entry: Members; readonly decision: Json }> {
  const { size, root } = await store.logHead();
  const [row] = index < size ? await store.read((view) => view.entries({ before: index + 1, limit: 1 })) : [];
  if (row?.index !== index) throw new StoreIntegrityError(`evidence_archive ${releaseId}: its entry is not in the log`);
  const where = `log_entries ${String(index)}`;
  const leaf = leafHash(Buffer.from(row.entry, 'utf8'));
  if (!verifyInclusion(leaf, index, size, await proveInclusion(store, index, size), root)) {
    throw new StoreIntegrityError(`${where}: the entry is not the one that the log has the hash of`);
  }
  const entry = parseEntry(row.entry);
  if (entry['type'] !== 'release' || entry['release_id'] !== releaseId) {
    throw new StoreIntegrityError(`evidence_archive ${releaseId}: its entry is of something else`);
  }
  const { detail = '' } = row;
  if (entry['decision_sha256'] !== sha256Hex(detail)) {
    throw new StoreIntegrityError(`${where}: the decision beside the entry is not the one that it has the hash of`);
  }
  return { entry, decision: JSON.parse(detail) as Json };
}
