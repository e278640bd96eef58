import { describe, expect, test } from '@jest/globals';
import { type Clock, closedLoop, countedLoop, openLoop } from '../../bench/schedule.js';
import { quantile } from '../../bench/statistics.js';

/** A clock that goes on to the next thing that somebody waits for as soon as nothing else is to be done. */
class VirtualClock implements Clock {
  #nowMs = 1000;
  #waiting: { readonly atMs: number; readonly wake: () => void }[] = [];
  #ticking = false;

  now(): number {
    return this.#nowMs;
  }

  until(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ atMs: ms, wake: resolve });
      this.#tick();
    });
  }

  #tick(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    setImmediate(() => {
      this.#ticking = false;
      const atMs = Math.min(...this.#waiting.map((each) => each.atMs));
      this.#nowMs = Math.max(this.#nowMs, atMs);
      const due = this.#waiting.filter((each) => each.atMs <= this.#nowMs);
      this.#waiting = this.#waiting.filter((each) => each.atMs > this.#nowMs);
      for (const { wake } of due) wake();
      if (this.#waiting.length > 0) this.#tick();
    });
  }
}

/** A broker that answers each request after 1 ms, but stands still from one time to another. */
function stalling(clock: Clock, fromMs: number, toMs: number) {
  return async (): Promise<void> => {
    const doneMs = clock.now() + 1;
    await clock.until(doneMs > fromMs && doneMs < toMs ? toMs : doneMs);
  };
}

describe('an open loop', () => {
  test('starts each request when it is meant to start, whatever has become of those before', async () => {
    const clock = new VirtualClock();
    const startedMs: number[] = [];
    const run = await openLoop(clock, 4, { perSecond: 100, count: 10 }, async () => {
      startedMs.push(clock.now() - 1000);
      await clock.until(clock.now() + 15);
    });
    expect(startedMs).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    expect([...run.latenciesMs]).toEqual(Array.from({ length: 10 }, () => 15));
    expect(run.seconds).toBeCloseTo(0.105);
  });

  test('counts the wait for a connection as latency', async () => {
    const clock = new VirtualClock();
    const run = await openLoop(clock, 1, { perSecond: 100, count: 4 }, () => clock.until(clock.now() + 20));
    // Meant for 0, 10, 20 and 30 ms; the one connection is free for them at 0, 20, 40 and 60.
    expect([...run.latenciesMs]).toEqual([20, 30, 40, 50]);
  });

  test('a stall is felt by every request that falls into it, where a closed loop sees one', async () => {
    const open = new VirtualClock();
    const felt = await openLoop(open, 8, { perSecond: 1000, count: 1000 }, stalling(open, 1200, 1400));
    expect(felt.latenciesMs.filter((each) => each > 10).length).toBeGreaterThan(180);
    expect(quantile(felt.latenciesMs, 0.9)).toBeGreaterThan(90);

    const closed = new VirtualClock();
    const omitted = await closedLoop(closed, 1, 1, stalling(closed, 1200, 1400));
    expect(omitted.latenciesMs.filter((each) => each > 10)).toHaveLength(1);
    expect(quantile(omitted.latenciesMs, 0.99)).toBe(1);
  });

  test('gives each request a turn of its own', async () => {
    const clock = new VirtualClock();
    const turns: number[] = [];
    await openLoop(clock, 3, { perSecond: 500, count: 20 }, async (_, turn) => {
      turns.push(turn);
      await clock.until(clock.now() + 7);
    });
    expect(turns).toEqual(Array.from({ length: 20 }, (_, at) => at));
  });
});

describe('a closed loop', () => {
  test('has one request under way on each connection, and counts those that end late', async () => {
    const clock = new VirtualClock();
    const underWay = [0, 0, 0];
    const run = await closedLoop(clock, 3, 0.1, async (connection) => {
      expect(++underWay[connection]!).toBe(1);
      await clock.until(clock.now() + 30);
      underWay[connection]!--;
    });
    // Sent at 0, 30, 60 and 90 ms of 100.
    expect(run.latenciesMs).toHaveLength(12);
    expect(run.seconds).toBeCloseTo(0.12);
  });

  test('of a count sends so many, and no more', async () => {
    const clock = new VirtualClock();
    const turns: number[] = [];
    const run = await countedLoop(clock, 4, 10, async (_, turn) => {
      turns.push(turn);
      await clock.until(clock.now() + 5);
    });
    expect(turns.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(run.latenciesMs).toHaveLength(10);
  });

  test('ends with the error of a request', async () => {
    const clock = new VirtualClock();
    const failing = closedLoop(clock, 2, 1, async (_, turn) => {
      await clock.until(clock.now() + 1);
      if (turn === 5) throw new Error('refused');
    });
    await expect(failing).rejects.toThrow('refused');
  });
});
