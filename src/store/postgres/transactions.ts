import type { ClockRegression, Sighting } from '../../release/records.js';
import { type StoreChange, StoreUnavailableError } from '../../release/store.js';
import type { Contents } from '../rows/contents.js';
import type { LogAppender } from '../rows/log-appender.js';
import { FRESH, type State } from '../rows/state.js';
import type { Snapshot } from '../rows/state-watch.js';
import { Batch } from './batch.js';
import { changeOf, type Effects } from './change.js';
import { noteRemovals } from './removals.js';
import type { SchemaWatch } from './schema.js';
import { assertSameServer, writeServer } from './server-row.js';
import type { Session, Statement } from './session.js';
import { noteInTransaction } from './sightings-table.js';
import { type StandingLocked, type StateReader, writeState } from './state-reader.js';
import type { StoredLog } from './stored-log.js';
import { Operations } from './view.js';

const PURGE: Statement = {
  name: 'purge_nonces',
  text: 'DELETE FROM portcullis.spent_nonces WHERE ctid = ANY(ARRAY(SELECT ctid FROM portcullis.spent_nonces WHERE issued_at_ms <= $1 LIMIT $2))',
};

/** What an administrative change has made, to be noted once it is durable. */
export interface Changed {
  readonly state: State;
  readonly contents: Contents;
  readonly log: LogAppender;
}

/** What is done inside the transactions of the writer, each of which begins by reading what stands, behind the lock. */
export class Transactions {
  readonly #reader: StateReader;
  readonly #log: StoredLog;
  readonly #schema: SchemaWatch;
  readonly #clock: () => number;

  constructor(reader: StateReader, log: StoredLog, schema: SchemaWatch, clock: () => number) {
    this.#reader = reader;
    this.#log = log;
    this.#schema = schema;
    this.#clock = clock;
  }

  /** `changed` is undefined where nothing was written. */
  async change<T>(
    session: Session,
    work: (change: StoreChange) => Promise<T>,
  ): Promise<{ readonly value: T; readonly changed: Changed | undefined }> {
    const { rowMac } = this.#reader.watch;
    const { standing, found } = await this.#begin(session);
    const state = found?.state ?? FRESH;
    const { appender: log, writer } = this.#log.appender(standing, state);
    const contents = (found?.contents ?? this.#reader.watch.emptyContents()).edit();
    const logIndex = log.size;
    const { epoch, nonceFloorMs } = state;
    const effects: Effects = {
      epoch,
      nonceFloorMs,
      brokerSet: false,
      logRestarted: false,
      wrote: false,
      removed: [],
    };
    const operations = new Operations();
    let value: T;
    try {
      value = await work(
        changeOf(
          { session, server: standing.server, snapshot: { state, contents, rowMac }, operations },
          log,
          effects,
          this.#clock(),
        ),
      );
    } finally {
      operations.close();
    }
    operations.assertIntact();
    if (!effects.brokerSet) filled(found);
    if (!effects.wrote) return { value, changed: undefined };
    // To begin another log is to accept that the rows are where they are now.
    if (found === undefined || effects.logRestarted) await writeServer(session, rowMac);
    else assertSameServer(rowMac, standing.server, session.server);
    const after: State = {
      ...state,
      generation: state.generation + 1,
      epoch: effects.epoch,
      nonceFloorMs: effects.nonceFloorMs,
      contents: contents.text(),
      logIndex: Math.min(logIndex, log.size - 1),
    };
    log.seal();
    await Promise.all([
      writeState(session, rowMac, after),
      noteRemovals(session, effects.removed, logIndex),
      ...writer.send(session),
    ]);
    return { value, changed: { state: after, contents, log } };
  }

  /** What the requests of one shared transaction have in common. `locked`: where the lock is still to be had. */
  async batch(
    session: Session,
    nonces: readonly Buffer[],
    locked: Promise<unknown> | undefined,
    onCommitted: (log: LogAppender, wrote: boolean) => void,
  ): Promise<Batch> {
    const begun = this.#begin(session, nonces);
    const [{ standing, found }] = await Promise.all([begun, locked]);
    const { state, rowMac } = filled(found);
    assertSameServer(rowMac, standing.server, session.server);
    const log = this.#log.appender(standing, state);
    return new Batch(session, { state, spent: standing.spent }, log, (wrote) => onCommitted(log.appender, wrote));
  }

  /** Deletes at most `limit` spent nonces issued at or before `throughMs`; `raised` is the state where the floor rose. */
  async purge(
    session: Session,
    throughMs: number,
    limit: number,
  ): Promise<{ readonly deleted: number; readonly raised: State | undefined }> {
    const { standing, found } = await this.#begin(session);
    const { state, rowMac } = filled(found);
    assertSameServer(rowMac, standing.server, session.server);
    const raised = throughMs > state.nonceFloorMs ? { ...state, nonceFloorMs: throughMs } : undefined;
    if (raised !== undefined) await writeState(session, rowMac, raised);
    return { deleted: await session.execute(PURGE, [throughMs, limit]), raised };
  }

  /** Takes sightings into the inventory; they belong to the rows that stand there, and to no older copy of them. */
  async noteSightings(session: Session, list: readonly Sighting[]): Promise<readonly ClockRegression[]> {
    const { standing, found } = await this.#begin(session);
    assertSameServer(filled(found).rowMac, standing.server, session.server);
    return noteInTransaction(session, list);
  }

  async #begin(
    session: Session,
    nonces: readonly Buffer[] = [],
  ): Promise<{ readonly standing: StandingLocked; readonly found: Snapshot | undefined }> {
    const since = this.#reader.watch.seen;
    const standing = await this.#reader.standingLocked(session, nonces);
    await this.#schema.assertUnchanged(session, standing.fingerprint);
    return { standing, found: await this.#reader.find(session, standing.state, since) };
  }
}

/** The snapshot of a store that is not fresh. */
export function filled(snapshot: Snapshot | undefined): Snapshot {
  if (snapshot === undefined) throw new StoreUnavailableError('the store is empty; run: portcullis init');
  return snapshot;
}
