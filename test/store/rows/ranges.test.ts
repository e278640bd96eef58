import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RANGE_LABELS, Ranges } from '../../../src/store/rows/ranges.js';

const label = (at: number): string => `key-${String(at).padStart(6, '0')}`;

/** As if somebody had read the ranges: the same labels, a part for every `size` of them. */
function partsOf(labels: readonly string[], size: number): { start: string; count: number }[] {
  return labels
    .filter((_, at) => at % size === 0)
    .map((start, part) => ({ start, count: Math.min(size, labels.length - part * size) }));
}

test('labels that come in order fill one range after the other, and a page needs few of them', () => {
  const ranges = new Ranges();
  const count = 10 * RANGE_LABELS;
  for (let at = 0; at < count; at++) ranges.add(label(at));
  expect(ranges.countIn(ranges.cover(undefined, undefined))).toBe(count);
  const span = ranges.cover(label(5000), label(5100));
  expect(span.from <= label(5000) && span.before !== undefined && span.before > label(5100)).toBe(true);
  expect(ranges.countIn(span)).toBeLessThanOrEqual(2 * RANGE_LABELS);
});

test('the count of a span is that of the labels in it, whatever was added, removed and split', () => {
  const steps = fc.array(
    fc.record({ at: fc.integer({ min: 0, max: 300 }), what: fc.constantFrom('toggle', 'toggle', 'toggle', 'split') }),
    { maxLength: 300 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const ranges = new Ranges();
      const model = new Set<string>();
      for (const { at, what } of all) {
        const each = label(at);
        if (what === 'toggle') {
          if (model.delete(each)) ranges.remove(each);
          else ranges.add([...model.add(each)].at(-1)!);
          continue;
        }
        const span = ranges.cover(each, each);
        const within = [...model].filter((one) => one >= span.from && (span.before === undefined || one < span.before));
        const parts = partsOf(within.sort(), 3);
        if (parts[0] !== undefined) ranges.split([{ ...parts[0], start: span.from }, ...parts.slice(1)]);
      }
      for (const [after, last] of [
        [undefined, undefined],
        [label(0), label(10)],
        [label(37), label(200)],
        [label(100), undefined],
      ]) {
        const span = ranges.cover(after, last);
        expect(after === undefined || span.from <= after).toBe(true);
        expect(last === undefined || span.before === undefined || span.before > last).toBe(true);
        const within = [...model].filter((one) => one >= span.from && (span.before === undefined || one < span.before));
        expect(ranges.countIn(span)).toBe(within.length);
      }
    }),
  );
});

test('parts that do not add up to what is known change nothing', () => {
  const ranges = new Ranges();
  for (let at = 0; at < 10; at++) ranges.add(label(9 - at));
  ranges.split([
    { start: '', count: 5 },
    { start: label(5), count: 6 },
  ]);
  expect(ranges.cover(label(7), label(8))).toEqual({ from: '', before: undefined, single: true });
  ranges.split([
    { start: '', count: 5 },
    { start: label(5), count: 5 },
  ]);
  expect(ranges.cover(label(7), label(8))).toEqual({ from: label(5), before: undefined, single: true });
});
