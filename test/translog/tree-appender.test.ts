import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { EMPTY_ROOT, leafHash, nodeHash } from '../../src/translog/merkle.js';
import { verifyInclusion } from '../../src/translog/proof.js';
import { peaksOf, TreeAppender } from '../../src/translog/tree-appender.js';
import { ReferenceTree } from '../helpers/rfc6962.js';

const LEAVES = 130;
const data = (index: number) => Buffer.from(`entry ${String(index)}`);
const reference = new ReferenceTree(data);
const leaves = Array.from({ length: LEAVES }, (_, index) => leafHash(data(index)));
const node = (level: number, index: number) => reference.mth(index * 2 ** level, (index + 1) * 2 ** level);
const paths = new Map<string, readonly Buffer[]>();

function path(index: number, size: number): readonly Buffer[] {
  const name = `${String(index)}/${String(size)}`;
  const known = paths.get(name) ?? reference.path(index, size);
  paths.set(name, known);
  return known;
}

const same = (a: readonly Buffer[], b: readonly Buffer[]) =>
  a.length === b.length && a.every((bytes, at) => bytes.equals(b[at]!));

/** What is wrong with an appender that started from `first` leaves, as a list of names. */
function faults(tree: TreeAppender, first: number): string[] {
  const { size } = tree;
  const wrong: string[] = [];
  if (!tree.root().equals(reference.mth(0, size))) wrong.push('root');
  if (!same(tree.peaks(), peaksOf(size, node))) wrong.push('peaks');
  for (let level = 0; level <= 9; level++) {
    const from = Math.floor(first / 2 ** level);
    const expected = Array.from({ length: Math.floor(size / 2 ** level) - from }, (_, at) => node(level, from + at));
    const completed = tree.completed(level);
    if (completed.first !== from || !same(completed.hashes, expected)) wrong.push(`nodes of level ${String(level)}`);
  }
  for (let index = first; index < size; index++) {
    if (!same(tree.prove(index), path(index, size))) wrong.push(`proof of ${String(index)}`);
  }
  return wrong.map((what) => `${what}, from ${String(first)} to ${String(size)}`);
}

function started(size: number): TreeAppender {
  return new TreeAppender(size, peaksOf(size, node));
}

describe('appending to a tree', () => {
  test(`from every size to every size up to ${String(LEAVES)}: root, peaks, completed nodes and proofs are those of the RFC`, () => {
    const wrong: string[] = [];
    for (let first = 0; first <= LEAVES; first++) {
      const tree = started(first);
      wrong.push(...faults(tree, first));
      for (let size = first; size < LEAVES; size++) {
        tree.append(leaves[size]!);
        wrong.push(...faults(tree, first));
      }
    }
    expect(wrong).toEqual([]);
  }, 120_000);

  test('in batches of any sizes gives the tree of all leaves, from nothing but the peaks of the batch before', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 40 }), { maxLength: 20 }), (batches) => {
        let tree = new TreeAppender(0, []);
        for (const batch of batches) {
          tree = new TreeAppender(tree.size, tree.peaks());
          for (let left = batch; left > 0 && tree.size < LEAVES; left--) tree.append(leaves[tree.size]!);
        }
        expect(tree.root()).toEqual(reference.mth(0, tree.size));
      }),
    );
  });

  test('without a leaf is the empty tree', () => {
    const tree = new TreeAppender(0, []);
    expect([tree.size, tree.root(), tree.peaks()]).toEqual([0, EMPTY_ROOT, []]);
    expect(tree.completed(0)).toEqual({ first: 0, hashes: [] });
    expect(() => tree.prove(0)).toThrow(RangeError);
  });

  test('proofs are of the tree as it is when they are asked for', () => {
    const tree = started(5);
    tree.append(leaves[5]!);
    const early = tree.prove(5);
    tree.append(leaves[6]!);
    expect(same(early, path(5, 6))).toBe(true);
    expect(same(tree.prove(5), path(5, 7))).toBe(true);
  });
});

