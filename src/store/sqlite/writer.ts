import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { StoreUnavailableError } from '../../release/store.js';
import type { Connection } from './connection.js';
import { asStoreError, isBusy } from './errors.js';
import { Session } from './session.js';
import type { Tables } from './tables.js';

/** How long a write waits for another process to let the lock go. */
const LOCK_WAIT_MS = 2000;
export const LOCK_RETRY_MS = 4;
/** Requests that share one COMMIT at most: more would hold up what waits behind them. */
const MAX_BATCH = 256;
/**
 * A batch that several shared is paid once, in CPU and in the pages that other processes made this one read again. So where they have come in
 * numbers a moment ago, the next batch waits for more of them; a request that comes alone waits for nobody.
 */
const GATHER_MS = 5;
const SEVERAL = 4;
const MOMENT_MS = 50;
/** Requests that may wait; beyond that the store is overloaded and says so. */
const MAX_PENDING = 16_384;

/** What the requests of one shared transaction have in common. */
export interface SharedBatch {
  /** Called once, after the requests, inside the transaction: the last writes. */
  seal(): void;
  /** Called once the transaction is durable, before its requests are answered. */
  committed(): void;
}

/** One request of a shared transaction; what it returns makes its answer after COMMIT. */
interface Request<B> {
  readonly apply: (batch: B) => () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What became of one transaction; `records` is how many requests it carried. */
export type WriteOutcome =
  { readonly durable: false } | { readonly durable: true; readonly records: number; readonly milliseconds: number };

/**
 * The only place that writes: one connection, one transaction at a time, in the order of asking. A transaction whose
 * COMMIT fails may or may not be on disk; its connection is dropped, nobody is told that it succeeded, and the next one
 * reads everything anew.
 */
export class Writer<B extends SharedBatch> {
  readonly #connect: () => Connection;
  readonly #prepareBatch: (tables: Tables) => B;
  readonly #observe: (outcome: WriteOutcome) => void;
  #session: Session | undefined;
  /** What `outsideChanges` counted last, and where. */
  #counted: { readonly session: Session; readonly dataVersion: unknown } | undefined;
  #outsideChanges = 0;
  #tail: Promise<unknown> = Promise.resolve();
  readonly #pending: Request<B>[] = [];
  #draining: Promise<void> | undefined;
  /** When several requests shared a batch last. */
  #severalAtMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  /** `prepareBatch` reads, inside the shared transaction, what its requests have in common. `observe` hears of every COMMIT, and of every failure. */
  constructor(
    connect: () => Connection,
    prepareBatch: (tables: Tables) => B,
    observe: (outcome: WriteOutcome) => void,
  ) {
    this.#connect = connect;
    this.#prepareBatch = prepareBatch;
    this.#observe = observe;
  }

