import type { BrokerRecord } from '../../release/records.js';
import {
  type StoreChange,
  StoreUnavailableError,
  type WritableChildRecords,
  type WritableGuardedSet,
  type WritableRecords,
} from '../../release/store.js';
import type { PlacedLabel } from '../rows/guarded-table.js';
import type { LogAppender } from '../rows/log-appender.js';
import type { StoredTable } from './stored-table.js';
import { TABLES } from './tables.js';
import { type Scope, stateOf, viewOf } from './view.js';

/** What an administrative change has made of the state, besides the rows. */
export interface Effects {
  epoch: number;
  nonceFloorMs: number;
  brokerSet: boolean;
  logRestarted: boolean;
  /** Whether anything was written or appended at all. */
  wrote: boolean;
  /** Labels of rows that went away. */
  readonly removed: PlacedLabel[];
}

/**
 * The face of an administrative change: reads see what it has written, but for its log entries, which are written at its
 * end. Rows carry the index of the first entry that the change appends, known before it is appended. `snapshot.contents`
 * is the change's own edit.
 */
export function changeOf(scope: Scope, log: LogAppender, effects: Effects, nowMs: number): StoreChange {
  const { session, snapshot, operations } = scope;
  const { state } = snapshot;
  const logIndex = log.size;
  const view = viewOf(scope);

  const write = <T>(operation: () => T | Promise<T>): Promise<T> => {
    effects.wrote = true;
    return operations.run(operation);
  };
  const put = <R>(table: StoredTable<R>, record: R) =>
    write(async () => void effects.removed.push(...(await table.put(session, snapshot, record, logIndex))));
  const remove = <R>(table: StoredTable<R>, ...ids: readonly string[]) =>
    write(async () => void effects.removed.push(...(await table.remove(session, snapshot, ...ids))));
  const records = <R>(table: StoredTable<R>): Pick<WritableRecords<R>, 'put' | 'remove'> => ({
    put: (record: R) => put(table, record),
    remove: (id) => remove(table, id),
  });
  const children = <R>(table: StoredTable<R>): Pick<WritableChildRecords<R>, 'put' | 'remove'> => ({
    put: (record: R) => put(table, record),
    remove: (parent, id) => remove(table, parent, id),
  });
  const set = (table: StoredTable<string>): Pick<WritableGuardedSet, 'add' | 'delete'> => ({
    add: (id) => put(table, id),
    delete: (id) => remove(table, id),
  });

  return {
    ...view,
    state: () => operations.run(() => stateOf({ ...state, epoch: effects.epoch, nonceFloorMs: effects.nonceFloorMs })),
    deployments: { ...view.deployments, ...records(TABLES.deployments) },
    policies: { ...view.policies, ...records(TABLES.policies) },
    policyLinks: { ...view.policyLinks, ...children(TABLES.policyLinks) },
    keys: { ...view.keys, ...records(TABLES.keys) },
    keyVersions: { ...view.keyVersions, ...children(TABLES.keyVersions) },
    attesters: { ...view.attesters, ...records(TABLES.attesters) },
    tokens: { ...view.tokens, ...records(TABLES.tokens) },
    revocations: { ...view.revocations, ...set(TABLES.revocations) },
    freezes: { ...view.freezes, ...set(TABLES.freezes) },
    append: (type, body, detail) =>
      write(() => {
        const generation = state.generation + 1;
        log.append(log.compose(type, body, generation), generation, detail);
      }),
    broker: () => operations.run(() => TABLES.broker.get(session, snapshot, '1')),
    setBroker: (record: BrokerRecord) => {
      effects.brokerSet = true;
      return put(TABLES.broker, record);
    },
    logHead: () =>
      operations.run(() => {
        const { found } = log;
        if (found === undefined) throw new StoreUnavailableError('the store is empty; run: portcullis init');
        return found;
      }),
    restartLog: (signer) =>
      write(() => {
        log.restart(signer);
        effects.logRestarted = true;
      }),
    raiseEpoch: () =>
      write(() => {
        effects.epoch++;
        effects.nonceFloorMs = Math.max(effects.nonceFloorMs, nowMs);
      }),
  };
}
