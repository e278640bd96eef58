import { setTimeout as delay } from 'node:timers/promises';
import type { GrowingLog, LogTip } from './growing-log.js';
import { Round } from './round.js';
import { type NoteCheck, type SharedNote, sizeOfCosigned } from './shared-note.js';
import type { Standing } from './standing.js';
import type { Troubles } from './troubles.js';
import type { WitnessClient } from './witness-client.js';

const SHORTEST_PAUSE_MS = 20;
/** How long a sibling that was faster is given to share what it gets. */
const LONGEST_SIBLING_MS = 200;

/** How a round ended. `overtaken`: a witness holds more, since a sibling process was faster. */
export type RoundEnd = 'done' | 'overtaken' | 'failed';

/** A checkpoint that has enough cosignatures. */
export interface Cosigned {
  readonly size: number;
  note(): string;
}

/** Whom rounds are for. */
export interface RoundsCaller {
  /** Whether somebody waits: then rounds go on until nobody does. */
  isAwaited(): boolean;
  /** A round has ended; or, as `done`, a sibling was found to have a newer checkpoint. */
  ended(end: RoundEnd): void;
  /** The log cannot be read. */
  failed(fault: Error): void;
}

export interface RoundsOptions {
  readonly log: GrowingLog;
  readonly clients: readonly WitnessClient[];
  /** 0: none is demanded, and rounds keep a distance of `intervalMs`. */
  readonly quorum: number;
  readonly check: NoteCheck;
  readonly shared: SharedNote | undefined;
  readonly troubles: Troubles;
  readonly standing: Standing;
  readonly intervalMs: number;
  /** After how long cosignatures of one checkpoint are asked for anew. */
  readonly refreshMs: number;
  readonly caller: RoundsCaller;
}

/** When the witnesses are asked, and over which checkpoint: one round after the other, as long as any is needed. */
export class Rounds {
  readonly #options: RoundsOptions;
  /** How many end a round early. */
  readonly #enough: number;
  #current: Round | undefined;
  /** When the quorum was missed last in the current round. */
  #missedMs = -Infinity;
  #kept: Cosigned | undefined;
  #wanted = false;
  #isPumping = false;
  #pumping: Promise<void> | undefined;
  #lastRoundMs = -Infinity;
  readonly #closed = new AbortController();

  constructor(options: RoundsOptions) {
    this.#options = options;
    // Where no quorum is demanded nobody waits: a witness that hangs must not keep the others from the next checkpoint.
    this.#enough = Math.max(1, options.quorum);
  }

  /** The round that began last. */
  get current(): Round | undefined {
    return this.#current;
  }

  /** The newest checkpoint with enough cosignatures: of a round, or of a sibling process. */
  get kept(): Cosigned | undefined {
    return this.#kept;
  }

  get isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** Begins, where somebody waits. */
  begin(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#pumping = this.#run();
  }

  /** One round, unless every witness has cosigned this checkpoint lately; nobody waits for it. */
  want(tip: Pick<LogTip, 'checkpoint'>): void {
    const round = this.#current;
    if (round?.checkpoint === tip.checkpoint && round.count === this.#options.clients.length && !this.#isOld(round)) {
      return;
    }
    this.#wanted = true;
    this.begin();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#current?.supersede();
    await this.#pumping;
  }

  async #run(): Promise<void> {
    const { quorum, intervalMs, caller } = this.#options;
    try {
      while (this.#isNeeded()) {
        if (quorum === 0) await this.#pause(this.#lastRoundMs + intervalMs - performance.now());
        await this.#lookAtSiblings();
        if (this.#isNeeded()) await this.#oneRound();
      }
    } catch (error) {
      caller.failed(error instanceof Error ? error : new Error('the log cannot be read', { cause: error }));
    } finally {
      // In the very step in which nobody was found waiting: who comes after it starts anew.
      this.#isPumping = false;
    }
  }

