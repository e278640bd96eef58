import { setTimeout as delay } from 'node:timers/promises';
import type { VerifierKey } from '../translog/note.js';
import type { GrowingLog } from './growing-log.js';
import { Round } from './round.js';
import { type NoteCheck, type SharedNote, sizeOfCosigned } from './shared-note.js';
import { Troubles, type WitnessObserver } from './troubles.js';
import { Waiters } from './waiters.js';
import type { WitnessAnswer, WitnessClient } from './witness-client.js';
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
  /** After how long the observer is told again of a witness that still contradicts the log; default 60,000. */
  readonly tellAgainMs?: number;
}

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_INTERVAL_MS = 1_000;
const DEFAULT_TELL_AGAIN_MS = 60_000;
/** The most calls of `cover` that wait at one time: more would be given up before their turn came. */
const MAX_COVERS = 4_096;
/** The most sizes that `newest` waits for: anybody may ask for the checkpoint, so those who ask for one size share the wait. */
const MAX_PUBLISHED = 256;
/** How long `newest` waits for cosignatures before it gives the checkpoint without them. */
const NEWEST_TIMEOUT_MS = 2_500;
const SHORTEST_PAUSE_MS = 20;
/** How long a sibling that was faster is given to share what it gets. */
const LONGEST_SIBLING_MS = 200;

/** How a round ended. `overtaken`: a witness holds more, since a sibling process was faster. */
type RoundEnd = 'done' | 'overtaken' | 'failed';

/** A checkpoint that has enough cosignatures. */
interface Cosigned {
  readonly size: number;
  note(): string;
}

/**
 * The newest checkpoint of the log with cosignatures. Witnesses are asked in rounds: each takes the checkpoint that is the
 * newest when it begins, and what is committed meanwhile waits for the next, so that releases share the cost. A cosignature
 * counts once it has verified over the checkpoint, and once for a witness.
 */
export class CosignedLog {
  readonly #log: GrowingLog;
  readonly #clients: readonly WitnessClient[];
  readonly #quorum: number;
  /** How many end a round early. */
  readonly #enough: number;
  readonly #shared: SharedNote | undefined;
  readonly #check: NoteCheck;
  readonly #timeoutMs: number;
  readonly #intervalMs: number;
  readonly #troubles: Troubles;
  /** Who waits in `cover`. */
  readonly #covers = new Waiters(MAX_COVERS);
  /** What is waited for in `newest`: it takes fewer cosignatures than the quorum, once everybody was asked. */
  readonly #published = new Waiters(MAX_PUBLISHED);
  #round: Round | undefined;
  /** The newest checkpoint with enough cosignatures: of a round, or of a sibling process. */
  #kept: Cosigned | undefined;
  #wanted = false;
  #isPumping = false;
  #pumping: Promise<void> | undefined;
  #lastRoundMs = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  readonly #closed = new AbortController();

