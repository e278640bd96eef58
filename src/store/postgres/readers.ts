import { StoreUnavailableError } from '../../release/store.js';
import type { Session } from './session.js';

/** Views open at the same time; the next one waits for its turn. */
const MAX_OPEN = 6;
/** Views that may wait. */
const MAX_WAITING = 16_384;

const BEGIN = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';

/**
 * Connections that only read. Each view has one to itself, since it is a transaction that stays open while its work awaits
 * other things. Single statements share one connection, whatever their number: they are sent as they come, and answered in
 * order. After an error that was not the server's own a connection is not used again.
 */
export class Readers {
  readonly #connect: () => Promise<Session>;
  readonly #idle: Session[] = [];
  readonly #waiting: (() => void)[] = [];
  #free = MAX_OPEN;
  #direct: Promise<Session> | undefined;

  constructor(connect: () => Promise<Session>) {
    this.#connect = connect;
  }

  /** Runs `work` in a read transaction of its own, whose first statement fixes what it sees. */
  async view<T>(work: (session: Session) => Promise<T>): Promise<T> {
    await this.#acquire();
    try {
      const session = await this.#take();
      // Not awaited yet: the first statement of the work is sent with it.
      const begun = session.command(BEGIN);
      begun.catch(() => undefined);
      try {
        const result = await work(session);
        await begun;
        return result;
      } finally {
        await this.#give(session);
      }
    } finally {
      this.#release();
    }
  }

  /** The connection for single statements. */
  async direct(): Promise<Session> {
    const opening = (this.#direct ??= this.#connect());
    let session: Session | undefined;
    try {
      session = await opening;
      if (!session.broken) return session;
    } finally {
      if (session?.broken !== false && this.#direct === opening) this.#direct = undefined;
    }
    return this.direct();
  }

  /** Waits for the views that are open, then hangs up. */
  async close(): Promise<void> {
    for (let slot = 0; slot < MAX_OPEN; slot++) await this.#acquire();
    for (const session of this.#idle.splice(0)) session.close();
    (await this.#direct?.catch(() => undefined))?.close();
  }

  async #take(): Promise<Session> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) if (!idle.broken) return idle;
    return this.#connect();
  }

  async #give(session: Session): Promise<void> {
    try {
      if (session.broken) return;
      await session.command('ROLLBACK');
      this.#idle.push(session);
    } catch {
      session.close();
    }
  }

  async #acquire(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    if (this.#waiting.length >= MAX_WAITING)
      throw new StoreUnavailableError('too many reads are waiting for the database');
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
