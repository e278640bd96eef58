/**
 * How a load asks. Clock and waiting are ports, so that what is said here about latencies can be tested without waiting.
 */

export interface Clock {
  /** Milliseconds of a clock that only goes forward. */
  now(): number;
  /** Fulfilled at that time or soon after it. */
  until(ms: number): Promise<void>;
}

/** Sends one request over the connection of this number and waits for its answer. `turn` is different for each request. */
export type Exchange = (connection: number, turn: number) => Promise<void>;

/** Latencies in ms, ascending, and how long all of it took. */
export interface Run {
  readonly latenciesMs: Float64Array;
  readonly seconds: number;
}

/**
 * Closed loop: each connection sends its next request once it has the answer to the one before, until `seconds` have
 * passed; what is under way then is still counted. A broker that stalls is asked less often: such latencies flatter it.
 */
export async function closedLoop(clock: Clock, connections: number, seconds: number, exchange: Exchange): Promise<Run> {
  const latencies: number[] = [];
  const startMs = clock.now();
  const endMs = startMs + seconds * 1000;
  let turn = 0;
  const work = async (connection: number): Promise<void> => {
    for (let sentMs = clock.now(); sentMs < endMs; sentMs = clock.now()) {
      await exchange(connection, turn++);
      latencies.push(clock.now() - sentMs);
    }
  };
  await Promise.all(Array.from({ length: connections }, (_, connection) => work(connection)));
  return runOf(clock, startMs, latencies);
}

/**
 * Open loop: request n is meant to start n / perSecond after the first one, whatever has become of those before, and its
 * latency counts from then, also where no connection was free and it had to wait. So a stall of the broker is felt by every
 * request that falls into it, not by the few that happened to be under way (coordinated omission).
 */
export async function openLoop(
  clock: Clock,
  connections: number,
  arrivals: { readonly perSecond: number; readonly count: number },
  exchange: Exchange,
): Promise<Run> {
  const latencies: number[] = [];
  const startMs = clock.now();
  let next = 0;
  const work = async (connection: number): Promise<void> => {
    while (next < arrivals.count) {
      const turn = next++;
      const meantMs = startMs + (turn * 1000) / arrivals.perSecond;
      if (meantMs > clock.now()) await clock.until(meantMs);
      await exchange(connection, turn);
      latencies.push(clock.now() - meantMs);
    }
  };
  await Promise.all(Array.from({ length: connections }, (_, connection) => work(connection)));
  return runOf(clock, startMs, latencies);
}

/** A given number of requests, each connection sending its next one once it has an answer. */
export async function countedLoop(clock: Clock, connections: number, count: number, exchange: Exchange): Promise<Run> {
  const latencies: number[] = [];
  const startMs = clock.now();
  let next = 0;
  const work = async (connection: number): Promise<void> => {
    while (next < count) {
      const turn = next++;
      const sentMs = clock.now();
      await exchange(connection, turn);
      latencies.push(clock.now() - sentMs);
    }
  };
  await Promise.all(Array.from({ length: connections }, (_, connection) => work(connection)));
  return runOf(clock, startMs, latencies);
}

function runOf(clock: Clock, startMs: number, latencies: readonly number[]): Run {
  return { latenciesMs: Float64Array.from(latencies).sort(), seconds: (clock.now() - startMs) / 1000 };
}
