import { equalBytes } from '../bytes/equal.js';
import { EMPTY_ROOT, HASH_BYTES, isTreeSize, MAX_PROOF_HASHES, nodeHash } from './merkle.js';

/** Finds the hash of a perfect subtree: the node at a level, by its index within the level. */
export type NodeAt = (level: number, index: number) => Buffer;

/** A proof, its hashes from the leaf's side to the root's. */
export type Proof = readonly Buffer[];

/**
 * The audit path of the leaf `index` in the tree of `size` leaves (RFC 6962, section 2.1.1): the leaf's sibling first.
 * Asks `node` for perfect subtrees inside the tree alone. Whoever builds several proofs of one tree hands in its edge.
 */
export function inclusionProof(index: number, size: number, node: NodeAt, edge = new Edge(size, node)): Proof {
  if (!isTreeSize(index) || !isTreeSize(size) || index >= size) throw new RangeError('no such leaf');
  const proof: Buffer[] = [];
  for (let level = 0, at = index, last = size - 1; last > 0; level++, at = half(at), last = half(last)) {
    if (at % 2 === 1) proof.push(node(level, at - 1));
    else if (at + 1 < last) proof.push(node(level, at + 1));
    else if (at + 1 === last) proof.push(edge.hash(level));
  }
  return proof;
}

/**
 * The consistency proof from the tree of `oldSize` leaves to that of `size` (RFC 6962, section 2.1.2). Empty where the old
 * tree is empty, or the same size.
 */
export function consistencyProof(oldSize: number, size: number, node: NodeAt): Proof {
  if (!isTreeSize(oldSize) || !isTreeSize(size) || oldSize > size) throw new RangeError('no such tree');
  if (oldSize === 0 || oldSize === size) return [];
  let level = 0;
  let at = oldSize - 1;
  let last = size - 1;
  // The largest perfect subtree at the right edge of the old tree, where the proof starts.
  while (at % 2 === 1) [level, at, last] = [level + 1, half(at), half(last)];
  const edge = new Edge(size, node);
  const proof: Buffer[] = at === 0 ? [] : [node(level, at)];
  for (; last > 0; level++, at = half(at), last = half(last)) {
    if (at % 2 === 1) proof.push(node(level, at - 1));
    else if (at + 1 < last) proof.push(node(level, at + 1));
    else if (at + 1 === last) proof.push(edge.hash(level));
  }
  return proof;
}

/**
 * Whether the leaf stands at `index` in the tree of `size` leaves with this root. False for a proof of another length than
 * index and size demand, for hashes that are not 32 bytes, and for numbers that are no index and size. NOT verified: that
 * root and size belong together. Two sizes can have a path of the same shape, so both must come from one signed tree head.
 */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!isTreeSize(index) || !isTreeSize(size) || index >= size || !areHashes(proof) || !areHashes([leaf, root])) {
    return false;
  }
  let hash: Uint8Array = leaf;
  let used = 0;
  for (let at = index, last = size - 1; last > 0; at = half(at), last = half(last)) {
    if (at % 2 === 0 && at === last) continue;
    const sibling = proof[used++];
    if (sibling === undefined) return false;
    hash = at % 2 === 1 ? nodeHash(sibling, hash) : nodeHash(hash, sibling);
  }
  return used === proof.length && equalBytes(hash, root);
}

/**
 * Whether the tree of `size` leaves starts with the leaves of the one of `oldSize`. An empty old tree (its root EMPTY_ROOT)
 * is the start of every tree; its proof is empty, and so is that of a tree and itself, whose roots must be equal. NOT
 * verified: that a root and its size belong together; they must come from one signed tree head.
 */
export function verifyConsistency(
  oldSize: number,
  oldRoot: Uint8Array,
  size: number,
  root: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  if (!isTreeSize(oldSize) || !isTreeSize(size) || oldSize > size) return false;
  if (!areHashes(proof) || !areHashes([oldRoot, root])) return false;
  if (oldSize === 0 && !equalBytes(oldRoot, EMPTY_ROOT)) return false;
  if (oldSize === size) return proof.length === 0 && equalBytes(oldRoot, root);
  if (oldSize === 0) return proof.length === 0;
  let at = oldSize - 1;
  let last = size - 1;
  while (at % 2 === 1) [at, last] = [half(at), half(last)];
  let used = 0;
  // Where the old tree is perfect its root is where the proof starts, and is not sent.
  const start = at === 0 ? oldRoot : proof[used++];
  if (start === undefined) return false;
  let [oldHash, hash]: [Uint8Array, Uint8Array] = [start, start];
  for (; last > 0; at = half(at), last = half(last)) {
    if (at % 2 === 0 && at === last) continue;
    const sibling = proof[used++];
    if (sibling === undefined) return false;
    if (at % 2 === 1) {
      oldHash = nodeHash(sibling, oldHash);
      hash = nodeHash(sibling, hash);
    } else {
      hash = nodeHash(hash, sibling);
    }
  }
  return used === proof.length && equalBytes(oldHash, oldRoot) && equalBytes(hash, root);
}

/** The right edge of a tree: by level, the hash over the leaves of the level's last node, perfect or not. */
export class Edge {
  readonly #size: number;
  readonly #node: NodeAt;
  readonly #hashes: Buffer[] = [];

  constructor(size: number, node: NodeAt) {
    this.#size = size;
    this.#node = node;
  }

  hash(level: number): Buffer {
    return (this.#hashes[level] ??= this.#compute(level));
  }

  #compute(level: number): Buffer {
    const last = (at: number) => Math.floor((this.#size - 1) / 2 ** at);
    if (this.#size % 2 ** level === 0) return this.#node(level, last(level));
    const below = last(level - 1);
    return below % 2 === 1 ? nodeHash(this.#node(level - 1, below - 1), this.hash(level - 1)) : this.hash(level - 1);
  }
}

function half(value: number): number {
  return Math.floor(value / 2);
}

function areHashes(hashes: readonly Uint8Array[]): boolean {
  return hashes.length <= MAX_PROOF_HASHES && hashes.every((hash) => hash.length === HASH_BYTES);
}
