import { beforeAll, describe, expect, test } from '@jest/globals';
import { EMPTY_ROOT, leafHash, nodeHash, rootOfPeaks } from '../../src/translog/merkle.js';
import {
  consistencyProof,
  inclusionProof,
  type NodeAt,
  verifyConsistency,
  verifyInclusion,
} from '../../src/translog/proof.js';
import { peaksOf } from '../../src/translog/tree-appender.js';
import { ReferenceTree, rootOfPath, rootsOfProof } from '../helpers/rfc6962.js';

const LEAVES = 130;
const data = (index: number) => Buffer.from(`entry ${String(index)}`);
const reference = new ReferenceTree(data);
const hashes = Array.from({ length: LEAVES }, (_, index) => leafHash(data(index)));
const roots = Array.from({ length: LEAVES + 1 }, (_, size) => reference.mth(0, size));
const root = (size: number) => roots[size]!;
const hash = (index: number) => hashes[index]!;

/** Nodes by the reference, for a tree of `size`: asking for one that is not perfect and inside is a fault. */
function nodesOf(size: number): NodeAt {
  return (level, index) => {
    if (!Number.isInteger(level) || !Number.isInteger(index) || index < 0 || (index + 1) * 2 ** level > size) {
      throw new Error(`asks for node ${String(level)}/${String(index)} of a tree of ${String(size)}`);
    }
    return reference.mth(index * 2 ** level, (index + 1) * 2 ** level);
  };
}

function same(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((bytes, at) => Buffer.compare(bytes, b[at]!) === 0);
}

/** Every way of tampering with the hashes of a proof: one flipped bit in each, one left out, one said twice, two swapped, one more. */
function* tampered(proof: readonly Buffer[]): Generator<readonly Buffer[]> {
  const other = Buffer.alloc(32, 0x5a);
  for (const [at, bytes] of proof.entries()) {
    for (const bit of [0, 255]) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = flipped[bit >> 3]! ^ (1 << (bit & 7));
      yield proof.with(at, flipped);
    }
    yield proof.toSpliced(at, 1);
    yield proof.toSpliced(at, 0, bytes);
    yield proof.toSpliced(at, 0, other);
    yield proof.with(at, Buffer.alloc(0));
    yield proof.with(at, bytes.subarray(1));
    yield proof.with(at, Buffer.concat([bytes, Buffer.of(0)]));
    for (let swap = 0; swap < at; swap++) yield proof.with(at, proof[swap]!).with(swap, bytes);
  }
  yield [...proof, other];
  yield [...proof, ...Array.from({ length: 64 }, () => other)];
}

