import { setTimeout as pause } from 'node:timers/promises';
import type { BrokerRecord, ClockRegression, Sighting, StoredSighting } from '../../release/records.js';
import {
  type ArchivedRelease,
  type CommitOutcome,
  type EntryBody,
  type LogHead,
  type LogIdentity,
  type Page,
  type ReleaseCommit,
  type ReleaseFacts,
  type ReleaseQuery,
  type ReleaseStore,
  type SeenHead,
  type Store,
  type StoreChange,
  StoreUnavailableError,
  type StoreView,
} from '../../release/store.js';
import { commitRelease, type ReleaseBatch } from '../rows/commit-release.js';
import type { Contents } from '../rows/contents.js';
import type { LogAppender } from '../rows/log-appender.js';
import type { StoredHead } from '../rows/log-head.js';
import { releaseAlone, Turns } from '../rows/release-alone.js';
import { FRESH, type State } from '../rows/state.js';
import { type Snapshot, StateWatch } from '../rows/state-watch.js';
import { changeOf, type Effects } from './change.js';
import type { Connection } from './connection.js';
import { KnownFacts } from './known-facts.js';
import type { SqliteOptions } from './options.js';
import { Readers } from './readers.js';
import { findSnapshot, snapshotOf } from './snapshot.js';
import { StoredLog } from './stored-log.js';
import type { Tables } from './tables.js';
import { Operations, viewOf } from './view.js';
import { LOCK_RETRY_MS, type SharedBatch, Writer } from './writer.js';

/** Spent nonces deleted in one transaction: more would hold up releases. */
const PURGE_BATCH = 2000;
/** How long a durable write proves that another one is possible. */
const PROOF_MS = 1000;

/** What the requests of one shared transaction have in common, read and authenticated inside it. */
interface Batch extends SharedBatch, ReleaseBatch {
  readonly tables: Tables;
}

/** The Store port over one SQLite file. `connect` opens a connection to it; nothing else touches the file. */
export class SqliteStoreAdapter implements Store {
  readonly #clock: () => number;
  readonly #watch = new StateWatch();
  readonly #log: StoredLog;
  readonly #readers: Readers;
  readonly #writer: Writer<Batch>;
  readonly #facts: KnownFacts;
  readonly #alone = new Turns();
  /** What the newest shared transaction of this process has left, when `changes` was counted. */
  #left: { readonly changes: number; readonly state: State; readonly head: StoredHead | undefined } | undefined;
  #durableAtMs = Number.NEGATIVE_INFINITY;
  #closing: Promise<void> | undefined;

