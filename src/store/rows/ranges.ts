/** Labels of one range, about. */
export const RANGE_LABELS = 1024;

/** A piece of the labels in their order: from `from` on, before `before`. */
export interface Span {
  /** Empty: from the first one on. */
  readonly from: string;
  /** undefined: to the last one. */
  readonly before: string | undefined;
  /** Whether it is one range: what is read of it may be used to split it. */
  readonly single: boolean;
}

/** How many labels there are from `start` on, before the start of the next part. */
export interface RangePart {
  readonly start: string;
  readonly count: number;
}

/**
 * How many labels of a table lie between certain ones of them: enough to say of a page that none is missing from it, without
 * the labels themselves in memory. A label greater than all others opens a new range where the last one is full; a range
 * that has grown otherwise is split by whoever has just read it. Bounds are never taken away.
 */
export class Ranges {
  readonly #starts: string[] = [''];
  readonly #counts: number[] = [0];
  #greatest = '';

  add(label: string): void {
    if (label > this.#greatest) {
      this.#greatest = label;
      if ((this.#counts.at(-1) ?? 0) >= RANGE_LABELS) {
        this.#starts.push(label);
        this.#counts.push(0);
      }
    }
    this.#count(label, 1);
  }

  remove(label: string): void {
    this.#count(label, -1);
  }

  /** The ranges that hold all labels after `after` up to `last`; undefined: from the first, to the last. */
  cover(after: string | undefined, last: string | undefined): Span {
    const first = after === undefined ? 0 : this.#indexOf(after);
    const end = last === undefined ? this.#starts.length : this.#indexOf(last) + 1;
    return { from: this.#starts[first] ?? '', before: this.#starts[end], single: end === first + 1 };
  }

  /** Of a span that `cover` gave, now or before. */
  countIn({ from, before }: Pick<Span, 'from' | 'before'>): number {
    const end = before === undefined ? this.#counts.length : this.#indexOf(before);
    let count = 0;
    for (let at = this.#indexOf(from); at < end; at++) count += this.#counts[at] ?? 0;
    return count;
  }

  /** Splits one range into parts, the first of which starts where it does; does nothing where they do not add up to it. */
  split(parts: readonly RangePart[]): void {
    const at = this.#indexOf(parts[0]?.start ?? '');
    if (parts.reduce((sum, { count }) => sum + count, 0) !== this.#counts[at]) return;
    this.#starts.splice(at + 1, 0, ...parts.slice(1).map(({ start }) => start));
    this.#counts.splice(at, 1, ...parts.map(({ count }) => count));
  }

  #count(label: string, by: 1 | -1): void {
    const at = this.#indexOf(label);
    this.#counts[at] = (this.#counts[at] ?? 0) + by;
  }

  /** The range that a label lies in. */
  #indexOf(label: string): number {
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] ?? '') <= label) low = middle;
      else high = middle;
    }
    return low;
  }
}
