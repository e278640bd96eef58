/** A table that is fuller than this grows. */
const MAX_LOAD = 0.8;
const GROWTH = 1.4;
const MIN_SLOTS = 16;
/** Words of a key: the high and the low half of 64 bits. */
const KEY_WORDS = 2;

/**
 * A hash table from 64-bit keys to a few words each, in one typed array: open addressing, linear probing, no object per
 * entry. Between 4 * (2 + words) / 0.8 and 1.4 times as many bytes an entry: 30 to 42 for four words. Keys are
 * hashes already, and are never 0.
 */
export class CompactTable {
  readonly #stride: number;
  #words: Uint32Array;
  #slots: number;
  #size = 0;

  /** `words`: how many there are to a key. */
  constructor(words: number) {
    this.#stride = KEY_WORDS + words;
    this.#slots = MIN_SLOTS;
    this.#words = new Uint32Array(this.#slots * this.#stride);
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes of memory. */
  get bytes(): number {
    return this.#words.byteLength;
  }

  /** Where the words of a key are, for `word` and `setWord` until the next change; -1 where there are none. */
  find(high: number, low: number): number {
    const slot = this.#probe(high, low);
    return this.#isEmpty(slot) ? -1 : slot * this.#stride + KEY_WORDS;
  }

  /** As `find`; makes the words, all 0, where there are none. */
  insert(high: number, low: number): number {
    let slot = this.#probe(high, low);
    if (this.#isEmpty(slot)) {
      if (this.#size + 1 > this.#slots * MAX_LOAD) {
        this.#grow();
        slot = this.#probe(high, low);
      }
      this.#words[slot * this.#stride] = high;
      this.#words[slot * this.#stride + 1] = low;
      this.#size++;
    }
    return slot * this.#stride + KEY_WORDS;
  }

  word(at: number): number {
    return this.#words[at] ?? 0;
  }

  setWord(at: number, value: number): void {
    this.#words[at] = value;
  }

  /** Closes the gap: what was pushed past the slot moves back, so that no probe ends early. */
  delete(high: number, low: number): void {
    let gap = this.#probe(high, low);
    if (this.#isEmpty(gap)) return;
    this.#size--;
    for (let next = this.#after(gap); !this.#isEmpty(next); next = this.#after(next)) {
      const home = this.#home(this.#words[next * this.#stride] ?? 0);
      const stays = gap < next ? gap < home && home <= next : gap < home || home <= next;
      if (stays) continue;
      this.#words.copyWithin(gap * this.#stride, next * this.#stride, (next + 1) * this.#stride);
      gap = next;
    }
    this.#words.fill(0, gap * this.#stride, (gap + 1) * this.#stride);
  }

  /** The slot of a key, or the empty one where it would be. */
  #probe(high: number, low: number): number {
    let slot = this.#home(high);
    while (!this.#isEmpty(slot)) {
      const at = slot * this.#stride;
      if (this.#words[at] === high && this.#words[at + 1] === low) return slot;
      slot = this.#after(slot);
    }
    return slot;
  }

  #home(high: number): number {
    return Math.floor((high / 2 ** 32) * this.#slots);
  }

  #after(slot: number): number {
    return slot + 1 === this.#slots ? 0 : slot + 1;
  }

  #isEmpty(slot: number): boolean {
    const at = slot * this.#stride;
    return this.#words[at] === 0 && this.#words[at + 1] === 0;
  }

  #grow(): void {
    const old = this.#words;
    this.#slots = Math.ceil(this.#slots * GROWTH);
    this.#words = new Uint32Array(this.#slots * this.#stride);
    for (let at = 0; at < old.length; at += this.#stride) {
      const [high = 0, low = 0] = [old[at], old[at + 1]];
      if (high === 0 && low === 0) continue;
      const to = this.#probe(high, low) * this.#stride;
      for (let word = 0; word < this.#stride; word++) this.#words[to + word] = old[at + word] ?? 0;
    }
  }
}