  /** Runs `work` in a transaction of its own. Its result is durable. Errors of SQLite come back as errors of the store. */
  transaction<T>(work: (tables: Tables) => T | Promise<T>): Promise<T> {
    return this.#queue(async () => {
      try {
        return await this.#transaction(work, () => 1);
      } finally {
        this.#outsideChanges++;
      }
    });
  }

  #queue<T>(transaction: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new StoreUnavailableError('the store has been closed'));
    const result = this.#tail.then(transaction);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /**
   * Runs `apply` in a transaction that it shares with what else arrives in the same turn of the event loop. What it returns
   * is called once the transaction is sealed and durable, and gives the answer. What it throws undoes what it did, and
   * nothing that others did; it may be run again then, on the state as it was before.
   */
  share<T>(apply: (batch: B) => () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#pending.length >= MAX_PENDING) {
        reject(new StoreUnavailableError('too many writes are waiting for the disk'));
        return;
      }
      this.#pending.push({ apply, resolve: resolve as (result: unknown) => void, reject });
      this.#draining ??= this.#drain();
    });
  }

  /**
   * A number that has grown wherever anything may have been committed since, but by a shared transaction of this writer: by
   * another process, or by a transaction of its own. Exact inside a transaction, which shuts out all others.
   */
  outsideChanges(): number {
    try {
      const session = this.#openSession();
      const dataVersion = session.dataVersion();
      const counted = this.#counted;
      if (counted?.session !== session || counted.dataVersion !== dataVersion) {
        this.#outsideChanges++;
        this.#counted = { session, dataVersion };
      }
      return this.#outsideChanges;
    } catch (error) {
      this.#drop();
      throw asStoreError(error);
    }
  }

  /** Finishes what was asked for, folds the WAL into the database file and lets the file go. */
  async close(): Promise<void> {
    while (this.#draining !== undefined) await this.#draining;
    await this.#tail;
    this.#closed = true;
    try {
      this.#session?.connection.db.pragma('wal_checkpoint(TRUNCATE)');
    } catch {
      // What is committed is safe in the WAL; the next start folds it in.
    }
    this.#drop();
  }

  async #drain(): Promise<void> {
    do {
      const gathers = this.#pending.length < MAX_BATCH && performance.now() - this.#severalAtMs < MOMENT_MS;
      await (gathers ? pause(GATHER_MS) : nextTurn());
      await this.#flush();
    } while (this.#pending.length > 0);
    this.#draining = undefined;
  }

  async #flush(): Promise<void> {
    let taken: Request<B>[] | undefined;
    let batch: B | undefined;
    const attempt = (apply: (request: Request<B>, batch: B) => () => void): Promise<(() => void)[]> =>
      this.#queue(() =>
        this.#transaction(
          (tables) => {
            const prepared = (batch = this.#prepareBatch(tables));
            const answers = (taken ??= this.#pending.splice(0, MAX_BATCH)).map((request) => apply(request, prepared));
            prepared.seal();
            return answers;
          },
          () => taken?.length ?? 0,
        ),
      );
    try {
      // Savepoints cost a release more than its entry does, and hardly any request fails: only where one did.
      const answers = await attempt(applied).catch((error: unknown) => {
        if (!(error instanceof RequestError)) throw error;
        return attempt((request, prepared) => this.#inSavepoint(request, prepared));
      });
      batch?.committed();
      if (answers.length >= SEVERAL) this.#severalAtMs = performance.now();
      for (const answer of answers) answer();
    } catch (error) {
      for (const request of taken ?? this.#pending.splice(0)) request.reject(error);
    }
  }

  /** Applies one request, which fails by itself. Returns what answers it, once the transaction is durable. */
  #inSavepoint(request: Request<B>, batch: B): () => void {
    const { savepoint, release, rollbackTo } = this.#openSession();
    savepoint.run();
    try {
      const answer = request.apply(batch);
      release.run();
      return () => settle(request, answer);
    } catch (error) {
      if (asStoreError(error) !== error) throw error;
      rollbackTo.run();
      release.run();
      return () => request.reject(error);
    }
  }

  async #transaction<T>(work: (tables: Tables) => T | Promise<T>, records: () => number): Promise<T> {
    try {
      const session = await this.#begin();
      let result: T;
      try {
        session.assertSchema();
        result = await work(session.tables);
      } catch (error) {
        this.#abandon(session);
        throw error;
      }
      this.#commit(session, records());
      return result;
    } catch (error) {
      this.#observe({ durable: false });
      throw asStoreError(error);
    }
  }

  /** BEGIN IMMEDIATE, asked for again while another process holds the lock, without blocking the event loop. */
  async #begin(): Promise<Session> {
    const deadline = performance.now() + LOCK_WAIT_MS;
    for (;;) {
      try {
        const session = this.#openSession();
        session.connection.beginImmediate();
        return session;
      } catch (error) {
        if (!isBusy(error) || performance.now() >= deadline) throw error;
      }
      await pause(LOCK_RETRY_MS);
    }
  }

  #commit(session: Session, records: number): void {
    const startedAtMs = performance.now();
    try {
      session.connection.commit();
    } catch (error) {
      this.#drop();
      throw error;
    }
    this.#observe({ durable: true, records, milliseconds: performance.now() - startedAtMs });
  }

  #abandon(session: Session): void {
    try {
      session.connection.rollback();
    } catch {
      this.#drop();
    }
  }

  #openSession(): Session {
    return (this.#session ??= new Session(this.#connect()));
  }

  #drop(): void {
    this.#session?.connection.close();
    this.#session = undefined;
  }
}

/** A request threw: not the store, so the others can still be kept. */
class RequestError extends Error {
  override readonly name = 'RequestError';
}

/** Applies one request, or throws RequestError for what it throws of its own. Returns what answers it. */
function applied<B>(request: Request<B>, batch: B): () => void {
  try {
    const answer = request.apply(batch);
    return () => settle(request, answer);
  } catch (error) {
    if (asStoreError(error) !== error) throw error;
    throw new RequestError('a request of the transaction failed', { cause: error });
  }
}

function settle<B>({ resolve, reject }: Request<B>, answer: () => unknown): void {
  try {
    resolve(answer());
  } catch (error) {
    reject(error);
  }
}
