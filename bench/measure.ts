import type { BrokerProcess } from './broker.js';
import { HttpConnection } from './http-connection.js';
import type { Ledger } from './ledger.js';
import { type Load, type LoadTarget, type PreparedRequest, prepareRequests, runLoad, sendPrepared } from './load.js';
import type { Run } from './schedule.js';
import { quantile } from './statistics.js';

/** What one round of one load came to. */
export interface Sample {
  readonly perSecond: number;
  /** CPU time of the broker's processes alone; of the database's, where it has processes of its own; of the generator. */
  readonly cpuUs: number;
  readonly databaseCpuUs: number;
  readonly generatorCpuUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** The most that the broker's processes held at one time. */
  readonly memoryMiB: number;
  readonly commits: number;
  /** Log records that one durable commit carried. */
  readonly perCommit: number;
}

/** One broker under load, and what may use CPU for it. */
export interface Measured {
  readonly broker: BrokerProcess;
  /** CPU time of the database's own processes, in seconds; SQLite has none. */
  readonly databaseCpuSeconds: () => number;
}

/** To add up the pages of a process stops it, and the generator, for milliseconds. */
const MEMORY_INTERVAL_MS = 1000;

/**
 * Runs one load and measures it. Connections are open, and prepared requests made, before the clock starts. Throws where the
 * broker has not counted exactly the releases that were answered.
 */
export async function measure(measured: Measured, target: LoadTarget, load: Load, ledger: Ledger): Promise<Sample> {
  const { broker } = measured;
  const connections = await HttpConnection.openMany(target.url, load.connections);
  try {
    const prepared = load.kind === 'prepared' ? await prepareRequests(target, connections, load.count, ledger) : [];
    const counted = await broker.counts();
    const answered = ledger.nonces.size;
    const overloads = ledger.overloads;
    const usage = watch(measured);
    const run = await drive(target, connections, load, prepared, ledger);
    const used = usage.stop();
    const releases = ledger.nonces.size - answered;
    const after = await broker.counts();
    const unanswered = after.releases - counted.releases - releases;
    if (unanswered < 0 || unanswered > ledger.overloads - overloads) {
      throw new Error(`${String(releases)} answers, but the broker counts ${String(releases + unanswered)} releases`);
    }
    const commits = after.commits - counted.commits;
    return {
      perSecond: releases / run.seconds,
      cpuUs: (used.brokerSeconds * 1e6) / releases,
      databaseCpuUs: (used.databaseSeconds * 1e6) / releases,
      generatorCpuUs: used.generatorUs / releases,
      p50Ms: quantile(run.latenciesMs, 0.5),
      p99Ms: quantile(run.latenciesMs, 0.99),
      p999Ms: quantile(run.latenciesMs, 0.999),
      memoryMiB: used.memoryBytes / 2 ** 20,
      commits,
      perCommit: (after.records - counted.records) / Math.max(1, commits),
    };
  } finally {
    for (const connection of connections) connection.close();
  }
}

function drive(
  target: LoadTarget,
  connections: readonly HttpConnection[],
  load: Load,
  prepared: readonly PreparedRequest[],
  ledger: Ledger,
): Promise<Run> {
  return load.kind === 'prepared'
    ? sendPrepared(prepared, connections, ledger)
    : runLoad(target, connections, load, ledger);
}

function watch({ broker, databaseCpuSeconds }: Measured): {
  stop(): { brokerSeconds: number; databaseSeconds: number; generatorUs: number; memoryBytes: number };
} {
  let memoryBytes = broker.memoryBytes();
  const look = (): void => {
    memoryBytes = Math.max(memoryBytes, broker.memoryBytes());
  };
  const timer = setInterval(look, MEMORY_INTERVAL_MS);
  const generator = process.cpuUsage();
  const brokerSeconds = broker.cpuSeconds();
  const databaseSeconds = databaseCpuSeconds();
  return {
    stop: () => {
      const { user, system } = process.cpuUsage(generator);
      const used = {
        brokerSeconds: broker.cpuSeconds() - brokerSeconds,
        databaseSeconds: databaseCpuSeconds() - databaseSeconds,
        generatorUs: user + system,
      };
      clearInterval(timer);
      look();
      return { ...used, memoryBytes };
    },
  };
}
