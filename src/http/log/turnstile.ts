import { BodyBudget } from '../body.js';

/** Requests that may wait; beyond that the log is overloaded and says so. */
const MAX_WAITING = 1024;
/** What answers that clients have not taken yet may hold. */
const BUDGET_BYTES = 64 * 1024 * 1024;

/**
 * Lets the work of this face through one piece at a time, each in a turn of the event loop of its own: however many tiles
 * are asked for, a release that arrives meanwhile waits for one of them and not for all.
 */
export class Turnstile {
  /** Bytes of answers under way. */
  readonly budget = new BodyBudget(BUDGET_BYTES);
  readonly #waiting: (() => Promise<void>)[] = [];
  #turning = false;

  /** Runs `work` when its turn comes; false, and nothing is run, where too many wait. `work` throws nothing. */
  enter(work: () => Promise<void>): boolean {
    if (this.#waiting.length >= MAX_WAITING) return false;
    this.#waiting.push(work);
    if (!this.#turning) {
      this.#turning = true;
      setImmediate(() => void this.#turn());
    }
    return true;
  }

  async #turn(): Promise<void> {
    await this.#waiting.shift()?.();
    this.#turning = this.#waiting.length > 0;
    if (this.#turning) setImmediate(() => void this.#turn());
  }
}
