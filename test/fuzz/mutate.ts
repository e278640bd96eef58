/** A small generator of pseudo-random numbers (xorshift32), so that a run can be repeated from its seed. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** An integer from 0 to below `bound`. */
  below(bound: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % bound;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  }
}

const INTERESTING = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x10, 0x20, 0x22, 0x2c, 0x5b, 0x5d, 0x7b, 0x7d, 0x5c, 0x3a];
const MAX_INPUT = 1 << 16;

/** A changed copy of a seed: 1 to 8 mutations of the kinds that parsers trip over. */
export function mutate(dice: Dice, seed: Buffer, others: readonly Buffer[]): Buffer {
  let bytes: Buffer = Buffer.from(seed);
  for (let left = 1 + dice.below(8); left > 0; left--) bytes = mutateOnce(dice, bytes, others).subarray(0, MAX_INPUT);
  return bytes;
}

function mutateOnce(dice: Dice, bytes: Buffer, others: readonly Buffer[]): Buffer {
  const at = dice.below(bytes.length + 1);
  const room = bytes.length - at;
  switch (dice.below(9)) {
    case 0: // flip a bit
      if (room > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << dice.below(8));
      return bytes;
    case 1: // an interesting byte
      if (room > 0) bytes[at] = dice.pick(INTERESTING);
      return bytes;
    case 2: // an interesting size or count
      if (room >= 2)
        bytes.writeUInt16BE(dice.pick([0, 1, 0x7fff, 0x8000, 0xffff, room, room - 2, room + 1]) & 0xffff, at);
      return bytes;
    case 3: // 32 bits of it
      if (room >= 4) bytes.writeUInt32BE(dice.pick([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, room]), at);
      return bytes;
    case 4: // cut off
      return bytes.subarray(0, at);
    case 5: // take out
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + dice.below(16)))]);
    case 6: // say again
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - dice.below(64)))]);
    case 7: {
      // cross with another seed
      const other = dice.pick(others);
      return Buffer.concat([bytes.subarray(0, at), other.subarray(dice.below(other.length + 1))]);
    }
    default: {
      // put bytes in
      const extra = Buffer.alloc(1 + dice.below(12), dice.below(256));
      return Buffer.concat([bytes.subarray(0, at), extra, bytes.subarray(at)]);
    }
  }
}
