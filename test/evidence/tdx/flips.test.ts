/** One bit of every byte of a good quote made another one, and every cut: nothing of it may be free to be anything else. */
import { expect, test } from '@jest/globals';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { flipped, quoteOf, verdict } from './td-world.js';

const CASES = [
  ['4', quoteOf()],
  ['5', quoteOf({ version: 5 })],
] as const;

test.each(CASES)(
  'a quote of version %s with one bit of any byte flipped is refused by its own reason',
  (_, quote) => {
    const paths = new KnownPaths(4);
    expect(verdict(quote, { paths })).toBe('accepted');
    const reasons = new Map<string, number>();
    const took: number[] = [];
    for (let at = 0; at < quote.length; at++) {
      const changed = flipped(quote, at, 1 << (at % 8));
      const start = process.hrtime.bigint();
      const reason = verdict(changed, { paths }).replace(/: .*/, '');
      took.push(Number(process.hrtime.bigint() - start) / 1e6);
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
    // Whatever is flipped is found before collateral is asked for a verdict, and never by it.
    expect([...reasons.keys()].sort()).toEqual([
      'evidence.malformed',
      'tdx.chain',
      'tdx.qe',
      'tdx.signature',
      'tdx.version',
    ]);
    expect(took.sort((a, b) => a - b)[took.length >> 1]).toBeLessThan(20);
  },
  120_000,
);

test('all eight bits of the header, of each length and of each type are refused', () => {
  const [[, quote]] = CASES;
  const paths = new KnownPaths(4);
  const signatureData = 48 + 584;
  const outer = signatureData + 4 + 128;
  const authData = outer + 6 + 384 + 64;
  const ranges = [[0, 48], [signatureData, 4], [outer, 6], [authData, 2 + 32 + 6 + 28]] as const; // prettier-ignore
  const accepted: string[] = [];
  for (const [start, length] of ranges) {
    for (let bit = start * 8; bit < (start + length) * 8; bit++) {
      if (verdict(flipped(quote, bit >> 3, 1 << (bit % 8)), { paths }) === 'accepted') accepted.push(String(bit));
    }
  }
  expect(accepted).toEqual([]);
}, 120_000);

test.each(CASES)('a quote of version %s that is cut anywhere is malformed', (_, quote) => {
  const reasons = new Set<string>();
  for (let length = 0; length < quote.length; length++) {
    reasons.add(verdict(quote.subarray(0, length)).replace(/: .*/, ''));
  }
  expect([...reasons]).toEqual(['evidence.malformed']);
});
