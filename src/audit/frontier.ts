import { HASH_BYTES } from '../translog/merkle.js';
import { MAX_TILE_LEVEL, TILE_WIDTH } from '../translog/tile.js';
import { rootOfEdge, subtreeHash } from './subtree.js';

/** A tile that became full. */
export interface FullTile {
  readonly level: number;
  readonly index: number;
  readonly hashes: Buffer;
}

/**
 * A tree that is recomputed leaf by leaf, of which only the right edge is kept: at most 255 hashes a tile level, however
 * large it grows. Unlike a log's own appender it starts from partial tiles, so that it can name every tile of the tree.
 */
export class Frontier {
  readonly #levels: Level[] = [];
  readonly #full: FullTile[] = [];
  #size: number;

  /** The tree of this size with these partial tiles, level 0 first; copied. Throws RangeError where they do not fit the size. */
  constructor(size = 0, partial: readonly Uint8Array[] = []) {
    if (!Number.isSafeInteger(size) || size < 0) throw new RangeError('not a tree size');
    this.#size = size;
    for (let level = 0; level <= MAX_TILE_LEVEL; level++) {
      const given = partial[level] ?? new Uint8Array();
      const count = Math.floor(size / TILE_WIDTH ** level) % TILE_WIDTH;
      if (given.length !== count * HASH_BYTES) throw new RangeError('not the partial tiles of a tree of this size');
      const hashes = Buffer.alloc(TILE_WIDTH * HASH_BYTES);
      hashes.set(given);
      this.#levels.push({ hashes, count });
    }
    if (partial.length > this.#levels.length) throw new RangeError('a tree has no such level');
  }

  get size(): number {
    return this.#size;
  }

  /** Appends a leaf by its hash, as latin-1: one character a byte. */
  append(leafHash: string): void {
    const leaves = this.#level(0);
    leaves.hashes.write(leafHash, leaves.count * HASH_BYTES, 'latin1');
    this.#size++;
    this.#count(leaves, 0);
  }

  /** The tiles that became full since the last call, in order; that of the lowest level first where one leaf filled several. */
  takeFull(): readonly FullTile[] {
    return this.#full.splice(0);
  }

  /** The hashes of the partial tile of a level: none where the last one is full. A view. */
  partial(level: number): Buffer {
    const { hashes, count } = this.#level(level);
    return hashes.subarray(0, count * HASH_BYTES);
  }

  /** All partial tiles, level 0 first: what the constructor takes. Views. */
  partials(): readonly Buffer[] {
    return this.#levels.map((_, level) => this.partial(level));
  }

  root(): Buffer {
    return rootOfEdge(this.#levels);
  }

  /** Counts one hash more; a tile that is full goes out, and its hash into the one above. */
  #count(tile: Level, level: number): void {
    tile.count++;
    if (tile.count < TILE_WIDTH) return;
    tile.count = 0;
    const hashes = Buffer.from(tile.hashes);
    this.#full.push({ level, index: this.#size / TILE_WIDTH ** (level + 1) - 1, hashes });
    const above = this.#level(level + 1);
    subtreeHash(hashes, 0, TILE_WIDTH).copy(above.hashes, above.count * HASH_BYTES);
    this.#count(above, level + 1);
  }

  #level(level: number): Level {
    const found = this.#levels[level];
    if (found === undefined) throw new RangeError('a tree has no such level');
    return found;
  }
}

interface Level {
  readonly hashes: Buffer;
  count: number;
}
