/**
 * The Merkle tree of RFC 6962, section 2.1, with SHA-256. A node is named by its level and its index within the level:
 * node (l, i) is the hash of the perfect subtree over the leaves [i * 2^l, (i + 1) * 2^l). Sizes and indexes are safe
 * integers; bit operators are not used on them, since those end at 32 bits.
 */
import { hash } from 'node:crypto';
import { sha256 } from '../crypto/digest.js';

export const HASH_BYTES = 32;
/** A proof of a tree of up to 2^53 leaves has no more hashes than this. */
export const MAX_PROOF_HASHES = 63;

const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;
/** Entries up to this length are hashed without an allocation. */
const LEAF_INPUT_BYTES = 16 * 1024;

/** The root of the tree without leaves: the hash of nothing. */
export const EMPTY_ROOT: Buffer = sha256();

/** Whether this can be the size of a tree: a safe integer, 0 or above. */
export function isTreeSize(size: number): boolean {
  return Number.isSafeInteger(size) && size >= 0;
}

const leafInput = Buffer.alloc(1 + LEAF_INPUT_BYTES, LEAF_PREFIX);

/** SHA-256(00 || entry). */
export function leafHash(entry: Uint8Array): Buffer {
  if (entry.length > LEAF_INPUT_BYTES) return sha256(Buffer.of(LEAF_PREFIX), entry);
  leafInput.set(entry, 1);
  return hash('sha256', leafInput.subarray(0, 1 + entry.length), 'buffer');
}

const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, NODE_PREFIX);

/** SHA-256(01 || left || right). Both must be 32 bytes: a shorter one would be completed by bytes of the call before. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  if (left.length !== HASH_BYTES || right.length !== HASH_BYTES) throw new RangeError('a tree hash is 32 bytes');
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return hash('sha256', nodeInput, 'buffer');
}

/** Hashes of the perfect subtrees that a tree is made of, the largest (leftmost) first: as many as its size has bits set. */
export type Peaks = readonly Buffer[];

/** How many peaks a tree of this size has. */
export function peakCount(size: number): number {
  if (!isTreeSize(size)) throw new RangeError('not the size of a tree');
  let count = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}

/** The root of a tree from its peaks. */
export function rootOfPeaks(peaks: Peaks): Buffer {
  let root: Buffer | undefined;
  for (let at = peaks.length - 1; at >= 0; at--) {
    const peak = peaks[at] as Buffer;
    root = root === undefined ? peak : nodeHash(peak, root);
  }
  return root ?? EMPTY_ROOT;
}
