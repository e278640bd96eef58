import type { BrokerContext } from '../../release/context.js';
import { purgeDeleted } from '../../release/key-lifecycle.js';

const PERIOD_MS = 60_000;
/** How soon the inventory has what an AK was seen to be. */
const SIGHTINGS_MS = 5000;
/** Deleted keys wait for days; an hour more does not matter, and every key is looked at. */
const KEY_PURGE_EVERY = 60;

/**
 * The broker's housekeeping, once a minute: spent nonces past their life are forgotten (which raises the floor), deleted
 * keys past their recovery window are destroyed, and what was only counted of denials becomes an entry. Every five seconds:
 * what AKs were seen to be is taken to the inventory. A job that fails is reported and tried again next time; releases do
 * not depend on any of them.
 */
export function startHousekeeping(
  context: BrokerContext,
  report: (job: string, error: unknown) => void,
): () => Promise<void> {
  // The floor never falls and a destroyed key does not come back, so neither may follow a clock that jumps ahead: both go
  // by the time that has really passed.
  const started = { wallMs: context.clock(), steadyMs: performance.now() };
  const steadyNowMs = () => Math.min(context.clock(), started.wallMs + performance.now() - started.steadyMs);
  let runs = 0;
  const jobs: readonly [string, () => Promise<unknown>][] = [
    ['purge spent nonces', () => context.store.purgeNonces(Math.floor(steadyNowMs() - context.challengeTtlMs))],
    ['purge deleted keys', async () => (runs++ % KEY_PURGE_EVERY === 0 ? purgeDeleted(context, steadyNowMs()) : 0)],
    ['summarise denials', () => context.denials.summarise()],
  ];
  const run = async () => {
    for (const [name, job] of jobs) {
      try {
        await job();
      } catch (error) {
        report(name, error);
      }
    }
  };
  let sightingsFail = false;
  const takeSightings = async () => {
    try {
      await context.sightings.flush();
      sightingsFail = false;
    } catch (error) {
      // Told once: it is tried so often.
      if (!sightingsFail) report('take sightings to the inventory', error);
      sightingsFail = true;
    }
  };
  const timers = [
    setInterval(() => void run(), PERIOD_MS).unref(),
    setInterval(() => void takeSightings(), SIGHTINGS_MS).unref(),
  ];
  return async () => {
    for (const timer of timers) clearInterval(timer);
    await context.denials.summarise();
    await takeSightings();
  };
}
