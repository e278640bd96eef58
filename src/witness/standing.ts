/** Whether the quorum was reached when it was tried last. `unknown`: nobody has tried, or not for too long to say. */
export type Reach = 'reached' | 'missed' | 'unknown';

/** What is known of the quorum without asking anybody: its last outcome, and for how long that counts. */
export class Standing {
  readonly #countsForMs: number;
  #last: { readonly reach: 'reached' | 'missed'; readonly atMs: number } | undefined;

  constructor(countsForMs: number) {
    this.#countsForMs = countsForMs;
  }

  /** It was reached at this time, or later. What was known of a later time stays. */
  reached(atMs: number): void {
    this.#know('reached', atMs);
  }

  missed(atMs: number): void {
    this.#know('missed', atMs);
  }

  at(nowMs: number): Reach {
    if (this.#last === undefined || nowMs - this.#last.atMs > this.#countsForMs) return 'unknown';
    return this.#last.reach;
  }

  #know(reach: 'reached' | 'missed', atMs: number): void {
    if (this.#last === undefined || atMs >= this.#last.atMs) this.#last = { reach, atMs };
  }
}
