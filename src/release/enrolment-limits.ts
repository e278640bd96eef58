/** How often something may happen at once, and how fast that refills. */
export interface BucketSize {
  readonly size: number;
  /** For one more. */
  readonly refillMs: number;
}

/** Names whose buckets are remembered; the one longest unseen is forgotten first. */
const MAX_BUCKETS = 10_000;

/** Buckets by name, of one process. */
export class Buckets {
  readonly #size: BucketSize;
  readonly #buckets = new Map<string, { readonly left: number; readonly atMs: number }>();

  constructor(size: BucketSize) {
    this.#size = size;
  }

  /** Whether it may happen once more, which is then taken. */
  take(name: string, nowMs: number): boolean {
    const { size, refillMs } = this.#size;
    const known = this.#buckets.get(name) ?? { left: size, atMs: nowMs };
    const left = Math.min(size, known.left + Math.max(0, nowMs - known.atMs) / refillMs);
    this.#buckets.delete(name);
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size < MAX_BUCKETS) break;
      this.#buckets.delete(oldest);
    }
    this.#buckets.set(name, { left: left >= 1 ? left - 1 : left, atMs: nowMs });
    return left >= 1;
  }
}

/** What enrolments may write, by the SPKI hash of the EK: its TPM can enrol again and again, and the log forgets nothing. */
export class EnrolmentLimits {
  /** Whoever has the certificate of an EK can claim an AK for it. */
  readonly conflicts = new Buckets({ size: 5, refillMs: 60_000 });
  /** A TPM makes an AK at each boot, or for each of its systems. */
  readonly changes = new Buckets({ size: 64, refillMs: 15_000 });
}
