import { hash } from 'node:crypto';
import { equalBytes } from '../../bytes/equal.js';
import { macOfFields } from '../../crypto/derive.js';
import { StoreIntegrityError } from '../../release/store.js';

/** How much of a row's MAC is remembered and summed up. */
export const HELD_MAC_BYTES = 16;
const SUM_BYTES = 32;
/** The block of SHA-256. */
const BLOCK_BYTES = 64;
const KEY_BYTES = 32;
/** Two ids of 512 characters and what is between them: no label that was set is longer. */
export const MAX_LABEL_BYTES = 1025;

/** What the contents of the tables are summed up under: both are derived from the row-MAC key, and neither authenticates rows. */
export class ContentsKeys {
  readonly #rowMacKey: Buffer;
  /** For LabelHash. */
  readonly labelSeed: Buffer;
  readonly #setKey: Buffer;

  constructor(rowMacKey: Uint8Array) {
    this.#rowMacKey = Buffer.from(rowMacKey);
    this.labelSeed = macOfFields(rowMacKey, ['contents', 'label hash', 'v1']);
    this.#setKey = macOfFields(rowMacKey, ['contents', 'set key', 'v1']);
  }

  elementsOf(table: string): SetHash {
    return new SetHash(this.#setKey, table);
  }

  /** What may stand in the file of a sum: hex. The sum itself must not. */
  seal(table: string, count: number, sum: Uint8Array): string {
    return macOfFields(this.#rowMacKey, ['contents', table, String(count), sum]).toString('hex');
  }
}

/**
 * One table's part of a keyed multiset hash (after MSet-XOR-Hash of Clarke, Devadas, van Dijk, Gassend and Suh, "Incremental
 * multiset hash functions", 2003): each row gives SHA-256(set key in a block of its own || table || MAC || label),
 * every field behind its length so that no input begins another, and a set is the exclusive or of its elements. Adding or taking away a row is one hash.
 * Elements and sums stay in memory: whoever knew them could look for other sets with the same sum by linear algebra.
 */
export class SetHash {
  readonly #input: Buffer;
  readonly #start: number;
  /** The first N bytes of the input, by N. */
  readonly #inputs: Buffer[] = [];

  constructor(key: Buffer, table: string) {
    if (key.length !== KEY_BYTES) throw new RangeError('the set key must be 32 bytes');
    const name = Buffer.from(table, 'utf8');
    this.#start = BLOCK_BYTES + 1 + name.length;
    this.#input = Buffer.alloc(this.#start + HELD_MAC_BYTES + 2 + MAX_LABEL_BYTES);
    key.copy(this.#input);
    this.#input.writeUInt8(name.length, BLOCK_BYTES);
    name.copy(this.#input, BLOCK_BYTES + 1);
  }

  /** Adds a row to the sum where it is not in it, and takes it away where it is. `mac`: at least HELD_MAC_BYTES. */
  toggle(sum: SetSum, label: string, mac: Uint8Array): void {
    const length = Buffer.byteLength(label);
    if (length > MAX_LABEL_BYTES || mac.length < HELD_MAC_BYTES) {
      throw new StoreIntegrityError('a row has an id or a MAC that no row was given');
    }
    const input = this.#input;
    let at = this.#start;
    input.set(mac.length === HELD_MAC_BYTES ? mac : mac.subarray(0, HELD_MAC_BYTES), at);
    at += HELD_MAC_BYTES;
    at = input.writeUInt16BE(length, at);
    at += input.write(label, at, 'utf8');
    // As a string of bytes: four times as fast as a Buffer, and a start reads every row.
    sum.toggle(hash('sha256', (this.#inputs[at] ??= input.subarray(0, at)), 'binary'));
  }
}

/** An exclusive or of elements. */
export class SetSum {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array = new Uint8Array(SUM_BYTES)) {
    this.#bytes = bytes;
  }

  /** `element`: a character for each byte. */
  toggle(element: string): void {
    const bytes = this.#bytes;
    for (let at = 0; at < SUM_BYTES; at++) bytes[at] = (bytes[at] ?? 0) ^ element.charCodeAt(at);
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  copy(): SetSum {
    return new SetSum(Uint8Array.from(this.#bytes));
  }

  equals(other: SetSum): boolean {
    return equalBytes(this.#bytes, other.#bytes);
  }
}
