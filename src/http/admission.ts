import { performance } from 'node:perf_hooks';
import { FairQueue } from './fair-queue.js';
import type { LoadObserver } from './ports.js';
import { Shares } from './shares.js';

/** Why a request is not let in: its source has more than its share under way, or there is more than can be done in time. */
export type Refused = 'share' | 'overload';

export interface AdmissionLimits {
  /** Requests that wait or are under way. */
  readonly places: number;
  /** Requests of one source that wait or are under way, whatever the others have; default: its share of the places. */
  readonly placesEach?: number;
  /** How long the work of one turn of the event loop may take before the rest waits for the next. */
  readonly turnMs: number;
  /** How long a request may have to wait to be let in; beyond that it is refused. */
  readonly maxWaitMs: number;
  /** So many may wait however long it takes: a burst of them is no overload, on a slow machine neither. */
  readonly unhurried: number;
}

/** What part of a turn's time requests have while connections queue up: Node accepts one a turn, so turns are to be short then. */
const HURRIED = 1 / 8;
/** Turns in a row that each accepted a connection, which is what a queue of them looks like from here. */
const QUEUE_OF_CONNECTIONS = 4;
/** How often `turnMs` the work of one turn is stretched to at most, where the rest of the turn takes as much time. */
const MAX_STRETCH = 2;
/** Weight of the newest measurement. */
const NEWEST = 0.3;
const FIRST_GUESS_MS = 0.3;
const LEAST_COST_MS = 0.01;

