/**
 * Spreads labels over a hash table: HalfSipHash-2-4 with 64 bits of output (Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF"), over UTF-16 units, two to a word. Keyed, so that nobody who names things can make labels collide; it
 * authenticates nothing. One object, reused: the result stands in `high` and `low`, never both zero.
 */
export class LabelHash {
  readonly #k0: number;
  readonly #k1: number;
  high = 0;
  low = 0;

  /** `seed`: 8 bytes or more, of which the first 8 count. */
  constructor(seed: Buffer) {
    this.#k0 = seed.readInt32LE(0);
    this.#k1 = seed.readInt32LE(4);
  }

  of(label: string): this {
    let v0 = this.#k0;
    let v1 = this.#k1 ^ 0xee;
    let v2 = this.#k0 ^ 0x6c796765;
    let v3 = this.#k1 ^ 0x74656462;
    const units = label.length;
    // The last word has the odd unit, if there is one, and the length; two steps without a word end the hash.
    const words = (units >>> 1) + 1;
    for (let step = 0; step < words + 2; step++) {
      let word = 0;
      if (step < words) {
        const at = 2 * step;
        const first = at < units ? label.charCodeAt(at) : 0;
        word = first | ((at + 1 < units ? label.charCodeAt(at + 1) : units << 8) << 16);
        v3 ^= word;
      } else if (step === words) {
        v2 ^= 0xee;
      } else {
        this.low = (v1 ^ v3) >>> 0;
        v1 ^= 0xdd;
      }
      for (let round = step < words ? 2 : 4; round > 0; round--) {
        v0 = (v0 + v1) | 0;
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
        v0 = (v0 << 16) | (v0 >>> 16);
        v2 = (v2 + v3) | 0;
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
        v2 = (v2 << 16) | (v2 >>> 16);
      }
      v0 ^= word;
    }
    this.high = (v1 ^ v3) >>> 0;
    if (this.low === 0 && this.high === 0) this.low = 1;
    return this;
  }
}
