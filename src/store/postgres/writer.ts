import { setImmediate as nextTurn } from 'node:timers/promises';
import { StoreUnavailableError } from '../../release/store.js';
import { isCollision } from './errors.js';
import { LOCK } from './migrations.js';
import type { Session } from './session.js';

/** Requests that share one COMMIT at most: more would hold up what waits behind them. */
const MAX_BATCH = 256;
/** Requests that may wait; beyond that the store is overloaded and says so. */
const MAX_PENDING = 16_384;
/** How often a transaction that collided with another one is tried, before anything was answered. */
const MAX_ATTEMPTS = 3;

/** What the requests of one shared transaction have in common, read after the lock was taken. */
export interface SharedBatch {
  /** Called once, after the requests: the statements to send ahead of COMMIT, each already under way when it returns. */
  seal(): readonly Promise<unknown>[];
  /** Called once the transaction is durable, before its requests are answered. */
  committed(): void;
}

/** One request of a shared transaction. */
export interface Shared<B, T> {
  /** The nonce that it spends. */
  readonly nonce?: Buffer;
  /**
   * Notes in the batch what is to be written; awaits nothing, and where it throws it has noted nothing, so that its
   * neighbours are not disturbed. What it returns is called once the transaction is durable, and gives the answer.
   */
  apply(batch: B): () => T;
}

interface Request<B> extends Shared<B, unknown> {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What became of one transaction; `records` is how many requests it carried. */
export type WriteOutcome =
  { readonly durable: false } | { readonly durable: true; readonly records: number; readonly milliseconds: number };

/**
 * The only place that writes: one connection, one transaction at a time, in the order of asking, under a lock that all
 * replicas share. A shared transaction takes two round trips: lock and reading, then writing and COMMIT. One whose COMMIT
 * fails may or may not be on disk; its connection is dropped, nobody is told that it succeeded, and the next one reads
 * everything anew, which the lock delays until the server has ended the former one.
 */
export class Writer<B extends SharedBatch> {
  readonly #connect: () => Promise<Session>;
  readonly #prepareBatch: (session: Session, nonces: readonly Buffer[], locked: Promise<unknown>) => Promise<B>;
  readonly #observe: (outcome: WriteOutcome) => void;
  #session: Session | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  readonly #pending: Request<B>[] = [];
  #draining: Promise<void> | undefined;
  #closed = false;

  /**
   * `prepareBatch` reads, inside the shared transaction, what its requests have in common; its statements may be sent before
   * `locked` is fulfilled, since they run behind it. `observe` hears of every COMMIT, and of every failure.
   */
  constructor(
    connect: () => Promise<Session>,
    prepareBatch: (session: Session, nonces: readonly Buffer[], locked: Promise<unknown>) => Promise<B>,
    observe: (outcome: WriteOutcome) => void,
  ) {
    this.#connect = connect;
    this.#prepareBatch = prepareBatch;
    this.#observe = observe;
  }

  /** Runs `work` in a transaction of its own, under the lock. Its result is durable. */
  transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#inTurn(() =>
      this.#observed(async () => {
        const session = await this.#open();
        return this.#guarded(session, async () => {
          await begin(session);
          const result = await work(session);
          await this.#commit(session, [], 1);
          return result;
        });
      }),
    );
  }

  /** Applies a request in a transaction that it shares with what else arrives until the one before is durable. */
  share<T>(request: Shared<B, T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#pending.length >= MAX_PENDING) {
        reject(new StoreUnavailableError('too many writes are waiting for the database'));
        return;
      }
      this.#pending.push({
        ...(request.nonce === undefined ? {} : { nonce: request.nonce }),
        apply: (batch) => request.apply(batch),
        resolve: resolve as (result: unknown) => void,
        reject,
      });
      this.#draining ??= this.#drain();
    });
  }

  /** Finishes what was asked for, and lets the connection go. */
  async close(): Promise<void> {
    while (this.#draining !== undefined) await this.#draining;
    await this.#tail;
    this.#closed = true;
    this.#drop();
  }

  async #drain(): Promise<void> {
    do {
      await nextTurn();
      await this.#inTurn(() => this.#flush());
    } while (this.#pending.length > 0);
    this.#draining = undefined;
  }

  /** Answers every request that it takes; throws nothing. */
  async #flush(): Promise<void> {
    const taken = this.#pending.splice(0, MAX_BATCH);
    try {
      const answers = await this.#observed(() => this.#shared(taken));
      for (const answer of answers) answer();
    } catch (error) {
      for (const request of taken) request.reject(error);
    }
  }

  async #shared(taken: readonly Request<B>[]): Promise<readonly (() => void)[]> {
    for (let attempt = 1; ; attempt++) {
      const session = await this.#open();
      try {
        return await this.#guarded(session, async () => {
          const nonces = taken.map(({ nonce }) => nonce).filter((nonce) => nonce !== undefined);
          const locked = begin(session);
          const batch = await this.#prepareBatch(session, nonces, locked);
          const answers = taken.map((request) => applied(request, batch));
          await this.#commit(session, batch.seal(), taken.length);
          batch.committed();
          return answers;
        });
      } catch (error) {
        if (!isCollision(error) || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** Sends COMMIT behind statements that are under way: where one of them fails, the server rolls back. */
  async #commit(session: Session, before: readonly Promise<unknown>[], records: number): Promise<void> {
    const startedAtMs = performance.now();
    try {
      await Promise.all([...before, session.commit()]);
    } catch (error) {
      // Whether it was the COMMIT that failed, and what became of it, only a new connection can find out.
      this.#drop();
      throw error;
    }
    this.#observe({ durable: true, records, milliseconds: performance.now() - startedAtMs });
  }

  /** Rolls back where `work` fails. */
  async #guarded<T>(session: Session, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!session.broken) {
        try {
          await session.command('ROLLBACK');
        } catch {
          this.#drop();
        }
      }
      throw error;
    }
  }

  async #observed<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#observe({ durable: false });
      throw error;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new StoreUnavailableError('the store has been closed'));
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #open(): Promise<Session> {
    if (this.#session?.broken !== false) this.#session = await this.#connect();
    return this.#session;
  }

  #drop(): void {
    this.#session?.close();
    this.#session = undefined;
  }
}

/** Two statements in one message: what follows runs behind the lock, and sees what was committed before it was given. */
function begin(session: Session): Promise<unknown> {
  return session.command(`BEGIN; ${LOCK}`);
}

/** What answers a request, once the transaction is durable. */
function applied<B>(request: Request<B>, batch: B): () => void {
  let answer: () => unknown;
  try {
    answer = request.apply(batch);
  } catch (error) {
    return () => request.reject(error);
  }
  return () => {
    try {
      request.resolve(answer());
    } catch (error) {
      request.reject(error);
    }
  };
}
