import cluster, { type Worker } from 'node:cluster';
import type { Config } from '../../config/config.js';
import { type Exposition, mergeSnapshots, type Telemetry } from '../../telemetry/metrics.js';
import { serveInThisProcess } from './serve-process.js';

/** What passes between the supervising process and its workers. */
type Snapshot = Awaited<ReturnType<Telemetry['snapshot']>>;
type ToWorker = { readonly stop: true } | { readonly snapshot: number } | { readonly exposition: Exposition };
type ToSupervisor =
  | { readonly listening: string }
  | { readonly snapshot: number; readonly values: Snapshot }
  | { readonly exposition: 'wanted' };

/** How long /metrics waits for a worker before it is left out. */
const SNAPSHOT_TIMEOUT_MS = 1_000;
/** Workers that end unasked are replaced, unless this many did so within the window. */
const MAX_DEATHS = 5;
const DEATH_WINDOW_MS = 30_000;

/** Runs `count` workers until this process is told to stop, and replaces those that end unasked. The exit code. */
export async function superviseWorkers(count: number, onListening: (url: string) => void): Promise<number> {
  const deaths: number[] = [];
  const collection = new Collection();
  let listening = 0;
  let stopping = false;
  return new Promise((resolve) => {
    const workers = () => Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
    const stop = (): void => {
      stopping = true;
      for (const worker of workers()) send(worker, { stop: true });
      if (workers().length === 0) resolve(0);
    };
    let failed = false;
    cluster.on('message', (worker, message: ToSupervisor) => {
      if ('listening' in message) {
        listening++;
        if (listening === count) onListening(message.listening);
      } else if ('values' in message) {
        collection.receive(message.snapshot, message.values);
      } else {
        void collection.collect(workers()).then((exposition) => send(worker, { exposition }));
      }
    });
    cluster.on('exit', () => {
      if (!stopping) {
        const nowMs = Date.now();
        deaths.push(nowMs);
        const recent = deaths.filter((atMs) => nowMs - atMs < DEATH_WINDOW_MS);
        if (listening >= count && recent.length < MAX_DEATHS) {
          cluster.fork();
          return;
        }
        failed = true;
        stop();
      }
      if (workers().length === 0) resolve(failed ? 1 : 0);
    });
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);
    for (let i = 0; i < count; i++) cluster.fork();
  });
}

/** Serves as one of `workers`. Ends with the supervising process, however that ended. */
export async function serveAsWorker(config: Config, workers: number): Promise<number> {
  const waiting: ((exposition: Exposition) => void)[] = [];
  let telemetry: Telemetry | undefined;
  const untilStopped = new Promise<void>((resolve) => {
    process.on('message', (message: ToWorker) => {
      if ('stop' in message) resolve();
      else if ('exposition' in message) {
        for (const give of waiting.splice(0)) give(message.exposition);
      } else {
        const { snapshot } = message;
        void telemetry?.snapshot().then((values) => tell({ snapshot, values }));
      }
    });
    process.once('SIGTERM', () => resolve());
  });
  // A terminal sends its interrupt to every process; the supervising one tells when to stop.
  process.on('SIGINT', () => undefined);
  process.once('disconnect', () => process.exit(1));
  try {
    return await serveInThisProcess(config, {
      onListening: (url) => tell({ listening: url }),
      onTelemetry: (own) => (telemetry = own),
      // Asked for once, however many wait for the answer.
      exposition: () =>
        new Promise((resolve) => {
          if (waiting.push(resolve) === 1) tell({ exposition: 'wanted' });
        }),
      untilStopped,
      workers,
      // Of the first workers, not of one that replaces another.
      recordsStart: cluster.worker?.id === 1,
      logBase: { worker: cluster.worker?.id ?? 0 },
    });
  } finally {
    process.removeAllListeners('disconnect');
    process.disconnect();
  }
}

/** The metrics of all workers, added up; anybody may ask for them, so they are collected once at a time. */
class Collection {
  readonly #waiting = new Map<number, (values: Snapshot) => void>();
  #asked = 0;
  #underWay: Promise<Exposition> | undefined;

  /** Of those that answer in time. Whoever asks while a collection is under way shares what it finds. */
  collect(workers: readonly Worker[]): Promise<Exposition> {
    this.#underWay ??= this.#ask(workers).finally(() => (this.#underWay = undefined));
    return this.#underWay;
  }

  /** What a worker answers; too late, nobody waits for it any more. */
  receive(id: number, values: Snapshot): void {
    this.#waiting.get(id)?.(values);
  }

  async #ask(workers: readonly Worker[]): Promise<Exposition> {
    const snapshots = await Promise.all(workers.map((worker) => this.#snapshotOf(worker)));
    return mergeSnapshots(snapshots.filter((snapshot) => snapshot !== undefined));
  }

  #snapshotOf(worker: Worker): Promise<Snapshot | undefined> {
    const id = this.#asked++;
    return new Promise((resolve) => {
      const finish = (values: Snapshot | undefined): void => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(values);
      };
      const timer = setTimeout(() => finish(undefined), SNAPSHOT_TIMEOUT_MS);
      this.#waiting.set(id, finish);
      send(worker, { snapshot: id });
    });
  }
}

function send(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => undefined);
}

function tell(message: ToSupervisor): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
