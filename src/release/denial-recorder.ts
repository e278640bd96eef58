import { toHex } from '../bytes/hex.js';
import { sha256Hex } from '../crypto/digest.js';
import type { Json } from '../bytes/canonical-json.js';
import type { ReasonCode } from '../reason/reason.js';
import type { Denial } from './broker.js';
import type { Random } from '../crypto/random.js';
import { DECISION_SALT_BYTES, saltedDecision } from './salted-decision.js';
import type { Store } from './store.js';

/** Denial records that one attester may cause at once, and how fast that refills. */
const BUCKET_SIZE = 20;
const REFILL_MS = 3_000;
/** Attesters whose buckets are remembered; the one longest unseen is forgotten first. */
const MAX_BUCKETS = 10_000;

/** Refusals that happen before AK and signature are accepted: anyone can cause them, so they are only counted. */
const ANONYMOUS: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'request.malformed',
  'challenge.invalid',
  'challenge.expired',
  'deployment.unknown',
  'key.unknown',
  'evidence.malformed',
  'quote.magic',
  'quote.type',
  'quote.algorithm',
  'quote.signature',
  'ak.attributes',
  'ak.untrusted',
  'ak.pending',
  'ak.revoked',
  'collateral.unavailable',
]);

/** What is known of a denied request; names and hashes only. */
export interface DenialContext {
  readonly deployment: string;
  readonly key: string;
  readonly version: string;
  readonly akSpkiSha256: string | undefined;
  readonly akName: string | undefined;
}

/**
 * Keeps the record of denials, best effort: a denial never waits for the disk and never fails for it. What a trusted AK
 * causes is recorded within its bucket; everything else is counted, and the counts become one entry a minute. So a flood
 * of garbage costs no storage and cannot hide the probing of a genuine machine.
 */
export class DenialRecorder {
  readonly #store: Store;
  readonly #clock: () => number;
  readonly #random: Random;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();
  readonly #counts = new Map<ReasonCode, number>();

  constructor(store: Store, clock: () => number, random: Random) {
    this.#store = store;
    this.#random = random;
    this.#clock = clock;
  }

  /** Records the denial with its whole decision, or counts it. Does not wait. */
  record(denial: Denial, context: DenialContext): void {
    const { akSpkiSha256 } = context;
    if (
      akSpkiSha256 === undefined ||
      ANONYMOUS.has(denial.reason) ||
      !this.#take(bucketOf(akSpkiSha256, denial.reason))
    ) {
      this.#count(denial.reason);
      return;
    }
    const body = {
      reason: denial.reason,
      deployment: context.deployment,
      key: context.key,
      version: context.version,
      ak_name: context.akName,
      ak_spki_sha256: akSpkiSha256,
    };
    const salt = toHex(this.#random(DECISION_SALT_BYTES));
    const detail = denial.decision === undefined ? undefined : saltedDecision(denial.decision, salt);
    const hash = detail === undefined ? undefined : sha256Hex(detail);
    this.#store
      .appendRecord('denial', { ...body, decision_sha256: hash }, detail)
      .catch(() => this.#count(denial.reason));
  }

  /** Writes what was only counted as one entry; called once a minute. Counts that cannot be written are kept for the next time. */
  async summarise(): Promise<void> {
    if (this.#counts.size === 0) return;
    const counts = new Map(this.#counts);
    this.#counts.clear();
    const body: Record<string, Json> = { counts: Object.fromEntries(counts) };
    try {
      await this.#store.appendRecord('denial.summary', body);
    } catch {
      for (const [reason, count] of counts) this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + count);
    }
  }

  #count(reason: ReasonCode): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }

  #take(bucket: string): boolean {
    const nowMs = this.#clock();
    const known = this.#buckets.get(bucket) ?? { tokens: BUCKET_SIZE, atMs: nowMs };
    const refilled = Math.max(0, nowMs - known.atMs) / REFILL_MS;
    const tokens = Math.min(BUCKET_SIZE, known.tokens + refilled);
    this.#buckets.delete(bucket);
    if (this.#buckets.size >= MAX_BUCKETS) {
      const oldest = this.#buckets.keys().next();
      if (oldest.done !== true) this.#buckets.delete(oldest.value);
    }
    this.#buckets.set(bucket, { tokens: tokens >= 1 ? tokens - 1 : tokens, atMs: nowMs });
    return tokens >= 1;
  }
}

/** Anyone who once saw a quote of an AK can present it, bound to something else: that must not use up the AK's own bucket. */
function bucketOf(attester: string, reason: ReasonCode): string {
  return reason === 'quote.binding' ? `${attester}/binding` : attester;
}
