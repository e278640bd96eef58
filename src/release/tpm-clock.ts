import { MAX_AHEAD_MS } from '../challenge/nonce.js';
import type { ClockRegression, TpmClock } from './records.js';

/** How far the clocks of two replicas may be apart. */
const MAX_SKEW_MS = MAX_AHEAD_MS;

/** The newest clock that is known of a TPM. Times are ms since the Unix epoch. */
export interface ClockMark {
  readonly clock: TpmClock;
  /** When the quote that has it was presented. */
  readonly seenAtMs: number;
  /** When its resetCount and restartCount were first seen. */
  readonly sinceMs: number;
}

/** The clock of a verified quote, which was made after its nonce was issued and before it was presented. */
export interface QuotedClock {
  readonly clock: TpmClock;
  readonly challengedAtMs: number;
  readonly seenAtMs: number;
}

export interface Advance {
  readonly mark: ClockMark;
  readonly regression: Pick<ClockRegression, 'before' | 'after'> | undefined;
}

/**
 * What a quote makes of what was known of its TPM's clock. `clock` counts the milliseconds that the TPM was powered on,
 * resetCount its TPM Resets, restartCount its TPM Restarts and Resumes since the last of those; none goes back, but for
 * `clock` after an unorderly shutdown, which `safe` = 0 admits (TPMS_CLOCK_INFO, TPM 2.0 Library part 2). Quotes come late and overtake
 * each other, through workers and replicas whose own clocks differ: what that can explain is no regression, and leaves the
 * mark as it was. So a copy of a TPM that lags by less than 5 s may go unnoticed.
 */
export function advance(before: ClockMark | undefined, quoted: QuotedClock): Advance {
  const { clock, challengedAtMs, seenAtMs } = quoted;
  const fresh = { clock, seenAtMs, sinceMs: seenAtMs };
  if (before === undefined) return { mark: fresh, regression: undefined };
  const regressed = { mark: fresh, regression: { before: before.clock, after: clock } };
  const kept = { mark: before, regression: undefined };

  const boots = compareBoots(before.clock, clock);
  if (boots < 0) return challengedAtMs > before.sinceMs + MAX_SKEW_MS ? regressed : kept;

  const fallMs = Number(before.clock.clock - clock.clock);
  const explainedMs = Math.max(0, before.seenAtMs + MAX_SKEW_MS - challengedAtMs);
  if (boots > 0) return fallMs > explainedMs && clock.safe ? regressed : { mark: fresh, regression: undefined };
  if (fallMs > explainedMs) return regressed;
  if (fallMs > 0) return kept;
  return { mark: { clock, seenAtMs, sinceMs: before.sinceMs }, regression: undefined };
}

/** Over 0 where the TPM was started anew since, under 0 where it was started less often. */
function compareBoots(before: TpmClock, after: TpmClock): number {
  return after.resetCount - before.resetCount || after.restartCount - before.restartCount;
}
