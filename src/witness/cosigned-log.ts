import type { VerifierKey } from '../translog/note.js';
import type { GrowingLog } from './growing-log.js';
import { type RoundEnd, Rounds } from './rounds.js';
import type { SharedNote } from './shared-note.js';
import { Standing } from './standing.js';
import { Troubles, type WitnessObserver } from './troubles.js';
import { Waiters } from './waiters.js';
import { WitnessError } from './witness-error.js';
import type { Witnesses } from './witnesses.js';

export interface CosignedLogOptions {
  readonly log: GrowingLog;
  /** The log's own key. */
  readonly logKey: VerifierKey;
  readonly witnesses: Witnesses;
  /** How many must have cosigned what `cover` gives; 0: none need. */
  readonly quorum: number;
  readonly observer: WitnessObserver;
  /** Where several processes of one broker share what was cosigned; undefined: there is one process. */
  readonly shared?: SharedNote;
  /** How long `cover` waits for the quorum; default 5000. */
  readonly timeoutMs?: number;
  /** How often the log is looked at in the background, and the least time between rounds without a quorum; default 1000. */
  readonly intervalMs?: number;
  /** With a quorum: after how long it is tried again though nothing was appended; what that showed counts three times as long. Default 10,000. */
  readonly refreshMs?: number;
  /** After how long the observer is told again of a witness that still contradicts the log; default 60,000. */
  readonly tellAgainMs?: number;
}

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_INTERVAL_MS = 1_000;
const DEFAULT_REFRESH_MS = 10_000;
const DEFAULT_TELL_AGAIN_MS = 60_000;
/** Whether the quorum can be reached is not known any more when it was to be tried for the third time. */
const MISSED_REFRESHES = 3;
/** The most calls of `cover` that wait at one time: more would be given up before their turn came. */
const MAX_COVERS = 4_096;
/** The most sizes that `newest` waits for: anybody may ask for the checkpoint, so those who ask for one size share the wait. */
const MAX_PUBLISHED = 256;
/** How long `newest` waits for the quorum before it gives the checkpoint without it. */
const NEWEST_TIMEOUT_MS = 2_500;

/**
 * The newest checkpoint of the log with cosignatures. Witnesses are asked in rounds: each takes the checkpoint that is the
 * newest when it begins, and what is committed meanwhile waits for the next, so that releases share the cost. A cosignature
 * counts once it has verified over the checkpoint, and once for a witness.
 */
export class CosignedLog {
  readonly #log: GrowingLog;
  readonly #witnessCount: number;
  readonly #quorum: number;
  readonly #timeoutMs: number;
  readonly #intervalMs: number;
  readonly #troubles: Troubles;
  readonly #standing: Standing;
  readonly #rounds: Rounds;
  /** Who waits in `cover`. */
  readonly #covers = new Waiters(MAX_COVERS);
  /** What is waited for in `newest`: it takes fewer cosignatures than the quorum, once a round has failed. */
  readonly #published = new Waiters(MAX_PUBLISHED);
  #timer: NodeJS.Timeout | undefined;

