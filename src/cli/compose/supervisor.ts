import cluster, { type Worker } from 'node:cluster';
import { type Exposition, mergeSnapshots } from '../../telemetry/metrics.js';
import type { Snapshot, ToSupervisor, ToWorker } from './worker-messages.js';

/** How long /metrics waits for a worker before it is left out. */
const SNAPSHOT_TIMEOUT_MS = 1_000;
/** Workers that end unasked are replaced, unless this many did so within the window. */
const MAX_DEATHS = 5;
const DEATH_WINDOW_MS = 30_000;

/**
 * Runs `count` workers until this process is told to stop, and replaces those that end unasked. The exit code. The first one
 * goes ahead: what would end every worker ends that one, which says so, and its exit code is given back.
 */
export async function superviseWorkers(count: number, onListening: (url: string) => void): Promise<number> {
  const deaths: number[] = [];
  const collection = new Collection();
  let listening = 0;
  let stopping = false;
  let failure = 0;
  return new Promise((resolve) => {
    const workers = () => Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
    const stop = (): void => {
      stopping = true;
      for (const worker of workers()) send(worker, { stop: true });
      if (workers().length === 0) resolve(failure);
    };
    cluster.on('message', (worker, message: ToSupervisor) => {
      if ('listening' in message) {
        listening++;
        if (listening === 1) for (let others = 1; others < count && !stopping; others++) cluster.fork();
        if (listening === count) onListening(message.listening);
      } else if ('values' in message) {
        collection.receive(message.snapshot, message.values);
      } else {
        void collection.collect(workers()).then((exposition) => send(worker, { exposition }));
      }
    });
    cluster.on('exit', (_worker, code: number | null) => {
      if (!stopping) {
        const nowMs = Date.now();
        deaths.push(nowMs);
        const recent = deaths.filter((atMs) => nowMs - atMs < DEATH_WINDOW_MS);
        if (listening >= count && recent.length < MAX_DEATHS) {
          cluster.fork();
          return;
        }
        failure = code === null || code === 0 ? 1 : code;
        stop();
      }
      if (workers().length === 0) resolve(failure);
    });
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);
    cluster.fork();
  });
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
