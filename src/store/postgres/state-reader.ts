import type { LogHead } from '../../release/store.js';
import type { BrokerState } from '../../release/records.js';
import { HeadRows, type StoredHead } from '../rows/log-head.js';
import type { LogEnd, LogWatch } from '../rows/log-watch.js';
import type { Row, RowMac } from '../rows/row-mac.js';
import type { Snapshot, StateWatch } from '../rows/state-watch.js';
import { rowOfState, type State, stateOfRow } from '../rows/state.js';
import { rowOfJson } from './json-row.js';
import { removalsSince } from './removals.js';
import { FINGERPRINT } from './schema.js';
import type { Session, Statement } from './session.js';
import { DECIDING } from './tables.js';

/** What stands under one state, as one statement has read it. */
export interface Standing {
  readonly state: Row | undefined;
  readonly server: Row | undefined;
  readonly head: Row | undefined;
  readonly end: LogEnd;
}

/** The same read under the lock. */
export interface StandingLocked extends Standing {
  readonly fingerprint: string;
  /** Of the nonces that were asked for, those that are spent: hex. */
  readonly spent: ReadonlySet<string>;
}

export const STATE_JSON = `(SELECT row_to_json(t) FROM portcullis.state t) AS state, (SELECT row_to_json(t) FROM portcullis.server t) AS server`;

/** From the greatest level of the stored nodes downwards, each step a look into the index. */
const TOP_NODES = `(WITH RECURSIVE top AS (
    (SELECT level, node_index FROM portcullis.log_nodes ORDER BY level DESC, node_index DESC LIMIT 1)
    UNION ALL
    SELECT below.level, below.node_index FROM top, LATERAL (SELECT level, node_index FROM portcullis.log_nodes
      WHERE level < top.level ORDER BY level DESC, node_index DESC LIMIT 1) below)
  SELECT json_agg(json_build_object('level', level, 'index', node_index) ORDER BY level DESC) FROM (SELECT * FROM top LIMIT 9) t)`;

const STANDING = `${STATE_JSON}, (SELECT row_to_json(t) FROM portcullis.log_head t) AS head,
  (SELECT coalesce(max(log_index) + 1, 0) FROM portcullis.log_entries) AS entries, ${TOP_NODES} AS nodes`;

const READ: Statement = { name: 'standing', text: `SELECT ${STANDING}` };

/** The same under the lock, with what a shared transaction needs further: which of the nonces $1 are spent. */
const READ_LOCKED: Statement = {
  name: 'standing_locked',
  text: `SELECT ${STANDING}, ${FINGERPRINT} AS fingerprint,
    ARRAY(SELECT encode(nonce, 'hex') FROM portcullis.spent_nonces WHERE nonce = ANY($1::bytea[])) AS spent`,
};

const UPSERT_STATE: Statement = {
  name: 'upsert_state',
  text:
    'INSERT INTO portcullis.state (id, generation, epoch, nonce_floor_ms, contents, log_index, mac) VALUES ($1, $2, $3, $4, $5, $6, $7) ' +
    'ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, epoch = excluded.epoch, nonce_floor_ms = excluded.nonce_floor_ms, ' +
    'contents = excluded.contents, log_index = excluded.log_index, mac = excluded.mac',
};

/** Reads state and log, and holds them against what this process knows. */
export class StateReader {
  readonly watch: StateWatch;
  readonly logWatch: LogWatch;
  readonly headRows = new HeadRows();

  constructor(watch: StateWatch, logWatch: LogWatch) {
    this.watch = watch;
    this.logWatch = logWatch;
  }

  async standing(session: Session): Promise<Standing> {
    const [row] = await session.query(READ);
    return standingOf(row ?? {});
  }

  /** In a transaction that holds the lock. */
  async standingLocked(session: Session, nonces: readonly Buffer[]): Promise<StandingLocked> {
    const [row = {}] = await session.query(READ_LOCKED, [nonces]);
    return {
      ...standingOf(row),
      fingerprint: String(row['fingerprint']),
      spent: new Set(row['spent'] as readonly string[]),
    };
  }

  /**
   * The snapshot of a state row, in the transaction that has read it; undefined in a fresh store. `since` is what `watch` had
   * seen before the row was read. Throws StoreIntegrityError.
   */
  async find(session: Session, row: Row | undefined, since: BrokerState): Promise<Snapshot | undefined> {
    const { watch } = this;
    if (row === undefined) {
      const inUse = await isInUse(session);
      watch.check(undefined, () => inUse, since);
      return undefined;
    }
    const state = stateOfRow(watch.rowMac, row);
    watch.check(state, () => true, since);
    return watch.snapshotOf(state) ?? (await this.#refresh(session, state));
  }

  /** As `find`, without reading anything: undefined also where the contents of the state are not known. */
  known(row: Row | undefined, since: BrokerState): Snapshot | undefined {
    if (row === undefined) return undefined;
    const state = stateOfRow(this.watch.rowMac, row);
    this.watch.check(state, () => true, since);
    return this.watch.snapshotOf(state);
  }

  /** The head that was read; undefined in a fresh store. `since` is what `logWatch` had seen before. Throws StoreIntegrityError. */
  head({ head, end }: Standing, since: LogHead | undefined): StoredHead | undefined {
    const stored = head === undefined ? undefined : this.headRows.headOf(this.watch.rowMac, head);
    return this.logWatch.check(stored, end, since);
  }

  /** What was set and removed since the newest contents that are known; where that does not fit, all rows. */
  async #refresh(session: Session, state: State): Promise<Snapshot> {
    const { watch } = this;
    const known = watch.newest;
    if (known !== undefined) {
      const [removed, ...set] = await Promise.all([
        removalsSince(session, known.logIndex),
        ...DECIDING.map((table) => table.since(session, known.logIndex)),
      ]);
      const advanced = watch.advance(known, state, removed, set.flat());
      if (advanced !== undefined) return advanced;
    }
    const contents = watch.emptyContents();
    for (const table of DECIDING) await table.fill(session, contents);
    return watch.replace(state, contents);
  }
}

export async function writeState(session: Session, rowMac: RowMac, state: State): Promise<void> {
  const row = rowOfState(rowMac, state);
  const columns = ['id', 'generation', 'epoch', 'nonce_floor_ms', 'contents', 'log_index', 'mac'];
  await session.execute(
    UPSERT_STATE,
    columns.map((column) => row[column]),
  );
}

/** Whether a store without a state row holds anything all the same. */
async function isInUse(session: Session): Promise<boolean> {
  const used = await Promise.all(DECIDING.map((table) => table.isUsed(session)));
  const [log] = await session.query({
    name: 'any_entry',
    text: 'SELECT EXISTS (SELECT FROM portcullis.log_entries) AS used',
  });
  return used.includes(true) || log?.['used'] === true;
}

function standingOf(row: Readonly<Record<string, unknown>>): Standing {
  const nodes = row['nodes'] as LogEnd['nodes'] | null;
  return {
    state: rowOfJson(row['state']),
    server: rowOfJson(row['server']),
    head: rowOfJson(row['head']),
    end: { entries: row['entries'] as number, nodes: nodes ?? [] },
  };
}