  constructor(connect: (role: 'read' | 'write') => Connection, { clock, onCommit = () => undefined }: SqliteOptions) {
    this.#clock = clock;
    this.#readers = new Readers(() => connect('read'));
    this.#log = new StoredLog(this.#watch, this.#readers, clock);
    this.#writer = new Writer<Batch>(
      () => connect('write'),
      (tables) => this.#batch(tables),
      (outcome) => {
        this.#durableAtMs = outcome.durable ? clock() : Number.NEGATIVE_INFINITY;
        if (outcome.durable) onCommit(outcome.records, outcome.milliseconds);
      },
    );
    this.#facts = new KnownFacts(() => this.#writer.outsideChanges(), this.#readers, this.#watch, this.#log);
  }

  /** Gives the store the key of its row MACs (32 bytes, copied) and the identity of its log. Throws StoreIntegrityError where the stored state and log are not authenticated by them. */
  authenticate(rowMacKey: Buffer, log: LogIdentity): void {
    this.#watch.authenticate(rowMacKey);
    this.#log.watch.authenticate(log);
    this.#readers.now((tables) => {
      const snapshot = findSnapshot(tables, this.#watch);
      const head = this.#log.find(tables);
      if (snapshot !== undefined) this.#watch.assertFitsLog(head, snapshot.state);
    });
  }

  async broker(): Promise<BrokerRecord | undefined> {
    this.#assertOpen();
    return this.#readers.now((tables) => {
      if (!this.#watch.authenticated) return tables.broker.unverified('1');
      const snapshot = findSnapshot(tables, this.#watch);
      return snapshot === undefined ? undefined : tables.broker.get(snapshot, '1');
    });
  }

  async read<T>(work: (view: StoreView) => Promise<T>): Promise<T> {
    this.#assertOpen();
    return this.#readers.view(async (tables) => {
      const operations = new Operations();
      try {
        return await work(viewOf(tables, snapshotOf(tables, this.#watch), operations));
      } finally {
        operations.close();
      }
    });
  }

  async change<T>(work: (change: StoreChange) => Promise<T>): Promise<T> {
    this.#assertOpen();
    let after: { readonly state: State; readonly contents: Contents; readonly log: LogAppender } | undefined;
    const result = await this.#writer.transaction(async (tables) => {
      const found = findSnapshot(tables, this.#watch);
      const state = found?.state ?? FRESH;
      const log = this.#log.appender(tables, state);
      const contents = (found?.contents ?? this.#watch.emptyContents()).edit();
      const snapshot: Snapshot = { state, contents, rowMac: this.#watch.rowMac };
      const logIndex = log.size;
      const { epoch, nonceFloorMs } = state;
      const effects: Effects = { epoch, nonceFloorMs, brokerSet: false, wrote: false };
      const operations = new Operations();
      let value: T;
      try {
        value = await work(changeOf(tables, snapshot, log, operations, effects, this.#clock()));
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
          nonceFloorMs: effects.nonceFloorMs,
          contents: contents.text(),
          logIndex: Math.min(logIndex, log.size - 1),
        },
        contents,
        log,
      };
      tables.state.write(this.#watch.rowMac, after.state);
      log.seal();
      return value;
    });
    if (after !== undefined) {
      this.#watch.committed(after.state, after.contents);
      this.#log.committed(after.log);
    }
    return result;
  }

  async releaseFacts(query: ReleaseQuery): Promise<ReleaseFacts> {
    this.#assertOpen();
    this.#log.watch.assertContainsSeen();
    return this.#facts.of(query);
  }

  async commitRelease(commit: ReleaseCommit): Promise<CommitOutcome> {
    this.#assertOpen();
    return this.#writer.share((batch) => commitRelease(batch, commit));
  }

  async releaseAlone<T>(work: (store: ReleaseStore) => Promise<T>): Promise<T> {
    this.#assertOpen();
    return this.#alone.take(async () => {
      let batch: Batch | undefined;
      try {
        const result = await this.#writer.transaction((tables) => {
          const makeStore = (assertOpen: () => void): ReleaseStore => ({
            releaseFacts: (query) => this.releaseFacts(query),
            commitRelease: async (commit) => {
              assertOpen();
              batch = this.#batch(tables);
              const answer = commitRelease(batch, commit);
              batch.seal();
              return answer();
            },
          });
          return releaseAlone(makeStore, work);
        });
        batch?.committed();
        return result;
      } finally {
        // Whoever waits for the lock in another process only looks now and then whether it is free.
        await pause(2 * LOCK_RETRY_MS);
      }
    });
  }

  async appendRecord(type: string, body: EntryBody, detail?: string): Promise<void> {
    this.#assertOpen();
    await this.#writer.share(({ state, log }) => {
      log.append(log.compose(type, body, state.generation), state.generation, detail);
      return () => undefined;
    });
  }

  async purgeNonces(throughMs: number): Promise<number> {
    this.#assertOpen();
    if (!Number.isSafeInteger(throughMs) || throughMs < 0) throw new RangeError('throughMs is not a time in ms');
    this.#log.watch.assertContainsSeen();
    let purged = 0;
    for (;;) {
      let raised: State | undefined;
      const deleted = await this.#writer.transaction((tables) => {
        const { state, rowMac } = snapshotOf(tables, this.#watch);
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

  async noteSightings(list: readonly Sighting[]): Promise<readonly ClockRegression[]> {
    this.#assertOpen();
    if (list.length === 0) return [];
    return this.#writer.share(({ tables }) => {
      const regressions = tables.sightings.note(list);
      return () => regressions;
    });
  }

  async sighting(spkiSha256: string): Promise<StoredSighting | undefined> {
    this.#assertOpen();
    return this.#readers.now((tables) => tables.sightings.get(spkiSha256));
  }

  async listSightings(page: Page): Promise<readonly StoredSighting[]> {
    this.#assertOpen();
    return this.#readers.now((tables) => tables.sightings.list(page));
  }

  async logHead(): Promise<LogHead> {
    this.#assertOpen();
    return this.#log.head();
  }

  newestCheckpoint(): LogHead | undefined {
    return this.#log.watch.newest;
  }

  async logHashes(level: number, start: number, count: number): Promise<readonly Buffer[]> {
    this.#assertOpen();
    return this.#log.hashes(level, start, count);
  }

  async logEntries(start: number, count: number): Promise<readonly string[]> {
    this.#assertOpen();
    return this.#log.texts(start, count);
  }

  async archived(releaseId: string): Promise<ArchivedRelease | undefined> {
    this.#assertOpen();
    return this.#readers.now((tables) => tables.archive.get(releaseId));
  }

  async expectLog(seen: SeenHead): Promise<boolean> {
    this.#assertOpen();
    return this.#log.expect(seen);
  }

  async probe(): Promise<void> {
    this.#assertOpen();
    this.#log.watch.assertContainsSeen();
    const age = this.#clock() - this.#durableAtMs;
    if (age >= 0 && age < PROOF_MS) return;
    await this.#writer.share(({ tables }) => {
      tables.probe.run(this.#clock());
      return () => undefined;
    });
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    await this.#writer.close();
    await this.#readers.close();
  }

  #batch(tables: Tables): Batch {
    const changes = this.#writer.outsideChanges();
    const left = this.#left?.changes === changes ? this.#left : undefined;
    this.#left = undefined;
    const state = left?.state ?? snapshotOf(tables, this.#watch).state;
    const log = this.#log.appender(tables, state, left);
    return {
      tables,
      state,
      log,
      spend: (nonce, issuedAtMs) => tables.nonces.spend(nonce, issuedAtMs),
      archive: (releaseId, index, sealed) => tables.archive.insert(releaseId, index, sealed),
      seal: () => log.seal(),
      committed: () => {
        this.#log.committed(log);
        this.#left = { changes, state, head: log.left };
      },
    };
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new StoreUnavailableError('the store has been closed');
  }
}