/**
 * Lets requests in as fast as they can be worked off, fairly, and refuses the rest at once: what is let in is answered in
 * bounded time, however much arrives. The measure is the turn of the event loop. Nothing else in the process runs until a
 * turn has ended, so each does work for `turnMs` and what is left waits in a queue, sources taking turns; the pace at which
 * that queue moves says how long one more would wait. Nothing is promised to a source that goes beyond its share of the places.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #load: LoadObserver | undefined;
  readonly #nowMs: () => number;
  readonly #accepted: () => number;
  /** At the end of the turn before this one. */
  #acceptedBefore = 0;
  #acceptingTurns = 0;
  readonly #places: Shares;
  readonly #queue = new FairQueue<() => void>();
  /** Refusals that are to be answered. */
  #refusals: (() => void)[] = [];
  /** Whether the end of this turn is awaited. */
  #turning = false;
  #turnStartedAtMs = 0;
  /** How many this turn let in before it had done enough. */
  #direct = 0;
  /** What the newest turn let out of the queue. */
  #let = { count: 0, atMs: 0 };
  /** What one request costs the turn in which it is let in, ms. */
  #costMs = FIRST_GUESS_MS;
  #measured = false;
  /** How many leave the queue in a ms while it moves, all else that the process does included. */
  #perMs = 1 / FIRST_GUESS_MS;

  /** `accepted` is how many connections were ever accepted. */
  constructor(
    limits: AdmissionLimits,
    load?: LoadObserver,
    accepted: () => number = () => 0,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#limits = limits;
    this.#accepted = accepted;
    this.#load = load;
    this.#nowMs = nowMs;
    this.#places = new Shares(limits.places);
  }

  /** Requests that wait or are under way. */
  get held(): number {
    return this.#places.held;
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Why a request of the source would be refused now; asked before its body is read, and counted as a refusal. */
  refusal(source: string): Refused | undefined {
    return this.#counted(this.#shortage(source) ?? this.#late(source));
  }

  /**
   * Undefined once the request may go on: at once, or, as a promise, when it is its turn. It then has a place, which `leave`
   * gives back.
   */
  enter(source: string): Refused | undefined | Promise<undefined> {
    const shortage = this.#shortage(source);
    if (shortage !== undefined) return this.#counted(shortage);
    const nowMs = this.#nowMs();
    if (!this.#turning) this.#openTurn(nowMs);
    if (this.#queue.size === 0 && nowMs - this.#turnStartedAtMs < this.#turnMs()) {
      this.#places.take(source);
      this.#direct++;
      return undefined;
    }
    if (this.#queue.size === 0) this.#learnCost(nowMs - this.#turnStartedAtMs, this.#direct);
    const late = this.#late(source);
    if (late !== undefined) return this.#counted(late);
    this.#places.take(source);
    return new Promise((resolve) => {
      this.#queue.push(source, () => {
        this.#load?.waited(this.#nowMs() - nowMs);
        resolve(undefined);
      });
    });
  }

  /** Gives back the place of a request that was let in. */
  leave(source: string): void {
    this.#places.give(source);
  }

  /**
   * Answers a refusal when there is time for it: in each turn for half as long as requests are let in. Clients that come back
   * at once make no turn longer thereby; and Node accepts one new connection a turn. `send` throws nothing.
   */
  answer(send: () => void): void {
    this.#refusals.push(send);
    if (!this.#turning) this.#openTurn(this.#nowMs());
  }

  #shortage(source: string): Refused | undefined {
    const { placesEach } = this.#limits;
    if (placesEach !== undefined && this.#places.heldBy(source) >= placesEach) return 'share';
    const shortage = this.#places.shortage(source);
    return shortage === 'full' ? 'overload' : shortage;
  }

  /** By where the request would stand, given that sources take turns. */
  #late(source: string): Refused | undefined {
    const { size, sources } = this.#queue;
    const own = this.#queue.of(source);
    const place = Math.min(size + 1, (own + 1) * (own === 0 ? sources + 1 : sources));
    const pace = Math.min(this.#perMs, 1 / this.#costMs);
    if (place <= this.#limits.unhurried || place <= this.#limits.maxWaitMs * pace) return undefined;
    return sources > 1 && own * sources > size ? 'share' : 'overload';
  }

  #counted(refused: Refused | undefined): Refused | undefined {
    if (refused !== undefined) this.#load?.shed(`request.${refused}`);
    return refused;
  }

  /** Two of them, since what the first one lets in has run when the second is called, and nothing else has. */
  #openTurn(nowMs: number): void {
    this.#turning = true;
    this.#turnStartedAtMs = nowMs;
    this.#direct = 0;
    setImmediate(this.#letIn);
    setImmediate(this.#endTurn);
  }

  /** How long this turn may be at work. */
  #turnMs(): number {
    const { turnMs } = this.#limits;
    return this.#acceptingTurns < QUEUE_OF_CONNECTIONS ? turnMs : turnMs * HURRIED;
  }

  #learnCost(tookMs: number, count: number): void {
    if (count === 0) return;
    const costMs = Math.max(tookMs / count, LEAST_COST_MS);
    this.#costMs += (this.#measured ? NEWEST : 1) * (costMs - this.#costMs);
    this.#measured = true;
  }

  readonly #letIn = (): void => {
    const nowMs = this.#nowMs();
    const sinceMs = nowMs - this.#let.atMs;
    const moved = this.#let.count;
    if (moved > 0 && sinceMs > 0) this.#perMs += NEWEST * (moved / sinceMs - this.#perMs);
    // At least as long as the rest of the turn took, refusals above all: they never get more than half of the time.
    const turnMs = this.#turnMs();
    const budgetMs =
      moved > 0 ? Math.min(Math.max(turnMs, sinceMs - moved * this.#costMs), MAX_STRETCH * turnMs) : turnMs;
    const count = Math.min(this.#queue.size, Math.max(1, Math.floor(budgetMs / this.#costMs)));
    for (let i = 0; i < count; i++) this.#queue.shift()?.();
    this.#let = { count, atMs: nowMs };
  };

  readonly #endTurn = (): void => {
    const nowMs = this.#nowMs();
    const { count, atMs } = this.#let;
    this.#learnCost(nowMs - atMs, count);
    this.#sendRefusals(nowMs + this.#turnMs() / 2);
    const accepted = this.#accepted();
    this.#acceptingTurns = accepted === this.#acceptedBefore ? 0 : this.#acceptingTurns + 1;
    this.#acceptedBefore = accepted;
    if (this.#queue.size > 0 || this.#refusals.length > 0) {
      this.#openTurn(this.#nowMs());
    } else {
      this.#turning = false;
      this.#let = { count: 0, atMs: 0 };
    }
  };

  #sendRefusals(untilMs: number): void {
    let sent = 0;
    for (const send of this.#refusals) {
      if (sent > 0 && this.#nowMs() >= untilMs) break;
      send();
      sent++;
    }
    this.#refusals = this.#refusals.slice(sent);
  }
}
