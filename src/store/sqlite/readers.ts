import type { Connection } from './connection.js';
import { asStoreError, sqliteCode } from './errors.js';
import { prepareTables, type Tables } from './tables.js';

/** Views open at the same time; the next one waits for its turn. */
const MAX_OPEN = 8;

interface Reader {
  readonly connection: Connection;
  readonly tables: Tables;
}

/**
 * Connections that only read, one to each view, since a view stays open while its work awaits other things, and two on
 * one connection would share a transaction. Errors of SQLite come back as errors of the store; after an error
 * the connection is not used again.
 */
export class Readers {
  readonly #connect: () => Connection;
  readonly #idle: Reader[] = [];
  readonly #waiting: (() => void)[] = [];
  #free = MAX_OPEN;
  /** The connection of `now`. */
  #direct: Reader | undefined;

  constructor(connect: () => Connection) {
    this.#connect = connect;
  }

  /** Runs `work` in a read transaction of its own. */
  async view<T>(work: (tables: Tables) => Promise<T>): Promise<T> {
    await this.#acquire();
    try {
      const reader = this.#take();
      let sound = false;
      try {
        reader.connection.begin();
        const result = await work(reader.tables);
        sound = true;
        return result;
      } finally {
        this.#give(reader, sound);
      }
    } catch (error) {
      throw asStoreError(error);
    } finally {
      this.#release();
    }
  }

  /** Runs `work`, which awaits nothing, in a read transaction on a connection that is kept for that. */
  now<T>(work: (tables: Tables) => T): T {
    try {
      const { connection, tables } = (this.#direct ??= this.#newReader());
      connection.begin();
      try {
        return work(tables);
      } finally {
        connection.rollback();
      }
    } catch (error) {
      if (sqliteCode(error) !== undefined) this.#dropDirect();
      throw asStoreError(error);
    }
  }

  /** Waits for the views that are open, then lets the file go. */
  async close(): Promise<void> {
    for (let slot = 0; slot < MAX_OPEN; slot++) await this.#acquire();
    for (const reader of this.#idle.splice(0)) reader.connection.close();
    this.#dropDirect();
  }

  #take(): Reader {
    return this.#idle.pop() ?? this.#newReader();
  }

  #give(reader: Reader, sound: boolean): void {
    try {
      reader.connection.rollback();
      if (sound) {
        this.#idle.push(reader);
        return;
      }
    } catch {
      // Closed below: a connection that cannot leave its transaction is of no use.
    }
    reader.connection.close();
  }

  #newReader(): Reader {
    const connection = this.#connect();
    return { connection, tables: prepareTables(connection.db) };
  }

  #dropDirect(): void {
    this.#direct?.connection.close();
    this.#direct = undefined;
  }

  async #acquire(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