describe('beyond 32 bits', () => {
  /** All leaves equal: the hash of a node depends on its level alone. */
  const uniform: Buffer[] = [leafHash(Buffer.from('like all'))];
  for (let level = 1; level <= 53; level++) uniform.push(nodeHash(uniform[level - 1]!, uniform[level - 1]!));

  test.each([2 ** 31 - 3, 2 ** 32 - 3, 2 ** 40 + 2 ** 31 - 3, 2 ** 53 - 8])(
    'leaves appended to %d prove their inclusion',
    (first) => {
      const tree = new TreeAppender(
        first,
        peaksOf(first, (level) => uniform[level]!),
      );
      const appended = Array.from({ length: 7 }, (_, at) => leafHash(Buffer.from(`new ${String(at)}`)));
      for (const leaf of appended) tree.append(leaf);
      expect(tree.size).toBe(first + 7);
      const expected = new ReferenceTree(
        (index) => Buffer.from(index < first ? 'like all' : `new ${String(index - first)}`),
        (start, end) => (end <= first ? String(end - start) : `${String(start)}:${String(end)}`),
      );
      expect(tree.root()).toEqual(expected.mth(0, tree.size));
      for (const [at, leaf] of appended.entries()) {
        const proof = tree.prove(first + at);
        expect(same(proof, expected.path(first + at, tree.size))).toBe(true);
        expect(verifyInclusion(leaf, first + at, tree.size, proof, tree.root())).toBe(true);
      }
    },
  );

  test('a tree does not grow beyond the safe integers', () => {
    const size = Number.MAX_SAFE_INTEGER;
    const tree = new TreeAppender(
      size,
      peaksOf(size, (level) => uniform[level]!),
    );
    expect(() => tree.append(uniform[0]!)).toThrow('the tree is full');
    expect(tree.size).toBe(size);
  });
});

describe('what is refused', () => {
  test('peaks that are not as many as the size demands, or not 32 bytes', () => {
    for (let size = 0; size < 20; size++) {
      const peaks = peaksOf(size, node);
      expect(() => new TreeAppender(size, [...peaks, leaves[0]!])).toThrow(RangeError);
      if (size === 0) continue;
      expect(() => new TreeAppender(size, peaks.slice(1))).toThrow(RangeError);
      for (const length of [0, 31, 33]) {
        expect(() => new TreeAppender(size, peaks.with(0, Buffer.alloc(length)))).toThrow(RangeError);
      }
    }
  });

  test.each([-1, 0.5, NaN, Infinity, 2 ** 53])('%d as a size', (size) => {
    expect(() => new TreeAppender(size, [])).toThrow(RangeError);
    expect(() => new TreeAppender(size, [leaves[0]!])).toThrow(RangeError);
  });

  test.each([0, 31, 33])('a leaf hash of %d bytes, which leaves the tree as it was', (length) => {
    const tree = started(4);
    expect(() => tree.append(Buffer.alloc(length))).toThrow(RangeError);
    expect([tree.size, tree.completed(0).hashes]).toEqual([4, []]);
    tree.append(leaves[4]!);
    expect(faults(tree, 4)).toEqual([]);
  });

  test('a proof of the leaf before the batch, though the peaks would do for it', () => {
    const tree = started(5);
    expect(() => tree.prove(4)).toThrow('the leaf was not appended here');
    tree.append(leaves[5]!);
    expect(() => tree.prove(4)).toThrow('the leaf was not appended here');
  });

  test('proofs of leaves from before the batch, of leaves to come, and of what is no index', () => {
    const tree = started(6);
    tree.append(leaves[6]!);
    for (const index of [0, 5, 7, 8, -1, 6.5, NaN, Infinity]) expect(() => tree.prove(index)).toThrow(RangeError);
    expect(same(tree.prove(6), path(6, 7))).toBe(true);
  });
});
