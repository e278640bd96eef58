/** A source of cryptographically secure random bytes, handed to the core by the roots. */
export type Random = (bytes: number) => Buffer;

const POOL_BYTES = 4096;
/** What is longer is drawn by itself. */
const MAX_POOLED_BYTES = 64;

/**
 * The same source, asked for 4 KiB at a time: a draw costs the same whether it is 16 bytes or many. What has been handed
 * out is overwritten here.
 */
export function pooled(source: Random): Random {
  let pool: Buffer = Buffer.alloc(0);
  let at = 0;
  return (bytes) => {
    if (bytes > MAX_POOLED_BYTES) return source(bytes);
    if (at + bytes > pool.length) {
      pool.fill(0);
      // Where the source throws, nothing is left to be drawn from: what is in the pool now are zeros.
      at = pool.length;
      pool = source(POOL_BYTES);
      at = 0;
    }
    const taken = pool.subarray(at, at + bytes);
    const copy = Buffer.from(taken);
    taken.fill(0);
    at += bytes;
    return copy;
  };
}
