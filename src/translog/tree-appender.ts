import { HASH_BYTES, isTreeSize, nodeHash, type Peaks, peakCount, rootOfPeaks } from './merkle.js';
import { Edge, inclusionProof, type NodeAt } from './proof.js';

/**
 * Appends leaves to a tree of which nothing is known but size and peaks, and proves what it appended: a batch of a log,
 * at a cost that does not depend on the size of the log. Wants peaks that were authenticated.
 */
export class TreeAppender {
  readonly #firstSize: number;
  readonly #peaks: Peaks;
  /** By level: the nodes that the new leaves completed, from the index `#first(level)` on. */
  readonly #levels: Buffer[][] = [[]];
  #size: number;
  /** Of the tree as it is now: shared by the proofs of a batch. */
  #edge: Edge | undefined;

  constructor(size: number, peaks: Peaks) {
    if (peaks.length !== peakCount(size) || peaks.some((peak) => peak.length !== HASH_BYTES)) {
      throw new RangeError('these are not the peaks of a tree of this size');
    }
    this.#firstSize = size;
    this.#size = size;
    this.#peaks = peaks;
  }

  get size(): number {
    return this.#size;
  }

  append(leafHash: Buffer): void {
    if (leafHash.length !== HASH_BYTES) throw new RangeError('a tree hash is 32 bytes');
    if (!isTreeSize(this.#size + 1)) throw new RangeError('the tree is full');
    let hash = leafHash;
    let index = this.#size;
    this.#nodes(0).push(hash);
    for (let level = 0; index % 2 === 1; level++) {
      hash = nodeHash(this.#node(level, index - 1), hash);
      index = (index - 1) / 2;
      this.#nodes(level + 1).push(hash);
    }
    this.#size++;
    this.#edge = undefined;
  }

  /** The nodes of a level that the new leaves completed: the index of the first one, and their hashes. */
  completed(level: number): { readonly first: number; readonly hashes: readonly Buffer[] } {
    return { first: firstIndex(this.#firstSize, level), hashes: this.#levels[level] ?? [] };
  }

  peaks(): Peaks {
    return peaksOf(this.#size, this.#node);
  }

  root(): Buffer {
    return rootOfPeaks(this.peaks());
  }

  /** The inclusion proof of a leaf that was appended here, in the tree as it is now. */
  prove(index: number): readonly Buffer[] {
    if (index < this.#firstSize) throw new RangeError('the leaf was not appended here');
    this.#edge ??= new Edge(this.#size, this.#node);
    return inclusionProof(index, this.#size, this.#node, this.#edge);
  }

  #nodes(level: number): Buffer[] {
    return (this.#levels[level] ??= []);
  }

  readonly #node: NodeAt = (level, index) => {
    const first = firstIndex(this.#firstSize, level);
    const hash = index >= first ? this.#levels[level]?.[index - first] : this.#oldPeak(level, index);
    if (hash === undefined) throw new RangeError('the node is not part of this batch');
    return hash;
  };

  /** A tree has a peak of a level where its size has that bit set: the last node of the level, and always a left child. */
  #oldPeak(level: number, index: number): Buffer | undefined {
    const nodes = firstIndex(this.#firstSize, level);
    if (nodes % 2 === 0 || index !== nodes - 1) return undefined;
    return this.#peaks[peakCount(Math.floor(nodes / 2))];
  }
}

/** How many perfect nodes a tree of this size has at a level; so also the index of the next one. */
function firstIndex(size: number, level: number): number {
  return Math.floor(size / 2 ** level);
}

/** The peaks of a tree of this size, each looked up by `node`. */
export function peaksOf(size: number, node: NodeAt): Peaks {
  const peaks: Buffer[] = [];
  for (let level = 0, nodes = size; nodes > 0; level++, nodes = Math.floor(nodes / 2)) {
    if (nodes % 2 === 1) peaks.unshift(node(level, nodes - 1));
  }
  return peaks;
}
