import { type LogHead, type SeenHead, StoreUnavailableError } from '../../release/store.js';
import { TILE_WIDTH } from '../../translog/tile.js';
import { expectLog } from '../rows/expect-log.js';
import { LogAppender } from '../rows/log-appender.js';
import type { StoredHead } from '../rows/log-head.js';
import { LogWatch } from '../rows/log-watch.js';
import type { State } from '../rows/state.js';
import type { StateWatch } from '../rows/state-watch.js';
import type { Readers } from './readers.js';
import type { Tables } from './tables.js';

/** The log's half of the store: what is read of it, and where a transaction appends. */
export class StoredLog {
  readonly watch = new LogWatch();
  readonly #stateWatch: StateWatch;
  readonly #readers: Readers;
  readonly #clock: () => number;

  constructor(stateWatch: StateWatch, readers: Readers, clock: () => number) {
    this.#stateWatch = stateWatch;
    this.#readers = readers;
    this.#clock = clock;
  }

  /** The head of the transaction under way; undefined in a fresh store. Throws StoreIntegrityError. */
  find(tables: Tables): StoredHead | undefined {
    return this.watch.check(tables.logHead.read(this.#stateWatch.rowMac), tables.log.end());
  }

  /**
   * Where the transaction under way appends: behind a head that was authenticated and checked against all that is known; or
   * behind the one that this process has `left`, where nobody has committed anything since.
   */
  appender(tables: Tables, state: State, left?: { readonly head: StoredHead | undefined }): LogAppender {
    this.watch.assertContainsSeen();
    const head = left === undefined ? this.find(tables) : left.head;
    if (left === undefined) this.#stateWatch.assertFitsLog(head, state);
    const sink = {
      entry: tables.log.insert.bind(tables.log),
      node: tables.log.insertNode.bind(tables.log),
      head: (sealed: StoredHead) => tables.logHead.write(this.#stateWatch.rowMac, sealed),
    };
    return new LogAppender(sink, this.watch.identity, head, this.#clock);
  }

  committed({ sealed, identity }: LogAppender): void {
    if (sealed === undefined) return;
    this.watch.authenticate(identity);
    this.watch.committed(sealed);
  }

  head(): LogHead {
    return this.#readers.now((tables) => this.#headOf(tables));
  }

  hashes(level: number, start: number, count: number): readonly Buffer[] {
    return this.#readers.now((tables) => {
      const end = Math.floor(this.#headOf(tables).size / TILE_WIDTH ** level);
      return tables.log.hashes(level, start, within(start, count, end));
    });
  }

  texts(start: number, count: number): readonly string[] {
    return this.#readers.now((tables) => tables.log.texts(start, within(start, count, this.#headOf(tables).size)));
  }

  expect(seen: SeenHead): Promise<boolean> {
    const source = {
      logHashes: async (level: number, start: number, count: number) => this.hashes(level, start, count),
      logEntries: async (start: number, count: number) => this.texts(start, count),
    };
    return expectLog(this.watch, source, this.head(), seen);
  }

  #headOf(tables: Tables): LogHead {
    const head = this.find(tables);
    if (head === undefined) throw new StoreUnavailableError('the store is empty; run: portcullis init');
    const { origin, size, root, checkpoint } = head;
    return { origin, size, root, checkpoint };
  }
}

/** How many of `count` indexes from `start` on lie before `end`. */
function within(start: number, count: number, end: number): number {
  return Math.max(0, Math.min(count, end - start));
}
