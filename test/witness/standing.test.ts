import { expect, test } from '@jest/globals';
import { Standing } from '../../src/witness/standing.js';

test('what was never tried is unknown', () => {
  expect(new Standing(100).at(0)).toBe('unknown');
});

test('an outcome counts for its time, whichever it is, and not longer', () => {
  const standing = new Standing(100);
  standing.reached(1_000);
  expect([standing.at(1_000), standing.at(1_100), standing.at(1_101)]).toEqual(['reached', 'reached', 'unknown']);
  standing.missed(2_000);
  expect([standing.at(2_100), standing.at(2_101)]).toEqual(['missed', 'unknown']);
});

test('the latest outcome counts, in whatever order they are learned', () => {
  const standing = new Standing(100);
  standing.missed(1_000);
  standing.reached(999);
  expect(standing.at(1_000)).toBe('missed');
  standing.reached(1_000);
  standing.missed(999);
  expect(standing.at(1_000)).toBe('reached');
});
