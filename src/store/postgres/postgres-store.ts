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
  type StoreChange,
  StoreUnavailableError,
  type StoreView,
} from '../../release/store.js';
import { commitRelease } from '../rows/commit-release.js';
import { LogWatch } from '../rows/log-watch.js';
import { releaseAlone, Turns } from '../rows/release-alone.js';
import type { Row } from '../rows/row-mac.js';
import { type Snapshot, StateWatch } from '../rows/state-watch.js';
import type { Batch } from './batch.js';
import { factsIn, factsOf, findFacts } from './facts.js';
import { rowOfJson } from './json-row.js';
import type { PostgresOptions, PostgresStore } from './options.js';
import { Readers } from './readers.js';
import type { SchemaWatch } from './schema.js';
import { assertSameServer } from './server-row.js';
import type { Session, Statement } from './session.js';
import { listSightings, readSighting } from './sightings-table.js';
import { STATE_JSON, StateReader } from './state-reader.js';
import { StoredLog } from './stored-log.js';
import { isId } from './stored-table.js';
import { TABLES } from './tables.js';
import { filled, Transactions } from './transactions.js';
import { Operations, viewOf } from './view.js';
import { Writer } from './writer.js';

/** Spent nonces deleted in one transaction: more would hold up releases. */
const PURGE_BATCH = 2000;
/** How long a durable write proves that another one is possible. */
const PROOF_MS = 1000;

const STATE: Statement = { name: 'state', text: `SELECT ${STATE_JSON}` };
const ARCHIVED: Statement = {
  name: 'archived',
  text: 'SELECT log_index, sealed FROM portcullis.evidence_archive WHERE release_id = $1',
};

/** The Store port over one PostgreSQL database. `connect` opens a connection to it, its tables verified. */
export class PostgresStoreAdapter implements PostgresStore {
  readonly #clock: () => number;
  readonly #watch = new StateWatch();
  readonly #logWatch = new LogWatch();
  readonly #reader = new StateReader(this.#watch, this.#logWatch);
  readonly #log: StoredLog;
  readonly #transactions: Transactions;
  readonly #readers: Readers;
  readonly #writer: Writer<Batch>;
  readonly #alone = new Turns();
  #durableAtMs = Number.NEGATIVE_INFINITY;
  #closing: Promise<void> | undefined;