  /** Throws RangeError for a quorum that there are not enough witnesses for. */
  constructor(options: CosignedLogOptions) {
    const { log, logKey, witnesses, quorum, observer } = options;
    this.#log = log;
    this.#clients = witnesses.clients;
    this.#quorum = quorum;
    this.#enough = quorum === 0 ? this.#clients.length : quorum;
    this.#troubles = new Troubles(observer, options.tellAgainMs ?? DEFAULT_TELL_AGAIN_MS);
    this.#shared = quorum === 0 ? undefined : options.shared;
    this.#check = { log, logKey, quorum, witnesses: this.#clients.map(({ key }) => key) };
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#intervalMs = options.intervalMs ?? DEFAULT_INTERVAL_MS;
    if (quorum > this.#clients.length) throw new RangeError('the quorum is larger than the number of witnesses');
  }

  /** Looks at the log now and then, and has cosigned what is new: administrative changes, denials, all where no quorum is needed. */
  start(): void {
    if (this.#clients.length === 0) return;
    this.#timer ??= setInterval(() => void this.#lookAtTheLog(), this.#intervalMs).unref();
  }

  /**
   * A checkpoint whose tree has the entry `index`, with valid cosignatures of a quorum of witnesses. It may be of a larger
   * tree than the one that the entry was appended in: the inclusion proof is to be made for its size. Without a quorum the
   * newest checkpoint, at once. Throws WitnessError when the quorum is not reached in time, or at once where 4,096 wait
   * already, and what the log throws.
   */
  async cover(index: number, abandoned?: AbortSignal): Promise<string> {
    if (this.#quorum === 0) return (await this.#log.head()).checkpoint;
    if (this.#kept !== undefined && this.#kept.size > index) return this.#kept.note();
    return this.#await(this.#covers, index + 1, this.#timeoutMs, abandoned);
  }

  /**
   * The checkpoint to publish: at least as large as the log was when this was called, with the cosignatures that can be had
   * soon. So no two readers, of whatever process of this broker, see the log shrink. Throws what the log throws.
   */
  async newest(): Promise<string> {
    const head = await this.#log.head();
    if (this.#clients.length === 0) return head.checkpoint;
    if (this.#kept !== undefined && this.#kept.size >= head.size) return this.#kept.note();
    try {
      return await this.#await(this.#published, head.size, NEWEST_TIMEOUT_MS);
    } catch (error) {
      if (error instanceof WitnessError) return head.checkpoint;
      throw error;
    }
  }

  /** Stops asking; who waits gets a WitnessError. The witnesses are the caller's to close. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closed.abort();
    this.#round?.supersede();
    this.#failAll(new WitnessError('the broker is stopping'));
    await this.#pumping;
  }

  #await(waiters: Waiters, size: number, timeoutMs: number, abandoned?: AbortSignal): Promise<string> {
    if (this.#closed.signal.aborted) return Promise.reject(new WitnessError('the broker is stopping'));
    const options = { size, timeoutMs, complaint: () => this.#complaint(timeoutMs) };
    const note = waiters === this.#published ? waiters.share(options) : waiters.wait({ ...options, abandoned });
    this.#pump();
    return note;
  }

  #complaint(timeoutMs: number): string {
    const troubles = this.#troubles.list;
    const counts = `${String(this.#quorum)} of ${String(this.#clients.length)}`;
    const what = `fewer than ${counts} witnesses cosigned within ${String(timeoutMs)} ms`;
    return troubles.length === 0 ? what : `${what} (${troubles.join('; ')})`;
  }

  async #lookAtTheLog(): Promise<void> {
    try {
      const { size } = await this.#log.head();
      const round = this.#round;
      if (round?.size === size && round.count === this.#clients.length) return;
      this.#wanted = true;
      this.#pump();
    } catch {
      // A log that cannot be read says so to whoever asks it for a release.
    }
  }

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#pumping = this.#run();
  }

  async #run(): Promise<void> {
    try {
      while (this.#isNeeded()) {
        if (this.#quorum === 0) await this.#pause(this.#lastRoundMs + this.#intervalMs - performance.now());
        await this.#lookAtSiblings();
        if (this.#isNeeded()) await this.#oneRound();
      }
    } catch (error) {
      const fault = error instanceof Error ? error : new Error('the log cannot be read', { cause: error });
      this.#failAll(fault);
    } finally {
      // In the very step in which nobody was found waiting: who comes after it starts anew.
      this.#isPumping = false;
    }
  }

  #isNeeded(): boolean {
    return !this.#closed.signal.aborted && (this.#wanted || this.#isAwaited);
  }

  get #isAwaited(): boolean {
    return this.#covers.count > 0 || this.#published.count > 0;
  }

  /** A sibling process may have what is waited for here. */
  async #lookAtSiblings(): Promise<void> {
    if (this.#shared === undefined || !this.#isAwaited) return;
    const note = await this.#shared.read();
    if (note === undefined || note === this.#kept?.note()) return;
    const size = await sizeOfCosigned(note, this.#check);
    if (size === undefined || size <= (this.#kept?.size ?? 0)) return;
    this.#kept = { size, note: () => note };
    this.#settle('done');
  }

  async #oneRound(): Promise<void> {
    this.#wanted = false;
    const beganMs = performance.now();
    const end = await this.#askEverybody();
    const tookMs = performance.now() - beganMs;
    this.#settle(end);
    if (end === 'done' && this.#kept !== undefined) await this.#shared?.write(this.#kept.note());
    if (end === 'overtaken') {
      // Whoever came with a larger tree is about to have it cosigned; to come with a still larger one would overtake it in turn.
      if (this.#shared !== undefined) await this.#pause(Math.min(tookMs, LONGEST_SIBLING_MS));
      return;
    }
    this.#lastRoundMs = performance.now();
    if (end === 'failed' && this.#isAwaited) await this.#pause(this.#shortestRestMs());
  }

  /** One round, over the newest checkpoint: the same one again, where nothing was appended since and somebody has yet to cosign. */
  async #askEverybody(): Promise<RoundEnd> {
    const tip = await this.#log.head();
    if (this.#closed.signal.aborted) return 'failed';
    if (this.#round?.checkpoint !== tip.checkpoint) {
      this.#round?.supersede();
      this.#round = new Round(tip);
    }
    const round = this.#round;
    await round.ask(
      this.#clients,
      this.#enough,
      (oldSize, size) => this.#log.consistency(oldSize, size),
      (client, answer) => this.#observe(client, answer),
    );
    if (round.count >= this.#enough) {
      this.#kept = round;
      return 'done';
    }
    if (round.overtaken === undefined) return 'failed';
    // Whoever is ahead was asked by a sibling, unless the log does not have what it cosigned.
    return (await this.#log.head()).size >= round.overtaken ? 'overtaken' : 'failed';
  }

  #settle(end: RoundEnd): void {
    const [round, kept] = [this.#round, this.#kept];
    // One text for all.
    const note = kept?.note();
    const cosigned = (size: number) => (kept !== undefined && size <= kept.size ? note : undefined);
    this.#covers.settle(cosigned);
    const partly = end === 'failed' ? round?.note() : undefined;
    this.#published.settle((size) => cosigned(size) ?? (size <= (round?.size ?? 0) ? partly : undefined));
  }

  #failAll(error: Error): void {
    this.#covers.fail(error);
    this.#published.fail(error);
  }

  async #observe(client: WitnessClient, answer: WitnessAnswer): Promise<void> {
    if (answer.outcome === 'cosigned') this.#troubles.over(client);
    if (answer.outcome === 'failed') this.#troubles.failed(client, answer.why);
    if (answer.outcome === 'disputed') this.#troubles.contradicted(client, answer.why);
    if (answer.outcome === 'ahead') await this.#compare(client, answer.size);
  }

  /** Whether a quorum is reached without it or not: a witness with more than the log has says that the log was rolled back. */
  async #compare(client: WitnessClient, cosignedSize: number): Promise<void> {
    // A log that cannot be read says so to whoever asks it for a release.
    const size = await this.#log.head().then(
      (head) => head.size,
      () => Infinity,
    );
    if (size >= cosignedSize || this.#closed.signal.aborted) return;
    const why = `it says it has cosigned a tree of ${String(cosignedSize)} entries, and the log has ${String(size)}`;
    client.doubt(why);
    this.#troubles.contradicted(client, why);
  }

  /** Until one of those who have yet to cosign may be asked again. */
  #shortestRestMs(): number {
    const rests = this.#clients.filter((client) => this.#round?.lacks(client) !== false).map(({ restMs }) => restMs);
    return Math.max(SHORTEST_PAUSE_MS, Math.min(...rests));
  }

  async #pause(ms: number): Promise<void> {
    if (ms <= 0) return;
    await delay(ms, undefined, { signal: this.#closed.signal }).catch(() => undefined);
  }
}
