import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { advance, type ClockMark, type QuotedClock } from '../../src/release/tpm-clock.js';

const MAX_SKEW_MS = 5000;

/** One boot of an honest TPM: how long it ran, how long it was off before, and what an unorderly end has cost its clock. */
const boots = fc.array(
  fc.record({
    offMs: fc.integer({ min: 0, max: 600_000 }),
    onMs: fc.integer({ min: 1, max: 600_000 }),
    lostMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 300_000 })),
    reset: fc.boolean(),
  }),
  { minLength: 1, maxLength: 5 },
);

/** A quote in one of the boots, and how it came: nonce before, presented after, by clocks of replicas that differ. */
const quotes = fc.array(
  fc.record({
    boot: fc.nat(4),
    within: fc.double({ min: 0, max: 1, noNaN: true }),
    challengedBeforeMs: fc.integer({ min: 0, max: 120_000 }),
    presentedAfterMs: fc.integer({ min: 0, max: 120_000 }),
    issuer: fc.integer({ min: 0, max: MAX_SKEW_MS }),
    presented: fc.integer({ min: 0, max: MAX_SKEW_MS }),
    order: fc.nat(),
  }),
  { minLength: 2, maxLength: 12 },
);

/** What an honest TPM says at each quote, in the order in which a store hears of them. */
function history(
  booted: readonly { offMs: number; onMs: number; lostMs: number; reset: boolean }[],
  made: readonly {
    boot: number;
    within: number;
    challengedBeforeMs: number;
    presentedAfterMs: number;
    issuer: number;
    presented: number;
    order: number;
  }[],
): readonly QuotedClock[] {
  let [wallMs, clockMs, highestMs, resetCount, restartCount] = [1_000_000_000, 0, 0, 0, 0];
  const starts = booted.map(({ offMs, onMs, lostMs, reset }) => {
    wallMs += offMs;
    clockMs = Math.max(0, clockMs - lostMs);
    [resetCount, restartCount] = reset ? [resetCount + 1, 0] : [resetCount, restartCount + 1];
    const start = { wallMs, clockMs, highestMs, resetCount, restartCount, onMs };
    wallMs += onMs;
    clockMs += onMs;
    highestMs = Math.max(highestMs, clockMs);
    return start;
  });
  return [...made]
    .sort((a, b) => a.order - b.order)
    .map(({ boot, within, challengedBeforeMs, presentedAfterMs, issuer, presented }) => {
      const start = starts[boot % starts.length]!;
      const since = Math.floor(within * start.onMs);
      const clock = start.clockMs + since;
      return {
        clock: {
          clock: BigInt(clock),
          resetCount: start.resetCount,
          restartCount: start.restartCount,
          safe: clock >= start.highestMs,
          firmwareVersion: 1n,
        },
        challengedAtMs: start.wallMs + since - challengedBeforeMs + issuer,
        seenAtMs: start.wallMs + since + presentedAfterMs + presented,
      };
    });
}

test('an honest TPM is never said to have gone back, whatever comes late, in whatever order, by clocks that differ', () => {
  fc.assert(
    fc.property(boots, quotes, (booted, made) => {
      let mark: ClockMark | undefined;
      for (const quoted of history(booted, made)) {
        const { regression, mark: next } = advance(mark, quoted);
        expect(regression).toBeUndefined();
        mark = next;
      }
    }),
    { numRuns: 2000 },
  );
});

test('a copy that lags by more than the clocks of replicas may differ is noticed, when both quote in turn', () => {
  const lags = fc.integer({ min: MAX_SKEW_MS + 3000, max: 3_600_000 });
  const pauses = fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 2, maxLength: 20 });
  fc.assert(
    fc.property(lags, pauses, fc.integer({ min: 0, max: 500 }), (lagMs, turns, heldMs) => {
      let mark: ClockMark | undefined;
      let found = 0;
      let nowMs = 10_000_000;
      for (const [turn, pauseMs] of turns.entries()) {
        nowMs += pauseMs + heldMs;
        const clock = BigInt(turn % 2 === 0 ? nowMs : nowMs - lagMs);
        const quoted = { challengedAtMs: nowMs - heldMs, seenAtMs: nowMs };
        const next = advance(mark, {
          ...quoted,
          clock: { clock, resetCount: 1, restartCount: 0, safe: true, firmwareVersion: 1n },
        });
        if (next.regression !== undefined) found++;
        mark = next.mark;
      }
      expect(found).toBe(Math.floor(turns.length / 2));
    }),
  );
});
