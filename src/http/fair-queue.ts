/** Holds what waits, first in first out for each source, and gives it out one source after the other: nobody waits behind all that another one sent. */
export class FairQueue<T> {
  /** In the order of turns: a Map keeps the order of insertion. */
  readonly #bySource = new Map<string, T[]>();
  #size = 0;

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** How many sources they are of. */
  get sources(): number {
    return this.#bySource.size;
  }

  /** How many of a source wait. */
  of(source: string): number {
    return this.#bySource.get(source)?.length ?? 0;
  }

  push(source: string, item: T): void {
    const waiting = this.#bySource.get(source);
    if (waiting === undefined) this.#bySource.set(source, [item]);
    else waiting.push(item);
    this.#size++;
  }

  /** The next one, undefined where none waits. Its source goes to the end of the line. */
  shift(): T | undefined {
    for (const [source, waiting] of this.#bySource) {
      const item = waiting.shift();
      this.#bySource.delete(source);
      if (waiting.length > 0) this.#bySource.set(source, waiting);
      this.#size--;
      return item;
    }
    return undefined;
  }
}
