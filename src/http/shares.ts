import { networksOf } from './source.js';

/** How many times what is still free one source may hold: a single one gets 4/5 of everything, two get 4/9 each, and so on. */
const TIMES_FREE = 4;
/**
 * How many times what is free all sources of one network may hold together: more than one source, so that neighbours do not
 * get into each other's way soon, and yet so little that who has a whole network, with thousands of sources, leaves something.
 */
const TIMES_FREE_OF_NETWORK = 16;

/** Why something was not given: the source has its share, or there is nothing left. */
export type Shortage = 'share' | 'full';

/**
 * Something of which there is so much and no more (places, bytes), shared among sources. A source may hold four times what
 * is free at the moment. So one source alone can have nearly everything, what is left over is always there for the next one,
 * and the fuller it gets, the less the largest holders may add: nobody has to be counted or searched for. All sources of one
 * IPv6 network together may hold sixteen times what is free. (The dynamic
 * thresholds by which switches share their buffers: Choudhury and Hahne, 1998.)
 */
export class Shares {
  readonly capacity: number;
  /** And by the networks that sources lie in. */
  readonly #bySource = new Map<string, number>();
  #held = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** How much is held, by all. */
  get held(): number {
    return this.#held;
  }

  /** What a source holds, or all of a network. */
  heldBy(source: string): number {
    return this.#bySource.get(source) ?? 0;
  }

  /** Why `amount` would not be given; undefined: it would. */
  shortage(source: string, amount = 1): Shortage | undefined {
    const free = this.capacity - this.#held;
    if (amount > free) return 'full';
    if (this.heldBy(source) + amount > TIMES_FREE * free) return 'share';
    const most = TIMES_FREE_OF_NETWORK * free;
    return networksOf(source).some((network) => this.heldBy(network) + amount > most) ? 'share' : undefined;
  }

  /** Takes `amount` for the source; or takes nothing, and says why. */
  take(source: string, amount = 1): Shortage | undefined {
    const shortage = this.shortage(source, amount);
    if (shortage !== undefined) return shortage;
    this.#held += amount;
    this.#add(source, amount);
    for (const network of networksOf(source)) this.#add(network, amount);
    return undefined;
  }

  /** Gives back what was taken. */
  give(source: string, amount = 1): void {
    this.#held -= amount;
    this.#add(source, -amount);
    for (const network of networksOf(source)) this.#add(network, -amount);
  }

  #add(holder: string, amount: number): void {
    const left = this.heldBy(holder) + amount;
    if (left > 0) this.#bySource.set(holder, left);
    else this.#bySource.delete(holder);
  }
}
