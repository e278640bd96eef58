/** Figures of repeated runs. Nothing here knows what was measured. */

/** One figure over all rounds: its median and how far it spread. */
export interface Figure {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** As measured, in the order of the rounds. */
  readonly rounds: readonly number[];
}

export function figureOf(rounds: readonly number[]): Figure {
  return { median: median(rounds), min: Math.min(...rounds), max: Math.max(...rounds), rounds };
}

/** The middle value; the mean of the two middle ones for an even count. RangeError for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  if (upper === undefined || lower === undefined) throw new RangeError('no median of nothing');
  return (lower + upper) / 2;
}

/**
 * The smallest value that at least the share `q` (0 to 1) of the values do not exceed: nothing is interpolated, so a p99.9
 * of fewer than 1000 values is the largest of them. `ascending` is sorted. RangeError for no values.
 */
export function quantile(ascending: Float64Array, q: number): number {
  const at = Math.min(ascending.length, Math.max(1, Math.ceil(ascending.length * q)));
  const value = ascending[at - 1];
  if (value === undefined) throw new RangeError('no quantile of nothing');
  return value;
}

/** Half of the distance between smallest and largest round, as a share of the median. */
export function spreadOf({ median: middle, min, max }: Pick<Figure, 'median' | 'min' | 'max'>): number {
  return middle === 0 ? 0 : (max - min) / 2 / Math.abs(middle);
}
