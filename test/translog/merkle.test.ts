import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { EMPTY_ROOT, isTreeSize, leafHash, nodeHash, peakCount, rootOfPeaks } from '../../src/translog/merkle.js';
import { peaksOf } from '../../src/translog/tree-appender.js';
import { ReferenceTree } from '../helpers/rfc6962.js';

const NO_SIZES = [-1, 0.5, 1.5, NaN, Infinity, -Infinity, 2 ** 53, 2 ** 64];
const sha256Hex = (hex: string) => createHash('sha256').update(Buffer.from(hex, 'hex')).digest('hex');

describe('hashes of RFC 6962', () => {
  test('the empty tree has the hash of nothing', () => {
    expect(EMPTY_ROOT.toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(rootOfPeaks([])).toEqual(EMPTY_ROOT);
  });

  test('a leaf is hashed behind 00, an inner node behind 01, by hand', () => {
    // SHA-256 of the one byte 00: the leaf of an empty entry.
    expect(leafHash(Buffer.alloc(0)).toString('hex')).toBe(
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    );
    expect(leafHash(Buffer.from('abc')).toString('hex')).toBe(sha256Hex('00616263'));
    const [l, r] = [Buffer.alloc(32, 0xaa), Buffer.alloc(32, 0xbb)];
    expect(nodeHash(l, r).toString('hex')).toBe(sha256Hex(`01${'aa'.repeat(32)}${'bb'.repeat(32)}`));
  });

  test('trees of 1, 2, 3 and 7 leaves have the roots that are worked out here, step by step', () => {
    const entries = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657'];
    const [a = '', b = '', c = '', d = '', e = '', f = '', g = ''] = entries.map((entry) => sha256Hex(`00${entry}`));
    const ab = sha256Hex(`01${a}${b}`);
    const abcd = sha256Hex(`01${ab}${sha256Hex(`01${c}${d}`)}`);
    const efg = sha256Hex(`01${sha256Hex(`01${e}${f}`)}${g}`);
    const known = new Map([
      [0, sha256Hex('')],
      [1, a],
      [2, ab],
      [3, sha256Hex(`01${ab}${c}`)],
      [7, sha256Hex(`01${abcd}${efg}`)],
    ]);
    const leaves = entries.map((entry) => leafHash(Buffer.from(entry, 'hex')));
    const reference = new ReferenceTree((index) => Buffer.from(entries[index] ?? '', 'hex'));
    const node = (level: number, index: number): Buffer =>
      level === 0 ? leaves[index]! : nodeHash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1));
    for (const [size, root] of known) {
      expect(rootOfPeaks(peaksOf(size, node)).toString('hex')).toBe(root);
      expect(reference.mth(0, size).toString('hex')).toBe(root);
    }
  });

  test('an entry of any length is hashed as a whole, whatever was hashed before', () => {
    for (const length of [16_384, 0, 1, 900, 16_383, 16_385, 3, 65_535, 2]) {
      const entry = Buffer.alloc(length, length & 0xff);
      expect(leafHash(entry).toString('hex')).toBe(sha256Hex(`00${entry.toString('hex')}`));
    }
  });

  test('a leaf and an inner node of the same bytes have different hashes', () => {
    const [l, r] = [leafHash(Buffer.of(1)), leafHash(Buffer.of(2))];
    expect(leafHash(Buffer.concat([l, r]))).not.toEqual(nodeHash(l, r));
    expect(nodeHash(l, r)).not.toEqual(nodeHash(r, l));
  });

  test('a hash that is not 32 bytes is no child: it would be completed by bytes of another node', () => {
    const sound = Buffer.alloc(32);
    for (const length of [0, 31, 33, 64]) {
      expect(() => nodeHash(Buffer.alloc(length), sound)).toThrow(RangeError);
      expect(() => nodeHash(sound, Buffer.alloc(length))).toThrow(RangeError);
    }
  });

  test('what is returned stays as it is when more is hashed', () => {
    const first = leafHash(Buffer.from('first'));
    const copy = Buffer.from(first);
    const node = nodeHash(first, first);
    const nodeCopy = Buffer.from(node);
    leafHash(Buffer.from('second'));
    nodeHash(copy, nodeCopy);
    expect([first, node]).toEqual([copy, nodeCopy]);
  });
});

describe('peaks', () => {
  test('are as many as the size has bits set, beyond 32 bits too', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (size) => {
        expect(peakCount(size)).toBe(size.toString(2).replaceAll('0', '').length);
      }),
    );
    expect(peakCount(2 ** 53 - 1)).toBe(53);
    expect(peakCount(2 ** 52)).toBe(1);
    expect(peakCount(2 ** 32 + 1)).toBe(2);
    expect(peakCount(2 ** 31)).toBe(1);
    expect(peakCount(0)).toBe(0);
  });

  test.each(NO_SIZES)('%d is not the size of a tree', (size) => {
    expect(isTreeSize(size)).toBe(false);
    expect(() => peakCount(size)).toThrow(RangeError);
  });
});
