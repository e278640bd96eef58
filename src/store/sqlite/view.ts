import type { AttesterRecord, BrokerState, LogEntry } from '../../release/records.js';
import type { ChildRecords, EntryQuery, GuardedSet, Page, Records, StoreView } from '../../release/store.js';
import type { Snapshot } from '../rows/state-watch.js';
import { asStoreError } from './errors.js';
import type { StoredTable } from './stored-table.js';
import type { Tables } from './tables.js';

/**
 * Runs the operations of one view, and only while the view is open: what is called later, by work that was not awaited,
 * would land in another transaction. After a failure of SQLite every further operation fails with the same error, since
 * SQLite may have ended the transaction by itself.
 */
export class Operations {
  #open = true;
  #failure: unknown;

  async run<T>(operation: () => T): Promise<T> {
    if (!this.#open) throw new Error('the view of the store has been closed; await all work inside it');
    this.assertIntact();
    try {
      return operation();
    } catch (error) {
      const failure = asStoreError(error);
      if (failure !== error) this.#failure = failure;
      throw failure;
    }
  }

  /** Throws the failure of an earlier operation. */
  assertIntact(): void {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- the error of the operation itself
    if (this.#failure !== undefined) throw this.#failure;
  }

  close(): void {
    this.#open = false;
  }
}

/** One consistent view: the rows of one transaction, checked against its snapshot. */
export function viewOf(tables: Tables, snapshot: Snapshot, operations: Operations): StoreView {
  const scope = { snapshot, operations };
  return {
    state: () => operations.run(() => stateOf(snapshot.state)),
    deployments: recordsOf(tables.deployments, scope),
    policies: recordsOf(tables.policies, scope),
    policyLinks: childrenOf(tables.policyLinks, scope),
    keys: recordsOf(tables.keys, scope),
    keyVersions: {
      ...childrenOf(tables.keyVersions, scope),
      of: (key) => operations.run(() => versionsOf(tables, snapshot, key)),
    },
    attesters: {
      ...recordsOf(tables.attesters, scope),
      get: (id) => operations.run(() => attesterOf(tables.attesters, snapshot, id)),
      ofEk: (spki) => operations.run(() => tables.attesters.by(snapshot, 'ek_spki_sha256', spki)),
    },
    purgeable: (throughMs) =>
      operations.run(() => ({
        keys: tables.keys.purgeable(snapshot, throughMs),
        versions: tables.keyVersions.purgeable(snapshot, throughMs, 'length(ciphertext) > 0'),
      })),
    tokens: recordsOf(tables.tokens, scope),
    revocations: setOf(tables.revocations, scope),
    freezes: setOf(tables.freezes, scope),
    entries: (query: EntryQuery): Promise<readonly LogEntry[]> => operations.run(() => tables.log.query(query)),
  };
}

export interface Scope {
  readonly snapshot: Snapshot;
  readonly operations: Operations;
}

export function stateOf({ generation, epoch, nonceFloorMs }: BrokerState): BrokerState {
  return { generation, epoch, nonceFloorMs };
}

/** All versions of a key, the oldest first. */
export function versionsOf(tables: Tables, snapshot: Snapshot, key: string) {
  return [...tables.keyVersions.of(snapshot, key)].sort((a, b) => a.sequence - b.sequence);
}

function recordsOf<R>(table: StoredTable<R>, { snapshot, operations }: Scope): Records<R> {
  return {
    get: (id) => operations.run(() => table.get(snapshot, id)),
    list: ({ limit, after }: Page) =>
      operations.run(() => table.list(snapshot, limit, after === undefined ? undefined : [after])),
  };
}

function childrenOf<R>(table: StoredTable<R>, { snapshot, operations }: Scope): ChildRecords<R> {
  return {
    get: (parent, id) => operations.run(() => table.get(snapshot, parent, id)),
    of: (parent) => operations.run(() => table.of(snapshot, parent)),
    list: ({ limit, after }: Page) =>
      operations.run(() => table.list(snapshot, limit, after === undefined ? undefined : splitId(after))),
  };
}

function setOf(table: StoredTable<string>, { snapshot, operations }: Scope): GuardedSet {
  return {
    has: (id) => operations.run(() => table.has(snapshot, id)),
    all: () => operations.run(() => table.list(snapshot, Number.MAX_SAFE_INTEGER)),
  };
}

const SPKI_HASH = /^[0-9a-f]{64}$/i;

/** By SPKI hash, by name, or by AK Name: what looks like an SPKI hash is never taken for a name. */
function attesterOf(table: StoredTable<AttesterRecord>, snapshot: Snapshot, id: string): AttesterRecord | undefined {
  if (SPKI_HASH.test(id)) return table.get(snapshot, id.toLowerCase());
  const [named] = table.by(snapshot, 'name', id);
  return named ?? table.by(snapshot, 'ak_name', id.toLowerCase())[0];
}

/** `<parent>/<id>`: an id holds no slash. */
function splitId(id: string): readonly [string, string] {
  const slash = id.lastIndexOf('/');
  return [id.slice(0, slash), id.slice(slash + 1)];
}