describe(`all trees of up to ${String(LEAVES)} leaves`, () => {
  test('every inclusion proof is that of the RFC, and verifies', () => {
    const wrong: string[] = [];
    let proofs = 0;
    for (let size = 1; size <= LEAVES; size++) {
      const node = nodesOf(size);
      for (let index = 0; index < size; index++, proofs++) {
        const proof = inclusionProof(index, size, node);
        const sound = verifyInclusion(hash(index), index, size, proof, root(size));
        if (!sound || !same(proof, reference.path(index, size))) wrong.push(`${String(index)} in ${String(size)}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(proofs).toBe((LEAVES * (LEAVES + 1)) / 2);
  });

  test('every consistency proof is that of the RFC, and verifies', () => {
    const wrong: string[] = [];
    for (let size = 1; size <= LEAVES; size++) {
      const node = nodesOf(size);
      for (let old = 1; old <= size; old++) {
        const proof = consistencyProof(old, size, node);
        const sound = verifyConsistency(old, root(old), size, root(size), proof);
        if (!sound || !same(proof, reference.proof(old, size))) wrong.push(`${String(old)} to ${String(size)}`);
      }
    }
    expect(wrong).toEqual([]);
  }, 120_000);

  test('a tampered inclusion proof is refused', () => {
    const accepted: string[] = [];
    for (const size of [1, 2, 3, 4, 5, 7, 8, 9, 64, 100, LEAVES]) {
      for (let index = 0; index < size; index++) {
        for (const proof of tampered(reference.path(index, size))) {
          if (verifyInclusion(hash(index), index, size, proof, root(size)))
            accepted.push(`${String(index)} in ${String(size)}`);
        }
      }
    }
    expect(accepted).toEqual([]);
  }, 120_000);

  test('a tampered consistency proof is refused', () => {
    const accepted: string[] = [];
    for (const size of [1, 2, 3, 4, 5, 7, 8, 9, 64, 100, LEAVES]) {
      for (let old = 1; old <= size; old++) {
        for (const proof of tampered(reference.proof(old, size))) {
          if (verifyConsistency(old, root(old), size, root(size), proof))
            accepted.push(`${String(old)} to ${String(size)}`);
        }
      }
    }
    expect(accepted).toEqual([]);
  }, 120_000);
});

describe('with other numbers than its own', () => {
  const SMALL = 17;

  test('a path of a tree leads to one leaf of that tree alone', () => {
    for (let size = 1; size <= SMALL; size++) {
      for (let index = 0; index < size; index++) {
        const proof = reference.path(index, size);
        for (let said = 0; said < 2 * SMALL; said++) {
          const verdict = verifyInclusion(hash(index), said, size, proof, root(size));
          expect([index, size, said, verdict]).toEqual([index, size, said, said === index]);
        }
      }
    }
  });

  /**
   * The RFC's verification does not tie a root to its size: the path of leaf 2 of 3 has the shape of that of leaf 1 of 2.
   * Which pairs pass follows from the definition, and a signed tree head says the size.
   */
  test('a path passes for another tree size exactly where the definition has the same shape', () => {
    let passed = 0;
    for (let size = 1; size <= SMALL; size++) {
      for (let index = 0; index < size; index++) {
        const proof = reference.path(index, size);
        for (let saidSize = 0; saidSize <= 2 * SMALL; saidSize++) {
          for (let said = 0; said <= saidSize; said++) {
            const by = said < saidSize ? rootOfPath(hash(index), said, saidSize, proof) : undefined;
            const expected = by !== undefined && root(size).equals(by);
            const verdict = verifyInclusion(hash(index), said, saidSize, proof, root(size));
            if (verdict !== expected) throw new Error(`decides otherwise: ${[index, size, said, saidSize].join(' ')}`);
            if (verdict && saidSize !== size) passed++;
          }
        }
      }
    }
    expect(passed).toBeGreaterThan(0);
    expect(verifyInclusion(hash(2), 1, 2, reference.path(2, 3), root(3))).toBe(true);
  });

  test('a consistency proof with other sizes passes exactly where the definition has the same shape', () => {
    for (let size = 1; size <= SMALL; size++) {
      for (let old = 1; old <= size; old++) {
        const proof = reference.proof(old, size);
        for (let saidSize = 0; saidSize <= 2 * SMALL; saidSize++) {
          for (let said = 1; said <= saidSize + 1; said++) {
            const by = said <= saidSize ? rootsOfProof(root(old), said, saidSize, proof) : undefined;
            const expected = by !== undefined && root(old).equals(by[0]) && root(size).equals(by[1]);
            const verdict = verifyConsistency(said, root(old), saidSize, root(size), proof);
            if (verdict !== expected) throw new Error(`decides otherwise: ${[old, size, said, saidSize].join(' ')}`);
          }
        }
      }
    }
  });

  test('with the true heads of a log, no two of different content are ever consistent', () => {
    const fork = new ReferenceTree((index) => data(index === 4 ? 1000 : index));
    for (let size = 5; size <= SMALL; size++) {
      for (let old = 5; old <= size; old++) {
        for (const proof of [reference.proof(old, size), fork.proof(old, size)]) {
          expect(verifyConsistency(old, root(old), size, fork.mth(0, size), proof)).toBe(false);
          expect(verifyConsistency(old, fork.mth(0, old), size, root(size), proof)).toBe(false);
        }
      }
    }
  });

  test('another leaf, another root, and roots the wrong way round are refused', () => {
    for (let size = 2; size <= SMALL; size++) {
      for (let index = 0; index < size; index++) {
        const proof = reference.path(index, size);
        const neighbour = hash((index + 1) % size);
        expect(verifyInclusion(neighbour, index, size, proof, root(size))).toBe(false);
        expect(verifyInclusion(hash(index), index, size, proof, root(size - 1))).toBe(false);
        expect(verifyInclusion(root(size), index, size, proof, hash(index))).toBe(false);
        const old = index === 0 ? size - 1 : index;
        const consistency = reference.proof(old, size);
        expect(verifyConsistency(old, root(size), size, root(old), consistency)).toBe(false);
        expect(verifyConsistency(old, root(old), size, root(old), consistency)).toBe(false);
        expect(verifyConsistency(old, root(size), size, root(size), consistency)).toBe(false);
        expect(verifyConsistency(size, root(size), old, root(old), consistency)).toBe(false);
      }
    }
  });
});

describe('the empty tree', () => {
  test('is the start of every tree, without a proof and with its own root', () => {
    for (const size of [0, 1, 2, 7]) {
      expect(consistencyProof(0, size, nodesOf(size))).toEqual([]);
      expect(verifyConsistency(0, EMPTY_ROOT, size, root(size), [])).toBe(true);
      expect(verifyConsistency(0, EMPTY_ROOT, size, root(size), [hash(0)])).toBe(false);
      expect(verifyConsistency(0, hash(0), size, root(size), [])).toBe(false);
    }
  });

  test('has one root, and no leaf', () => {
    expect(verifyConsistency(0, hash(0), 0, hash(0), [])).toBe(false);
    expect(verifyConsistency(0, EMPTY_ROOT, 0, hash(0), [])).toBe(false);
    expect(verifyInclusion(EMPTY_ROOT, 0, 0, [], EMPTY_ROOT)).toBe(false);
    expect(() => inclusionProof(0, 0, nodesOf(0))).toThrow(RangeError);
  });

  test('a tree and itself need equal roots and no proof', () => {
    expect(verifyConsistency(5, root(5), 5, root(5), [])).toBe(true);
    expect(verifyConsistency(5, root(5), 5, root(6), [])).toBe(false);
    expect(verifyConsistency(5, root(5), 5, root(5), [root(5)])).toBe(false);
  });
});

describe('what is no hash or no number', () => {
  const NO_NUMBERS = [-1, 0.5, 2.5, NaN, Infinity, -Infinity, 2 ** 53, 2 ** 53 + 2, 2 ** 64, 1e300];

  test.each([0, 1, 31, 33, 64])('a leaf or a root of %d bytes is refused, in a tree of one leaf too', (length) => {
    for (const size of [1, 2, 3, 8]) {
      for (let index = 0; index < size; index++) {
        const proof = reference.path(index, size);
        const resized = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(32)]).subarray(0, length);
        expect(verifyInclusion(resized(hash(index)), index, size, proof, root(size))).toBe(false);
        expect(verifyInclusion(hash(index), index, size, proof, resized(root(size)))).toBe(false);
        const old = index + 1;
        const consistency = reference.proof(old, size);
        expect(verifyConsistency(old, resized(root(old)), size, root(size), consistency)).toBe(false);
        expect(verifyConsistency(old, root(old), size, resized(root(size)), consistency)).toBe(false);
        expect(verifyConsistency(old, resized(root(old)), size, resized(root(size)), consistency)).toBe(false);
      }
    }
    const short = Buffer.alloc(length);
    expect(verifyInclusion(short, 0, 1, [], short)).toBe(false);
    expect(verifyConsistency(1, short, 1, short, [])).toBe(false);
  });

  test.each(NO_NUMBERS)('%d is no index and no size', (number) => {
    const node = nodesOf(7);
    expect(verifyInclusion(hash(3), number, 7, reference.path(3, 7), root(7))).toBe(false);
    expect(verifyInclusion(hash(3), 3, number, reference.path(3, 7), root(7))).toBe(false);
    expect(verifyInclusion(hash(0), number, number, [], hash(0))).toBe(false);
    expect(verifyConsistency(number, root(3), 7, root(7), reference.proof(3, 7))).toBe(false);
    expect(verifyConsistency(3, root(3), number, root(7), reference.proof(3, 7))).toBe(false);
    expect(verifyConsistency(number, root(7), number, root(7), [])).toBe(false);
    expect(() => inclusionProof(number, 7, node)).toThrow(RangeError);
    expect(() => inclusionProof(3, number, node)).toThrow(RangeError);
    expect(() => consistencyProof(number, 7, node)).toThrow(RangeError);
    expect(() => consistencyProof(3, number, node)).toThrow(RangeError);
  });

  test('an index that is the size or above, and an old size above the size, are refused', () => {
    expect(() => inclusionProof(7, 7, nodesOf(7))).toThrow(RangeError);
    expect(() => consistencyProof(8, 7, nodesOf(7))).toThrow(RangeError);
    for (const index of [7, 8, 100]) {
      expect(verifyInclusion(hash(6), index, 7, reference.path(6, 7), root(7))).toBe(false);
      expect(verifyConsistency(index + 1, root(3), 7, root(7), reference.proof(3, 7))).toBe(false);
    }
  });
});

/** Trees in which all leaves but one are equal: of any size, yet quick to compute, and with one place for the one leaf. */
describe('sizes beyond 32 bits', () => {
  const ODD = Buffer.from('the one');
  const SIZES = [2 ** 31, 2 ** 32, 2 ** 33, 2 ** 52]
    .flatMap((size) => [size - 1, size, size + 1, size + 2 ** 31 + 5])
    .concat(2 ** 53 - 1, 2 ** 53 - 2);
  const places = (size: number) => [
    ...new Set(
      [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Math.floor(size / 2), size - 2, size - 1].filter(
        (place) => place < size,
      ),
    ),
  ];

  function oddTree(place: number): ReferenceTree {
    return new ReferenceTree(
      (index) => (index === place ? ODD : Buffer.from('like all')),
      (start, end) => (start <= place && place < end ? `${String(start)}:${String(end)}` : String(end - start)),
    );
  }

  function nodeIn(tree: ReferenceTree, size: number): NodeAt {
    return (level, index) => {
      expect((index + 1) * 2 ** level).toBeLessThanOrEqual(size);
      return tree.mth(index * 2 ** level, (index + 1) * 2 ** level);
    };
  }

  test.each(SIZES)('inclusion in %d leaves is that of the RFC, and only at its index', (size) => {
    for (const place of places(size)) {
      const tree = oddTree(place);
      const whole = tree.mth(0, size);
      const proof = inclusionProof(place, size, nodeIn(tree, size));
      expect(same(proof, tree.path(place, size))).toBe(true);
      expect(verifyInclusion(leafHash(ODD), place, size, proof, whole)).toBe(true);
      const others = [-1, 1, -(2 ** 31), 2 ** 31, -(2 ** 32), 2 ** 32].map((by) => place + by);
      for (const other of others) expect(verifyInclusion(leafHash(ODD), other, size, proof, whole)).toBe(false);
      expect(verifyInclusion(leafHash(ODD), place % 2 ** 32, size % 2 ** 32, proof, whole)).toBe(size < 2 ** 32);
    }
  });

  test.each(SIZES)('consistency with %d leaves is that of the RFC', (size) => {
    const tree = oddTree(Math.floor(size / 3));
    for (const old of places(size).filter((place) => place > 0)) {
      const proof = consistencyProof(old, size, nodeIn(tree, size));
      expect(same(proof, tree.proof(old, size))).toBe(true);
      const [oldRoot, whole] = [tree.mth(0, old), tree.mth(0, size)];
      expect(verifyConsistency(old, oldRoot, size, whole, proof)).toBe(true);
      expect(verifyConsistency(old, whole, size, oldRoot, proof)).toBe(false);
      if (proof.length > 1) expect(verifyConsistency(old, oldRoot, size, whole, proof.toReversed())).toBe(false);
    }
  });

  test.each(SIZES)('the peaks of %d leaves make its root', (size) => {
    const tree = oddTree(size - 1);
    expect(rootOfPeaks(peaksOf(size, nodeIn(tree, size)))).toEqual(tree.mth(0, size));
  });
});

describe('the reference itself', () => {
  let tree: ReferenceTree;
  beforeAll(() => {
    tree = new ReferenceTree((index) => Buffer.from('abcdefg'.charAt(index)));
  });

  /** RFC 6962, section 2.1.3, shows the tree of 7 leaves with its proofs by letters; the letters are computed here. */
  test('gives the proofs of the tree of 7 leaves that the RFC draws', () => {
    const [a, b, c, d, e, f, j] = 'abcdefg'.split('').map((letter) => leafHash(Buffer.from(letter)));
    const [g, h, i] = [nodeHash(a!, b!), nodeHash(c!, d!), nodeHash(e!, f!)];
    const [k, l] = [nodeHash(g, h), nodeHash(i, j!)];
    expect(tree.mth(0, 7)).toEqual(nodeHash(k, l));
    expect(tree.path(0, 7)).toEqual([b, h, l]);
    expect(tree.path(3, 7)).toEqual([c, g, l]);
    expect(tree.path(4, 7)).toEqual([f, j, k]);
    expect(tree.path(6, 7)).toEqual([i, k]);
    expect(tree.proof(3, 7)).toEqual([c, d, g, l]);
    expect(tree.proof(4, 7)).toEqual([l]);
    expect(tree.proof(6, 7)).toEqual([i, j, k]);
  });

  test('leads its own proofs back to its roots', () => {
    for (let n = 1; n <= 40; n++) {
      for (let m = 0; m < n; m++) {
        expect(rootOfPath(hash(m), m, n, reference.path(m, n))).toEqual(root(n));
        expect(rootsOfProof(root(m + 1), m + 1, n, reference.proof(m + 1, n))).toEqual([root(m + 1), root(n)]);
      }
    }
  });
});
