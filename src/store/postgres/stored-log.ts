import { containsHead } from '../../release/log-proofs.js';
import { recomputeLog } from '../../release/recompute-log.js';
import { type LogHead, type SeenHead, StoreIntegrityError, StoreUnavailableError } from '../../release/store.js';
import { TILE_WIDTH } from '../../translog/tile.js';
import { LogAppender } from '../rows/log-appender.js';
import type { State } from '../rows/state.js';
import { readHashes, readTexts } from './log-table.js';
import { LogWriter } from './log-writer.js';
import type { Readers } from './readers.js';
import type { Session } from './session.js';
import type { Standing, StateReader } from './state-reader.js';

/** The log's half of the store: what is read of it, and where a transaction appends. */
export class StoredLog {
  readonly #reader: StateReader;
  readonly #readers: Readers;
  readonly #clock: () => number;

  constructor(reader: StateReader, readers: Readers, clock: () => number) {
    this.#reader = reader;
    this.#readers = readers;
    this.#clock = clock;
  }

  /**
   * Where the transaction under way appends: behind a head that was authenticated and checked against all that is known.
   * `writer` collects what it appends. Throws StoreIntegrityError, RolledBackError.
   */
  appender(standing: Standing, state: State): { readonly appender: LogAppender; readonly writer: LogWriter } {
    const { watch, logWatch, headRows } = this.#reader;
    logWatch.assertContainsSeen();
    // Under the lock: nobody can have seen more than what is there.
    const head = this.#reader.head(standing, logWatch.newest);
    watch.assertFitsLog(head, state);
    const writer = new LogWriter(watch.rowMac, headRows);
    return { appender: new LogAppender(writer, logWatch.identity, head, this.#clock), writer };
  }

  committed({ sealed, identity }: LogAppender): void {
    if (sealed === undefined) return;
    this.#reader.logWatch.authenticate(identity);
    this.#reader.logWatch.committed(sealed);
  }

  async head(): Promise<LogHead> {
    return this.#headOf(await this.#readers.direct());
  }

  /** The log only grows: what is below the head that was read before is there. */
  async hashes(level: number, start: number, count: number): Promise<readonly Buffer[]> {
    const session = await this.#readers.direct();
    const end = Math.floor((await this.#headOf(session)).size / TILE_WIDTH ** level);
    return readHashes(session, level, start, within(start, count, end));
  }

  async texts(start: number, count: number): Promise<readonly string[]> {
    const session = await this.#readers.direct();
    const { size } = await this.#headOf(session);
    return readTexts(session, start, within(start, count, size));
  }

  /** As Store.expectLog. What does not contain a head is read from its entries before it is called rolled back. */
  async expect(seen: SeenHead): Promise<boolean> {
    const { logWatch } = this.#reader;
    const source = {
      logHashes: (level: number, start: number, count: number) => this.hashes(level, start, count),
      logEntries: (start: number, count: number) => this.texts(start, count),
    };
    const head = await this.head();
    try {
      if (await containsHead(source, head, seen)) return true;
      await recomputeLog(source, head);
    } catch (error) {
      if (error instanceof StoreIntegrityError) logWatch.refuseDamaged(error.message);
      throw error;
    }
    logWatch.refuse(head, seen);
    return false;
  }

  async #headOf(session: Session): Promise<LogHead> {
    const since = this.#reader.logWatch.newest;
    const head = this.#reader.head(await this.#reader.standing(session), since);
    if (head === undefined) throw new StoreUnavailableError('the store is empty; run: portcullis init');
    const { origin, size, root, checkpoint } = head;
    return { origin, size, root, checkpoint };
  }
}

/** How many of `count` indexes from `start` on lie before `end`. */
function within(start: number, count: number, end: number): number {
  return Math.max(0, Math.min(count, end - start));
}
