import { hash } from 'node:crypto';
import { HASH_BYTES, rootOfPeaks } from '../translog/merkle.js';
import { TILE_WIDTH } from '../translog/tile.js';

/*
 * Hashing of whole tiles, in place. Digests are taken as strings of latin-1, one character a byte: Node makes one of those
 * in a third of the time that it takes to make a Buffer.
 */

const NODE_PREFIX = 0x01;
const node = Buffer.alloc(1 + 2 * HASH_BYTES, NODE_PREFIX);
const row = Buffer.alloc(TILE_WIDTH * HASH_BYTES);

/** The hash of the perfect subtree over `count` (1, 2, 4 … 256) hashes that stand side by side from position `first` on. */
export function subtreeHash(hashes: Buffer, first: number, count: number): Buffer {
  hashes.copy(row, 0, first * HASH_BYTES, (first + count) * HASH_BYTES);
  for (let rest = count; rest > 1; rest /= 2) {
    for (let at = 0; at < rest; at += 2) {
      row.copy(node, 1, at * HASH_BYTES, (at + 2) * HASH_BYTES);
      row.write(hash('sha256', node, 'binary'), (at / 2) * HASH_BYTES, 'latin1');
    }
  }
  return Buffer.from(row.subarray(0, HASH_BYTES));
}

/** The hashes at the right edge of a tree, by tile level: `count` of them, fewer than 256, at the start of each buffer. */
export type RightEdge = readonly { readonly hashes: Buffer; readonly count: number }[];

/** The root of a tree from the partial tiles at its right edge, level 0 first. They are all that its root is made of. */
export function rootOfEdge(edge: RightEdge): Buffer {
  const peaks: Buffer[] = [];
  for (const { hashes, count } of edge.toReversed()) {
    let first = 0;
    for (let size = TILE_WIDTH / 2; size >= 1; size /= 2) {
      if (count - first < size) continue;
      peaks.push(subtreeHash(hashes, first, size));
      first += size;
    }
  }
  return rootOfPeaks(peaks);
}
