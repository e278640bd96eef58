import type { ClockRegression, Sighting } from './records.js';
import type { Store } from './store.js';
import { advance } from './tpm-clock.js';

/** AKs that are remembered between two flushes; what is seen of further ones is dropped. */
const MAX_NOTED = 16_384;
/** Bytes of certificates that are remembered; the sighting that is over it goes without. */
const MAX_CERTIFICATE_BYTES = 32 * 1024 * 1024;
/** Sightings of one AK between two flushes: those before and after its clock went back, and the newest. */
const MAX_OF_ONE = 3;
/** AKs in one transaction: more would hold up the releases that wait behind it. */
const MAX_IN_TRANSACTION = 64;
/** How often an AK whose clock goes back, again and again, is recorded. */
const RECORD_EVERY_MS = 600_000;
const MAX_REMEMBERED = 4096;
/** Regressions that wait to be recorded, and how many are recorded at once. */
const MAX_WAITING = 1024;
const MAX_RECORDED = 64;

/** What is told to telemetry. */
export interface SightingObserver {
  /** The clock of a TPM was found to have gone back. */
  regressed(): void;
  /** An AK was seen that the inventory has no room for now. */
  sightingDropped(): void;
}

/**
 * Keeps what AKs were seen to be, until the next flush takes it to the inventory of the store: a release waits for none of
 * that. The store compares the clocks, since only it knows what other workers and replicas have seen; here a clock that goes
 * back is noticed to the end that the store is told of both sides of it. What cannot be written is kept for the next flush,
 * so that a store that is unavailable costs nothing but room.
 */
export class SightingRecorder {
  readonly #store: Pick<Store, 'noteSightings' | 'appendRecord'>;
  readonly #clock: () => number;
  readonly #observer: SightingObserver;
  /** By SPKI hash, the oldest first; never empty. */
  #noted = new Map<string, Sighting[]>();
  #certificateBytes = 0;
  readonly #regressions: ClockRegression[] = [];
  /** When a regression of an AK was recorded last, by SPKI hash. */
  readonly #recorded = new Map<string, number>();
  #last: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(store: Pick<Store, 'noteSightings' | 'appendRecord'>, clock: () => number, observer: SightingObserver) {
    this.#store = store;
    this.#clock = clock;
    this.#observer = observer;
  }

  /** Of the hot path: keeps the sighting itself, and waits for nothing. */
  note(given: Sighting): void {
    const { spkiSha256 } = given;
    const former = this.#noted.get(spkiSha256);
    if (former === undefined) {
      if (this.#noted.size >= MAX_NOTED) {
        this.#observer.sightingDropped();
        return;
      }
      this.#noted.set(spkiSha256, [this.#bounded(given)]);
      return;
    }
    const [first] = former;
    const replaces =
      former.length === 1 ? first !== undefined && !isBeside(first, given) : former.length === MAX_OF_ONE;
    if (replaces) this.#certificateBytes -= bytesOf(former.pop());
    former.push(this.#bounded(given));
  }

  /** Takes what was noted to the store, and records what went back. Throws the store's errors; then all is kept for the next time. */
  flush(): Promise<void> {
    if (this.#next === undefined) {
      const next = this.#last
        .catch(() => undefined)
        .then(() => {
          this.#next = undefined;
          return this.#flush();
        });
      this.#next = this.#last = next;
    }
    return this.#next;
  }

  async #flush(): Promise<void> {
    const noted = [...this.#noted.values()];
    this.#noted = new Map();
    this.#certificateBytes = 0;
    for (let at = 0; at < noted.length; at += MAX_IN_TRANSACTION) {
      try {
        const regressions = await this.#store.noteSightings(noted.slice(at, at + MAX_IN_TRANSACTION).flat());
        for (const regression of regressions) this.#regressed(regression);
      } catch (error) {
        this.#putBack(noted.slice(at));
        throw error;
      }
    }
    await this.#record();
  }

  /** Under what has come meanwhile. */
  #putBack(older: readonly Sighting[][]): void {
    const newer = this.#noted;
    this.#noted = new Map();
    this.#certificateBytes = 0;
    for (const each of [older, newer.values()]) {
      for (const sightings of each) for (const sighting of sightings) this.note(sighting);
    }
  }

  #regressed(regression: ClockRegression): void {
    this.#observer.regressed();
    const { spkiSha256 } = regression;
    const nowMs = this.#clock();
    const before = this.#recorded.get(spkiSha256);
    if (before !== undefined && Math.abs(nowMs - before) < RECORD_EVERY_MS) return;
    if (this.#regressions.length >= MAX_WAITING) return;
    this.#recorded.delete(spkiSha256);
    const [longest] = this.#recorded.keys();
    if (longest !== undefined && this.#recorded.size >= MAX_REMEMBERED) this.#recorded.delete(longest);
    this.#recorded.set(spkiSha256, nowMs);
    this.#regressions.push(regression);
  }

  async #record(): Promise<void> {
    for (let recorded = 0; recorded < MAX_RECORDED; recorded++) {
      const [regression] = this.#regressions;
      if (regression === undefined) return;
      const { spkiSha256, before, after } = regression;
      await this.#store.appendRecord('attester.regressed', {
        ak_spki_sha256: spkiSha256,
        clock_before: String(before.clock),
        clock_after: String(after.clock),
        reset_count_before: before.resetCount,
        reset_count_after: after.resetCount,
      });
      this.#regressions.shift();
    }
  }

  #bounded(sighting: Sighting): Sighting {
    const bytes = bytesOf(sighting);
    if (this.#certificateBytes + bytes > MAX_CERTIFICATE_BYTES) return { ...sighting, certificates: [] };
    this.#certificateBytes += bytes;
    return sighting;
  }
}

/** Whether both have to be kept: the later one lacks the clock of the former, or has one that went back. */
function isBeside(former: Sighting, later: Sighting): boolean {
  if (former.clock === undefined) return false;
  if (later.clock === undefined) return true;
  const { clock, seenAtMs } = former;
  const { clock: laterClock, seenAtMs: laterSeenAtMs, challengedAtMs = laterSeenAtMs } = later;
  const quoted = { clock: laterClock, seenAtMs: laterSeenAtMs, challengedAtMs };
  return advance({ clock, seenAtMs, sinceMs: seenAtMs }, quoted).regression !== undefined;
}

function bytesOf(sighting: Sighting | undefined): number {
  let bytes = 0;
  for (const certificate of sighting?.certificates ?? []) bytes += certificate.length;
  return bytes;
}
