import type { BrokerRecord } from '../../release/records.js';
import {
  type CommitOutcome,
  type ReleaseCommit,
  type ReleaseFacts,
  type ReleaseQuery,
  type Store,
  type StoreChange,
  StoreUnavailableError,
  type StoreView,
} from '../../release/store.js';
import { changeOf, type Effects } from './change.js';
import type { Connection } from './connection.js';
import { Contents } from './contents.js';
import { factsOf } from './facts.js';
import { type EntryBody, LogAppender } from './log-table.js';
import type { SqliteOptions } from './options.js';
import { Readers } from './readers.js';
import type { State } from './state.js';
import { type Snapshot, StateWatch } from './state-watch.js';
import type { Tables } from './tables.js';
import { Operations, viewOf } from './view.js';
import { Writer } from './writer.js';

/** Spent nonces deleted in one transaction: more would hold up releases. */
const PURGE_BATCH = 2000;
/** How long a durable write proves that another one is possible. */
const PROOF_MS = 1000;
const FRESH: State = { generation: 0, epoch: 1, nonceFloorMs: 0, contents: '{}', logIndex: 0 };

/** What the requests of one shared transaction have in common, read and authenticated inside it. */
interface Batch {
  readonly tables: Tables;
  readonly state: State;
  readonly log: LogAppender;
}

/** The Store port over one SQLite file. `connect` opens a connection to it; nothing else touches the file. */
export class SqliteStoreAdapter implements Store {
  readonly #clock: () => number;
  readonly #watch = new StateWatch();
  readonly #readers: Readers;
  readonly #writer: Writer<Batch>;
  #durableAtMs = Number.NEGATIVE_INFINITY;
  #closing: Promise<void> | undefined;

  constructor(connect: (role: 'read' | 'write') => Connection, { clock, onCommit = () => undefined }: SqliteOptions) {
    this.#clock = clock;
    this.#readers = new Readers(() => connect('read'));
    this.#writer = new Writer<Batch>(
      () => connect('write'),
      (tables) => this.#batch(tables),
      (outcome) => {
        this.#durableAtMs = outcome.durable ? clock() : Number.NEGATIVE_INFINITY;
        if (outcome.durable) onCommit(outcome.records, outcome.milliseconds);
      },
    );
  }

  /** Gives the store the key of its row MACs (32 bytes, copied). Throws StoreIntegrityError where the stored state is not authenticated by it. */
  authenticate(rowMacKey: Buffer): void {
    this.#watch.authenticate(rowMacKey);
    this.#readers.now((tables) => {
      const snapshot = this.#watch.find(tables);
      if (snapshot !== undefined) this.#watch.assertNotBehindLog(tables, snapshot.state);
    });
  }

  async broker(): Promise<BrokerRecord | undefined> {
    this.#assertOpen();
    return this.#readers.now((tables) => {
      if (!this.#watch.authenticated) return tables.broker.unverified('1');
      const snapshot = this.#watch.find(tables);
      return snapshot === undefined ? undefined : tables.broker.get(snapshot, '1');
    });
  }

  async read<T>(work: (view: StoreView) => Promise<T>): Promise<T> {
    this.#assertOpen();
    return this.#readers.view(async (tables) => {
      const operations = new Operations();
      try {
        return await work(viewOf(tables, this.#watch.snapshot(tables), operations));
      } finally {
        operations.close();
      }
    });
  }

  async change<T>(work: (change: StoreChange) => Promise<T>): Promise<T> {
    this.#assertOpen();
    let after: { readonly state: State; readonly contents: Contents } | undefined;
    const result = await this.#writer.transaction(async (tables) => {
      const found = this.#watch.find(tables);
      const state = found?.state ?? FRESH;
      this.#watch.assertNotBehindLog(tables, state);
      const contents = (found?.contents ?? Contents.empty()).edit();
      const snapshot: Snapshot = { state, contents, rowMac: this.#watch.rowMac };
      const log = new LogAppender(tables.log, this.#clock);
      const logIndex = log.end.nextIndex;
      const effects: Effects = { epoch: state.epoch, brokerSet: false, wrote: false };
      const operations = new Operations();
      let value: T;
      try {
        value = await work(changeOf(tables, snapshot, log, operations, effects));
      } finally {
        operations.close();
      }
      operations.assertIntact();
      if (found === undefined && !effects.brokerSet)
        throw new StoreUnavailableError('the store is empty; run: portcullis init');
      if (!effects.wrote) return value;
      after = {
        state: {
          ...state,
          generation: state.generation + 1,
          epoch: effects.epoch,
          contents: contents.text(),
          logIndex,
        },
        contents,
      };
      tables.state.write(this.#watch.rowMac, after.state);
      return value;
    });
    if (after !== undefined) this.#watch.committed(after.state, after.contents);
    return result;
  }

  async releaseFacts(query: ReleaseQuery): Promise<ReleaseFacts> {
    this.#assertOpen();
    return this.#readers.now((tables) => factsOf(tables, this.#watch.snapshot(tables), query));
  }

  async commitRelease(commit: ReleaseCommit): Promise<CommitOutcome> {
    this.#assertOpen();
    return this.#writer.share(({ tables, state, log }): CommitOutcome => {
      if (commit.generation !== state.generation || commit.epoch !== state.epoch) return { outcome: 'changed' };
      if (commit.nonceIssuedAtMs <= state.nonceFloorMs) return { outcome: 'expired' };
      const entry = log.compose('release', commit.entry, state.generation);
      if (!tables.nonces.spend(commit.nonce, commit.nonceIssuedAtMs)) return { outcome: 'replayed' };
      return { outcome: 'committed', index: log.append(entry, commit.detail) };
    });
  }

  async appendRecord(type: string, body: EntryBody, detail?: string): Promise<void> {
    this.#assertOpen();
    await this.#writer.share(({ state, log }) => log.append(log.compose(type, body, state.generation), detail));
  }

  async purgeNonces(throughMs: number): Promise<number> {
    this.#assertOpen();
    if (!Number.isSafeInteger(throughMs) || throughMs < 0) throw new RangeError('throughMs is not a time in ms');
    let purged = 0;
    for (;;) {
      let raised: State | undefined;
      const deleted = await this.#writer.transaction((tables) => {
        const { state, rowMac } = this.#watch.snapshot(tables);
        if (throughMs > state.nonceFloorMs) {
          raised = { ...state, nonceFloorMs: throughMs };
          tables.state.write(rowMac, raised);
        }
        return tables.nonces.purge(throughMs, PURGE_BATCH);
      });
      if (raised !== undefined) this.#watch.committed(raised);
      purged += deleted;
      if (deleted < PURGE_BATCH) return purged;
    }
  }

  async probe(): Promise<void> {
    this.#assertOpen();
    const age = this.#clock() - this.#durableAtMs;
    if (age >= 0 && age < PROOF_MS) return;
    await this.#writer.share(({ tables }) => tables.probe.run(this.#clock()));
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    await this.#writer.close();
    await this.#readers.close();
  }

  #batch(tables: Tables): Batch {
    const { state } = this.#watch.snapshot(tables);
    this.#watch.assertNotBehindLog(tables, state);
    return { tables, state, log: new LogAppender(tables.log, this.#clock) };
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new StoreUnavailableError('the store has been closed');
  }
}