  /** Throws RangeError for a quorum that there are not enough witnesses for. */
  constructor(options: CosignedLogOptions) {
    const { log, logKey, quorum, observer, intervalMs = DEFAULT_INTERVAL_MS, refreshMs = DEFAULT_REFRESH_MS } = options;
    const { clients } = options.witnesses;
    if (quorum > clients.length) throw new RangeError('the quorum is larger than the number of witnesses');
    this.#log = log;
    this.#witnessCount = clients.length;
    this.#quorum = quorum;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#intervalMs = intervalMs;
    this.#troubles = new Troubles(log, observer, options.tellAgainMs ?? DEFAULT_TELL_AGAIN_MS);
    this.#standing = new Standing(MISSED_REFRESHES * refreshMs);
    this.#rounds = new Rounds({
      ...{ log, clients, quorum, intervalMs, refreshMs, troubles: this.#troubles, standing: this.#standing },
      check: { log, logKey, quorum, witnesses: clients.map(({ key }) => key) },
      shared: quorum === 0 ? undefined : options.shared,
      caller: {
        isAwaited: () => this.#covers.count > 0 || this.#published.count > 0,
        ended: (end) => this.#settle(end),
        failed: (fault) => this.#failAll(fault),
      },
    });
  }

  /**
   * Looks at the log at once, and then now and then, and has cosigned what is new: administrative changes, denials, all where
   * no quorum is needed. With a quorum also what is not, from time to time, so that `trouble` knows.
   */
  start(): void {
    if (this.#witnessCount === 0 || this.#timer !== undefined) return;
    this.#timer = setInterval(() => void this.#lookAtTheLog(), this.#intervalMs).unref();
    void this.#lookAtTheLog();
  }

  /**
   * A checkpoint whose tree has the entry `index`, with valid cosignatures of a quorum of witnesses. It may be of a larger
   * tree than the one that the entry was appended in: the inclusion proof is to be made for its size. Without a quorum the
   * newest checkpoint, at once. Throws WitnessError when the quorum is not reached in time, or at once where 4,096 wait
   * already, and what the log throws.
   */
  async cover(index: number, abandoned?: AbortSignal): Promise<string> {
    if (this.#quorum === 0) return (await this.#log.head()).checkpoint;
    const { kept } = this.#rounds;
    if (kept !== undefined && kept.size > index) return kept.note();
    return this.#await(this.#covers, index + 1, this.#timeoutMs, abandoned);
  }

  /**
   * The checkpoint to publish: at least as large as the log was when this was called, so that no two readers, of whatever
   * process of this broker, see the log shrink. With a quorum it waits for that, at most 2.5 s and not where it is out of
   * reach; without one it waits for nobody. It has what cosignatures there are by then: the others come to later calls, as
   * long as the log does not grow. Throws what the log throws.
   */
  async newest(): Promise<string> {
    const head = await this.#log.head();
    if (this.#witnessCount === 0) return head.checkpoint;
    const { current, kept } = this.#rounds;
    if (this.#quorum === 0) {
      this.#rounds.want(head);
      return current?.checkpoint === head.checkpoint ? current.note() : head.checkpoint;
    }
    if (kept !== undefined && kept.size >= head.size) return kept.note();
    try {
      return await this.#await(this.#published, head.size, NEWEST_TIMEOUT_MS);
    } catch (error) {
      if (error instanceof WitnessError) return head.checkpoint;
      throw error;
    }
  }

  /**
   * Why no release could be answered now: the quorum was out of reach when it was tried last, or nothing is known of it. For
   * people. Undefined: it was reached, or none is demanded. Asks nobody; what it knows is at most three times `refreshMs` old.
   */
  trouble(): string | undefined {
    if (this.#quorum === 0) return undefined;
    switch (this.#standing.at(performance.now())) {
      case 'reached':
        return undefined;
      case 'missed':
        return this.#withTroubles(`fewer than ${this.#counts} witnesses cosign`);
      case 'unknown':
        return this.#withTroubles(`whether ${this.#counts} witnesses cosign has yet to be seen`);
    }
  }

  /** Stops asking; who waits gets a WitnessError. The witnesses are the caller's to close. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#troubles.close();
    const closed = this.#rounds.close();
    this.#failAll(new WitnessError('the broker is stopping'));
    await closed;
  }

  #await(waiters: Waiters, size: number, timeoutMs: number, abandoned?: AbortSignal): Promise<string> {
    if (this.#rounds.isClosed) return Promise.reject(new WitnessError('the broker is stopping'));
    const complaint = () =>
      this.#withTroubles(`fewer than ${this.#counts} witnesses cosigned within ${String(timeoutMs)} ms`);
    const options = { size, timeoutMs, complaint };
    const note = waiters === this.#published ? waiters.share(options) : waiters.wait({ ...options, abandoned });
    this.#rounds.begin();
    return note;
  }

  async #lookAtTheLog(): Promise<void> {
    try {
      const head = await this.#log.head();
      if (!this.#rounds.isClosed) this.#rounds.want(head);
    } catch {
      // A log that cannot be read says so to whoever asks it for a release.
    }
  }

  #settle(end: RoundEnd): void {
    const { current, kept } = this.#rounds;
    // One text for all.
    const note = kept?.note();
    const cosigned = (size: number) => (kept !== undefined && size <= kept.size ? note : undefined);
    this.#covers.settle(cosigned);
    const partly = end === 'failed' ? current?.note() : undefined;
    this.#published.settle((size) => cosigned(size) ?? (size <= (current?.size ?? 0) ? partly : undefined));
  }

  #failAll(error: Error): void {
    this.#covers.fail(error);
    this.#published.fail(error);
  }

  get #counts(): string {
    return `${String(this.#quorum)} of ${String(this.#witnessCount)}`;
  }

  #withTroubles(what: string): string {
    const { list } = this.#troubles;
    return list.length === 0 ? what : `${what} (${list.join('; ')})`;
  }
}
