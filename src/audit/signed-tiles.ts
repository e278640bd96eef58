import { MalformedError } from '../bytes/malformed-error.js';
import type { TreeHead } from '../translog/checkpoint.js';
import { HASH_BYTES, rootOfPeaks } from '../translog/merkle.js';
import { overTiles, type TileHashes } from '../translog/stored-tree.js';
import { MAX_TILE_LEVEL, TILE_WIDTH, tileCount, tilePath } from '../translog/tile.js';
import { peaksOf } from '../translog/tree-appender.js';
import { readHashes } from './read-tiles.js';
import type { LogSource } from './source.js';
import { rootOfEdge, subtreeHash } from './subtree.js';

/** A hash tile is not the one of the signed tree. */
export class UnsignedTileError extends Error {
  override readonly name = 'UnsignedTileError';
  /** The path of the tile, where it is one alone. */
  readonly path: string | undefined;

  constructor(message: string, path?: string) {
    super(message);
    this.path = path;
  }
}

/** Tiles that are remembered: a tree of 2^40 leaves is walked along its edge with far fewer. */
const MAX_CACHED = 64;

/**
 * The hash tiles of a tree whose root is signed. Each one handed out is authentic: the partial tiles hash to the root
 * together, and a full tile to its hash in the tile above it. So any part of a log is verified without reading the rest.
 */
export class SignedTiles {
  readonly head: TreeHead;
  readonly #source: LogSource;
  readonly #edge: readonly Buffer[];
  readonly #cache = new Map<string, Promise<Buffer>>();

  private constructor(source: LogSource, head: TreeHead, edge: readonly Buffer[]) {
    this.#source = source;
    this.head = head;
    this.#edge = edge;
  }

  /** Reads the right edge of the tree. Throws UnsignedTileError where it does not give the root; LogSourceError. */
  static async open(source: LogSource, head: TreeHead): Promise<SignedTiles> {
    const edge: Buffer[] = [];
    for (let level = 0; level <= MAX_TILE_LEVEL; level++) {
      const { full, partialWidth: width } = tileCount(head.size, level);
      edge.push(width === 0 ? Buffer.alloc(0) : await readUnsigned(source, level, full, width));
    }
    const root = rootOfEdge(edge.map((hashes) => ({ hashes, count: hashes.length / HASH_BYTES })));
    if (!root.equals(head.root)) {
      throw new UnsignedTileError('the hash tiles at the end of the log do not give the root that the checkpoint has');
    }
    return new SignedTiles(source, head, edge);
  }

  /** The hashes of a tile of the tree, partial where it is. A view. Throws UnsignedTileError, LogSourceError. */
  async tile(level: number, index: number): Promise<Buffer> {
    const { full, partialWidth } = tileCount(this.head.size, level);
    const edge = index === full && partialWidth > 0 ? this.#edge[level] : undefined;
    if (edge !== undefined) return edge;
    if (index >= full) throw new RangeError('the tree has no such tile');
    const path = tilePath({ level, index, width: TILE_WIDTH });
    const known = this.#cache.get(path);
    if (known !== undefined) return known;
    const reading = this.#readFull(path, level, index);
    this.#cache.set(path, reading);
    const oldest = this.#cache.size > MAX_CACHED ? this.#cache.keys().next() : undefined;
    if (oldest?.done === false) this.#cache.delete(oldest.value);
    try {
      return await reading;
    } catch (error) {
      this.#cache.delete(path);
      throw error;
    }
  }

  async #readFull(path: string, level: number, index: number): Promise<Buffer> {
    const above = await this.tile(level + 1, Math.floor(index / TILE_WIDTH));
    const hashes = await readUnsigned(this.#source, level, index, TILE_WIDTH);
    const slot = (index % TILE_WIDTH) * HASH_BYTES;
    if (!subtreeHash(hashes, 0, TILE_WIDTH).equals(above.subarray(slot, slot + HASH_BYTES))) {
      throw new UnsignedTileError(`${path} is not the hash tile of the signed tree`, path);
    }
    return hashes;
  }

  /** The root of the tree as it was at this size, which is at most that of now. */
  async rootAt(size: number): Promise<Buffer> {
    return rootOfPeaks(await overTiles(this.#hashes, (node) => peaksOf(size, node)));
  }

  /** What is asked for is part of one tile: the nodes of a tile level that one node is computed from. */
  readonly #hashes: TileHashes = async (level, start, count) => {
    const tile = await this.tile(level, Math.floor(start / TILE_WIDTH));
    const first = start % TILE_WIDTH;
    return Array.from({ length: count }, (_, at) => {
      return tile.subarray((first + at) * HASH_BYTES, (first + at + 1) * HASH_BYTES);
    });
  };
}

async function readUnsigned(source: LogSource, level: number, index: number, width: number): Promise<Buffer> {
  try {
    return await readHashes(source, { level, index, width });
  } catch (error) {
    if (error instanceof MalformedError) throw new UnsignedTileError(error.message, tilePath({ level, index, width }));
    throw error;
  }
}
