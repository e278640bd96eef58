import type { AttesterRecord, BrokerState, LogEntry, TokenRecord } from '../../release/records.js';
import {
  type ChildRecords,
  type EntryQuery,
  type GuardedSet,
  type Page,
  type Records,
  StoreIntegrityError,
  StoreUnavailableError,
  type StoreView,
} from '../../release/store.js';
import type { Snapshot } from '../rows/state-watch.js';
import type { Row } from '../rows/row-mac.js';
import { readEntries } from './log-table.js';
import { assertSameServer } from './server-row.js';
import type { Session } from './session.js';
import type { StoredTable } from './stored-table.js';
import { TABLES } from './tables.js';

/**
 * Runs the operations of one view, and only while the view is open: what is called later, by work that was not awaited,
 * would land in another transaction. After a failure every further operation fails with the same error, since PostgreSQL
 * takes nothing more in a transaction in which a statement has failed.
 */
export class Operations {
  #open = true;
  #underWay = 0;
  #failure: unknown;

  async run<T>(operation: () => T | Promise<T>): Promise<T> {
    if (!this.#open) throw new Error('the view of the store has been closed; await all work inside it');
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- the error of the operation itself
    if (this.#failure !== undefined) throw this.#failure;
    this.#underWay++;
    try {
      return await operation();
    } catch (error) {
      if (isFailure(error)) this.#failure ??= error;
      throw error;
    } finally {
      this.#underWay--;
    }
  }

  /** Throws the failure of an earlier operation, and where one is still under way. */
  assertIntact(): void {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- the error of the operation itself
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#underWay > 0) throw new Error('work inside the view of the store was not awaited');
  }

  close(): void {
    this.#open = false;
  }
}

/** Errors after which the transaction takes nothing more; a refused row is one of them. */
function isFailure(error: unknown): boolean {
  return error instanceof StoreUnavailableError || error instanceof StoreIntegrityError || error instanceof RangeError;
}

export interface Scope {
  readonly session: Session;
  /** Which server the rows were put on, as the transaction has read it. */
  readonly server: Row | undefined;
  readonly snapshot: Snapshot;
  readonly operations: Operations;
}

/** One consistent view: the rows of one transaction, checked against its snapshot. */
export function viewOf(scope: Scope): StoreView {
  const { session, snapshot, operations } = scope;
  return {
    state: () => operations.run(() => stateOf(snapshot.state)),
    deployments: recordsOf(TABLES.deployments, scope),
    policies: recordsOf(TABLES.policies, scope),
    policyLinks: childrenOf(TABLES.policyLinks, scope),
    keys: recordsOf(TABLES.keys, scope),
    keyVersions: {
      ...childrenOf(TABLES.keyVersions, scope),
      of: (key) => operations.run(() => versionsOf(session, snapshot, key)),
    },
    attesters: {
      ...recordsOf(TABLES.attesters, scope),
      get: (id) => operations.run(() => attesterOf(session, snapshot, id)),
      ofEk: (spki) => operations.run(() => TABLES.attesters.by(session, snapshot, 'ek_spki_sha256', spki)),
    },
    purgeable: (throughMs) =>
      operations.run(async () => ({
        keys: await TABLES.keys.purgeable(session, snapshot, throughMs),
        versions: await TABLES.keyVersions.purgeable(session, snapshot, throughMs, 'length(ciphertext) > 0'),
      })),
    tokens: tokensOf(scope),
    revocations: setOf(TABLES.revocations, scope),
    freezes: setOf(TABLES.freezes, scope),
    entries: (query: EntryQuery): Promise<readonly LogEntry[]> => operations.run(() => readEntries(session, query)),
  };
}

export function stateOf({ generation, epoch, nonceFloorMs }: BrokerState): BrokerState {
  return { generation, epoch, nonceFloorMs };
}

/** All versions of a key, the oldest first. */
export async function versionsOf(session: Session, snapshot: Snapshot, key: string) {
  return [...(await TABLES.keyVersions.of(session, snapshot, key))].sort((a, b) => a.sequence - b.sequence);
}

function recordsOf<R>(table: StoredTable<R>, { session, snapshot, operations }: Scope): Records<R> {
  return {
    get: (id) => operations.run(() => table.get(session, snapshot, id)),
    list: ({ limit, after }: Page) =>
      operations.run(() => table.list(session, snapshot, limit, after === undefined ? undefined : [after])),
  };
}

/**
 * Who asks is not believed on a server that may lack what was committed last: the token may have been revoked. All else can
 * be read there, since whoever accepts the loss must look at what is left.
 */
function tokensOf(scope: Scope): Records<TokenRecord> {
  const { snapshot, server, session, operations } = scope;
  const tokens = recordsOf(TABLES.tokens, scope);
  const assertHere = () => operations.run(() => assertSameServer(snapshot.rowMac, server, session.server));
  return {
    ...tokens,
    get: async (id) => {
      await assertHere();
      return tokens.get(id);
    },
  };
}

function childrenOf<R>(table: StoredTable<R>, { session, snapshot, operations }: Scope): ChildRecords<R> {
  return {
    get: (parent, id) => operations.run(() => table.get(session, snapshot, parent, id)),
    of: (parent) => operations.run(() => table.of(session, snapshot, parent)),
    list: ({ limit, after }: Page) =>
      operations.run(() => table.list(session, snapshot, limit, after === undefined ? undefined : splitId(after))),
  };
}

function setOf(table: StoredTable<string>, { session, snapshot, operations }: Scope): GuardedSet {
  return {
    has: (id) => operations.run(() => table.has(session, snapshot, id)),
    all: () => operations.run(() => table.list(session, snapshot, Number.MAX_SAFE_INTEGER)),
  };
}

const SPKI_HASH = /^[0-9a-f]{64}$/i;

/** By SPKI hash, by name, or by AK Name: what looks like an SPKI hash is never taken for a name. */
async function attesterOf(session: Session, snapshot: Snapshot, id: string): Promise<AttesterRecord | undefined> {
  if (SPKI_HASH.test(id)) return TABLES.attesters.get(session, snapshot, id.toLowerCase());
  const [named] = await TABLES.attesters.by(session, snapshot, 'name', id);
  return named ?? (await TABLES.attesters.by(session, snapshot, 'ak_name', id))[0];
}

/** `<parent>/<id>`: an id holds no slash. */
function splitId(id: string): readonly [string, string] {
  const slash = id.lastIndexOf('/');
  return [id.slice(0, slash), id.slice(slash + 1)];
}