  #isNeeded(): boolean {
    return !this.isClosed && (this.#wanted || this.#options.caller.isAwaited());
  }

  /** A sibling process may have what is waited for here. */
  async #lookAtSiblings(): Promise<void> {
    const { shared, check, standing, caller } = this.#options;
    const note = await shared?.read();
    if (note === undefined || note === this.#kept?.note()) return;
    const size = await sizeOfCosigned(note, check);
    if (size === undefined || size <= (this.#kept?.size ?? 0)) return;
    // Of a tree that was not there when the round here began, so the quorum was reached after that. A smaller one is of any time.
    if (this.#current !== undefined && size > this.#current.size) standing.reached(this.#current.beganMs);
    this.#kept = { size, note: () => note };
    caller.ended('done');
  }

  async #oneRound(): Promise<void> {
    const { shared, standing, caller } = this.#options;
    this.#wanted = false;
    const beganMs = performance.now();
    const end = await this.#askEverybody(beganMs);
    const endMs = performance.now();
    this.#lastRoundMs = endMs;
    if (end === 'done') standing.reached(this.#provenMs());
    if (end === 'failed') this.#miss(endMs);
    caller.ended(end);
    if (end === 'done' && this.#kept !== undefined) await shared?.write(this.#kept.note());
    if (end === 'overtaken') {
      // Whoever came with a larger tree is about to have it cosigned; to come with a still larger one would overtake it in turn.
      if (shared !== undefined) await this.#pause(Math.min(endMs - beganMs, LONGEST_SIBLING_MS));
      return;
    }
    if (end === 'failed' && caller.isAwaited()) await this.#pause(this.#shortestRestMs());
  }

  /** One round, over the newest checkpoint: the same one again, where nothing was appended since and somebody has yet to cosign. */
  async #askEverybody(nowMs: number): Promise<RoundEnd> {
    const { log, clients, troubles } = this.#options;
    const tip = await log.head();
    if (this.isClosed) return 'failed';
    if (this.#current?.checkpoint !== tip.checkpoint || this.#isOld(this.#current)) {
      this.#current?.supersede();
      this.#current = new Round(tip, nowMs);
      this.#missedMs = -Infinity;
    }
    const round = this.#current;
    await round.ask(
      clients,
      this.#enough,
      (oldSize, size) => log.consistency(oldSize, size),
      (client, answer) => troubles.heard(client, answer),
    );
    if (round.count >= this.#enough) {
      this.#kept = round;
      return 'done';
    }
    if (round.overtaken === undefined) return 'failed';
    // Whoever is ahead was asked by a sibling, unless the log does not have what it cosigned.
    return (await log.head()).size >= round.overtaken ? 'overtaken' : 'failed';
  }

  /**
   * Since when it is known that the quorum cosigns: since the round began, however often it was gone on with, for most of its
   * cosignatures may be as old. What it had missed itself before it got there is made up for.
   */
  #provenMs(): number {
    return Math.max(this.#current?.beganMs ?? -Infinity, this.#missedMs);
  }

  #miss(nowMs: number): void {
    this.#missedMs = nowMs;
    this.#options.standing.missed(nowMs);
  }

  /** Whether the cosignatures of a round say nothing any more of who would cosign now. */
  #isOld(round: Round): boolean {
    return this.#options.quorum > 0 && performance.now() - round.beganMs >= this.#options.refreshMs;
  }

  /** Until one of those who have yet to cosign may be asked again. */
  #shortestRestMs(): number {
    const { clients, intervalMs } = this.#options;
    const rests = clients.filter((client) => this.#current?.isLeftAlone(client) === true).map(({ restMs }) => restMs);
    return Math.max(SHORTEST_PAUSE_MS, Math.min(intervalMs, ...rests));
  }

  async #pause(ms: number): Promise<void> {
    if (ms <= 0) return;
    await delay(ms, undefined, { signal: this.#closed.signal }).catch(() => undefined);
  }
}
