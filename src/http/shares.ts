/** How many times what is still free one source may hold: a single one gets 4/5 of everything, two get 4/9 each, and so on. */
const TIMES_FREE = 4;

/** Why something was not given: the source has its share, or there is nothing left. */
export type Shortage = 'share' | 'full';

/**
 * Something of which there is so much and no more (places, bytes), shared among sources. A source may hold four times what
 * is free at the moment. So one source alone can have nearly everything, what is left over is always there for the next one,
 * and the fuller it gets, the less the largest holders may add: nobody has to be counted or searched for. (The dynamic
 * thresholds by which switches share their buffers: Choudhury and Hahne, 1998.)
 */
export class Shares {
  readonly capacity: number;
  readonly #bySource = new Map<string, number>();
  #held = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** How much is held, by all. */
  get held(): number {
    return this.#held;
  }

  heldBy(source: string): number {
    return this.#bySource.get(source) ?? 0;
  }

  /** Why `amount` would not be given; undefined: it would. */
  shortage(source: string, amount = 1): Shortage | undefined {
    const free = this.capacity - this.#held;
    if (amount > free) return 'full';
    return this.heldBy(source) + amount > TIMES_FREE * free ? 'share' : undefined;
  }

  /** Takes `amount` for the source; or takes nothing, and says why. */
  take(source: string, amount = 1): Shortage | undefined {
    const shortage = this.shortage(source, amount);
    if (shortage !== undefined) return shortage;
    this.#held += amount;
    this.#bySource.set(source, this.heldBy(source) + amount);
    return undefined;
  }

  /** Gives back what was taken. */
  give(source: string, amount = 1): void {
    const left = this.heldBy(source) - amount;
    this.#held -= amount;
    if (left > 0) this.#bySource.set(source, left);
    else this.#bySource.delete(source);
  }
}
