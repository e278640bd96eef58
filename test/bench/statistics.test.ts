import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { figureOf, median, quantile, spreadOf } from '../../bench/statistics.js';

const numbers = fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), { minLength: 1, maxLength: 50 });
const ascending = (values: readonly number[]) => Float64Array.from(values).sort();

describe('median', () => {
  test('is the middle value, or the mean of the two in the middle', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([7])).toBe(7);
  });

  test('does not depend on the order, and leaves the values as they are', () => {
    const values = [5, 1, 4];
    expect(median(values)).toBe(median(values.toReversed()));
    expect(values).toEqual([5, 1, 4]);
  });

  test('of nothing is an error', () => {
    expect(() => median([])).toThrow(RangeError);
  });

  test('has as many values above as below', () => {
    fc.assert(
      fc.property(numbers, (values) => {
        const middle = median(values);
        const below = values.filter((each) => each < middle).length;
        const above = values.filter((each) => each > middle).length;
        expect(Math.max(below, above)).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });
});

describe('quantile', () => {
  const hundred = ascending(Array.from({ length: 100 }, (_, at) => at + 1));

  test('is a value that was measured, and rounds up', () => {
    expect(quantile(hundred, 0.5)).toBe(50);
    expect(quantile(hundred, 0.99)).toBe(99);
    expect(quantile(hundred, 0.991)).toBe(100);
  });

  test('p99.9 of fewer than a thousand values is the largest', () => {
    expect(quantile(hundred, 0.999)).toBe(100);
    expect(quantile(ascending([7]), 0.999)).toBe(7);
  });

  test('0 is the smallest, 1 the largest', () => {
    expect(quantile(hundred, 0)).toBe(1);
    expect(quantile(hundred, 1)).toBe(100);
  });

  test('of nothing is an error', () => {
    expect(() => quantile(new Float64Array(0), 0.5)).toThrow(RangeError);
  });

  test('at least the share of the values does not exceed it', () => {
    fc.assert(
      fc.property(numbers, fc.double({ noNaN: true, min: 0, max: 1 }), (values, q) => {
        const found = quantile(ascending(values), q);
        expect(values.filter((each) => each <= found).length).toBeGreaterThanOrEqual(q * values.length);
      }),
    );
  });
});

describe('a figure', () => {
  test('keeps the rounds in their order beside median, smallest and largest', () => {
    expect(figureOf([30, 10, 20])).toEqual({ median: 20, min: 10, max: 30, rounds: [30, 10, 20] });
  });

  test('spreads by half of its range, as a share of the median', () => {
    expect(spreadOf(figureOf([90, 100, 130]))).toBeCloseTo(0.2);
    expect(spreadOf(figureOf([5, 5, 5]))).toBe(0);
    expect(spreadOf(figureOf([0, 0, 0]))).toBe(0);
  });
});