  constructor(
    connect: (role: 'read' | 'write') => Promise<Session>,
    schema: SchemaWatch,
    { clock, onCommit = () => undefined }: Pick<PostgresOptions, 'clock' | 'onCommit'>,
  ) {
    this.#clock = clock;
    this.#readers = new Readers(() => connect('read'));
    this.#log = new StoredLog(this.#reader, this.#readers, clock);
    this.#transactions = new Transactions(this.#reader, this.#log, schema, clock);
    this.#writer = new Writer<Batch>(
      () => connect('write'),
      (session, nonces, locked) => this.#prepare(session, nonces, locked),
      (outcome) => {
        if (outcome.durable) onCommit(outcome.records, outcome.milliseconds);
        else this.#durableAtMs = Number.NEGATIVE_INFINITY;
      },
    );
  }

  authenticate(rowMacKey: Buffer, log: LogIdentity): void {
    this.#watch.authenticate(rowMacKey);
    this.#logWatch.authenticate(log);
  }

  async verify(): Promise<void> {
    this.#assertOpen();
    await this.#readers.view(async (session) => {
      const [since, sinceLog] = [this.#watch.seen, this.#logWatch.newest];
      const standing = await this.#reader.standing(session);
      const snapshot = await this.#reader.find(session, standing.state, since);
      const head = this.#reader.head(standing, sinceLog);
      if (snapshot !== undefined) this.#watch.assertFitsLog(head, snapshot.state);
    });
  }

  async broker(): Promise<BrokerRecord | undefined> {
    this.#assertOpen();
    return this.#readers.view(async (session) => {
      if (!this.#watch.authenticated) return TABLES.broker.guarded.unverified(await TABLES.broker.row(session, ['1']));
      const { snapshot } = await this.#find(session);
      return snapshot === undefined ? undefined : TABLES.broker.get(session, snapshot, '1');
    });
  }

  async read<T>(work: (view: StoreView) => Promise<T>): Promise<T> {
    this.#assertOpen();
    return this.#readers.view(async (session) => {
      const { server, ...found } = await this.#find(session);
      const snapshot = filled(found.snapshot);
      const operations = new Operations();
      try {
        return await work(viewOf({ session, server, snapshot, operations }));
      } finally {
        operations.close();
      }
    });
  }

  async change<T>(work: (change: StoreChange) => Promise<T>): Promise<T> {
    this.#assertOpen();
    const { value, changed } = await this.#writer.transaction((session) => this.#transactions.change(session, work));
    if (changed !== undefined) {
      this.#watch.committed(changed.state, changed.contents);
      this.#log.committed(changed.log);
      this.#durableAtMs = this.#clock();
    }
    return value;
  }

  async releaseFacts(query: ReleaseQuery): Promise<ReleaseFacts> {
    this.#assertOpen();
    this.#logWatch.assertContainsSeen();
    const session = await this.#readers.direct();
    const since = this.#watch.seen;
    const found = await findFacts(session, query, this.#watch.newest?.contents);
    const known = this.#reader.known(found.state, since);
    if (known !== undefined) {
      assertSameServer(this.#watch.rowMac, found.server, session.server);
      const facts = factsOf(known, query, found);
      if (facts !== undefined) return facts;
    }
    return this.#factsInView(query);
  }

  async commitRelease(commit: ReleaseCommit): Promise<CommitOutcome> {
    this.#assertOpen();
    return this.#writer.share({ nonce: commit.nonce, apply: (batch) => commitRelease(batch, commit) });
  }

  async releaseAlone<T>(work: (store: ReleaseStore) => Promise<T>): Promise<T> {
    this.#assertOpen();
    return this.#alone.take(async () => {
      let batch: Batch | undefined;
      const result = await this.#writer.transaction((session) => {
        const makeStore = (assertOpen: () => void): ReleaseStore => ({
          releaseFacts: (query) => this.releaseFacts(query),
          commitRelease: async (commit) => {
            const prepared = await this.#prepare(session, [commit.nonce]);
            assertOpen();
            batch = prepared;
            const answer = commitRelease(batch, commit);
            await Promise.all(batch.seal());
            return answer();
          },
        });
        return releaseAlone(makeStore, work);
      });
      batch?.committed();
      return result;
    });
  }

  async appendRecord(type: string, body: EntryBody, detail?: string): Promise<void> {
    this.#assertOpen();
    await this.#writer.share({
      apply: ({ state, log }) => {
        log.append(log.compose(type, body, state.generation), state.generation, detail);
        return () => undefined;
      },
    });
  }

  async purgeNonces(throughMs: number): Promise<number> {
    this.#assertOpen();
    if (!Number.isSafeInteger(throughMs) || throughMs < 0) throw new RangeError('throughMs is not a time in ms');
    this.#logWatch.assertContainsSeen();
    for (let purged = 0; ;) {
      const { deleted, raised } = await this.#writer.transaction((session) =>
        this.#transactions.purge(session, throughMs, PURGE_BATCH),
      );
      if (raised !== undefined) this.#watch.committed(raised);
      purged += deleted;
      if (deleted < PURGE_BATCH) return purged;
    }
  }

  async noteSightings(list: readonly Sighting[]): Promise<readonly ClockRegression[]> {
    this.#assertOpen();
    this.#logWatch.assertContainsSeen();
    if (list.length === 0) return [];
    return this.#writer.transaction((session) => this.#transactions.noteSightings(session, list));
  }

  async sighting(spkiSha256: string): Promise<StoredSighting | undefined> {
    this.#assertOpen();
    return readSighting(await this.#readers.direct(), spkiSha256);
  }

  async listSightings(page: Page): Promise<readonly StoredSighting[]> {
    this.#assertOpen();
    return listSightings(await this.#readers.direct(), page);
  }

  async logHead(): Promise<LogHead> {
    this.#assertOpen();
    return this.#log.head();
  }

  newestCheckpoint(): LogHead | undefined {
    return this.#logWatch.newest;
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
    const session = await this.#readers.direct();
    if (!isId(releaseId)) return undefined;
    const [row] = await session.query(ARCHIVED, [releaseId]);
    return row === undefined ? undefined : { index: row['log_index'] as number, sealed: row['sealed'] as Buffer };
  }

  async expectLog(seen: SeenHead): Promise<boolean> {
    this.#assertOpen();
    return this.#log.expect(seen);
  }

  async probe(): Promise<void> {
    this.#assertOpen();
    this.#logWatch.assertContainsSeen();
    const age = this.#clock() - this.#durableAtMs;
    if (age >= 0 && age < PROOF_MS) return;
    await this.#writer.share({
      apply: (batch) => {
        batch.probe(this.#clock());
        return () => undefined;
      },
    });
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    await this.#writer.close();
    await this.#readers.close();
  }

  #prepare(session: Session, nonces: readonly Buffer[], locked?: Promise<unknown>): Promise<Batch> {
    return this.#transactions.batch(session, nonces, locked, (log, wrote) => {
      this.#log.committed(log);
      if (wrote) this.#durableAtMs = this.#clock();
    });
  }

  /** In a transaction, since the contents of the state, or the newest version of the key, are to be found out. */
  #factsInView(query: ReleaseQuery): Promise<ReleaseFacts> {
    return this.#readers.view(async (session) => {
      const since = this.#watch.seen;
      const found = await findFacts(session, query, this.#watch.newest?.contents);
      const snapshot = filled(await this.#reader.find(session, found.state, since));
      assertSameServer(this.#watch.rowMac, found.server, session.server);
      return factsIn(session, snapshot, query, found);
    });
  }

  async #find(
    session: Session,
  ): Promise<{ readonly snapshot: Snapshot | undefined; readonly server: Row | undefined }> {
    const since = this.#watch.seen;
    const [row] = await session.query(STATE);
    const snapshot = await this.#reader.find(session, rowOfJson(row?.['state']), since);
    return { snapshot, server: rowOfJson(row?.['server']) };
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new StoreUnavailableError('the store has been closed');
  }
}
