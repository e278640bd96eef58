import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CompactTable } from '../../../src/store/rows/compact-table.js';
import { LabelHash } from '../../../src/store/rows/label-hash.js';

const get = (table: CompactTable, high: number, low: number): number | undefined => {
  const at = table.find(high, low);
  return at < 0 ? undefined : table.word(at);
};

describe('a compact table', () => {
  /** Many collisions: the high half, which says where a key belongs, takes few values, those at the end among them. */
  const KEYS = [0, 1, 0x80000000, 0xfffffffe, 0xffffffff].flatMap((high) =>
    Array.from({ length: 12 }, (_, low) => [high, low + 1] as const),
  );
  const key = fc.constantFrom(...KEYS);
  const step = fc.record({ key, value: fc.option(fc.integer({ min: 0, max: 0xffffffff }), { nil: undefined }) });

  test('holds what a Map holds, whatever is inserted and deleted in whatever order', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = new CompactTable(1);
        const model = new Map<string, number>();
        for (const { key: each, value } of steps) {
          const [high, low] = each;
          if (value === undefined) {
            table.delete(high, low);
            model.delete(each.join());
          } else {
            table.setWord(table.insert(high, low), value);
            model.set(each.join(), value);
          }
        }
        expect(table.size).toBe(model.size);
        expect(KEYS.map(([high, low]) => get(table, high, low))).toEqual(KEYS.map((each) => model.get(each.join())));
      }),
    );
  });

  test('keeps all words of a key when it grows, and stays below 44 bytes for each of four', () => {
    const table = new CompactTable(4);
    const hash = new LabelHash(Buffer.alloc(8, 1));
    const count = 50_000;
    for (let each = 0; each < count; each++) {
      const { high, low } = hash.of(`key-${String(each)}`);
      const at = table.insert(high, low);
      for (let word = 0; word < 4; word++) table.setWord(at + word, each + word);
      if (each % 997 === 996) expect(table.bytes / (each + 1)).toBeLessThan(44);
    }
    expect(table.size).toBe(count);
    const wrong = Array.from({ length: count }, (_, each) => each).filter((each) => {
      const { high, low } = hash.of(`key-${String(each)}`);
      const at = table.find(high, low);
      return [0, 1, 2, 3].some((word) => table.word(at + word) !== each + word);
    });
    expect(wrong).toEqual([]);
  });
});

describe('the hash of a label', () => {
  const of = (label: string, seed = 1): string => {
    const { high, low } = new LabelHash(Buffer.alloc(8, seed)).of(label);
    return `${String(high)} ${String(low)}`;
  };

  test('is another one for every label of many that are alike, and for the same label under another seed', () => {
    const labels = Array.from({ length: 100_000 }, (_, at) => `key-${String(at)}`);
    expect(new Set(labels.map((label) => of(label))).size).toBe(labels.length);
    expect(of('key-1', 2)).not.toBe(of('key-1'));
  });

  test('depends on every character and on the length', () => {
    const alike = ['', '\0', '\0\0', 'a', 'a\0', '\0a', 'ab', 'ba', 'abc', 'ab\0', 'a\u0100', 'ab\0c'];
    expect(new Set(alike.map((label) => of(label))).size).toBe(alike.length);
  });

  test('spreads labels evenly', () => {
    const counts = new Array<number>(64).fill(0);
    const hash = new LabelHash(Buffer.alloc(8, 3));
    for (let at = 0; at < 64_000; at++) counts[hash.of(`node-${String(at)}`).high >>> 26]!++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(200);
  });
});
