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
import type { Snapshot } from '../rows/state-watch.js';
import type { StoredTable } from './stored-table.js';
import type { Tables } from './tables.js';
import { type Operations, stateOf, viewOf } from './view.js';

/** What an administrative change has made of the state, besides the rows. */
export interface Effects {
  epoch: number;
  nonceFloorMs: number;
  brokerSet: boolean;
  /** Whether anything was written or appended at all. */
  wrote: boolean;
}

/**
 * The face of an administrative change: reads see what it has written. Rows carry the index of the first entry that the
 * change appends, known before it is appended. `snapshot.contents` is the change's own copy.
 */
export function changeOf(
  tables: Tables,
  snapshot: Snapshot,
  log: LogAppender,
  operations: Operations,
  effects: Effects,
  nowMs: number,
): StoreChange {
  const { state } = snapshot;
  const logIndex = log.size;
  const view = viewOf(tables, snapshot, operations);

  const write = (operation: () => void): Promise<void> => {
    effects.wrote = true;
    return operations.run(operation);
  };
  const writeRow = (operation: () => readonly PlacedLabel[]) =>
    write(() => tables.removals.note(operation(), logIndex));
  const putter = <R>(table: StoredTable<R>) => ({
    put: (record: R) => writeRow(() => table.put(snapshot, record, logIndex)),
  });
  const records = <R>(table: StoredTable<R>): Pick<WritableRecords<R>, 'put' | 'remove'> => ({
    ...putter(table),
    remove: (id) => writeRow(() => table.remove(snapshot, id)),
  });
  const children = <R>(table: StoredTable<R>): Pick<WritableChildRecords<R>, 'put' | 'remove'> => ({
    ...putter(table),
    remove: (parent, id) => writeRow(() => table.remove(snapshot, parent, id)),
  });
  const set = (table: StoredTable<string>): Pick<WritableGuardedSet, 'add' | 'delete'> => ({
    add: (id) => writeRow(() => table.put(snapshot, id, logIndex)),
    delete: (id) => writeRow(() => table.remove(snapshot, id)),
  });

  return {
    ...view,
    state: () => operations.run(() => stateOf({ ...state, epoch: effects.epoch, nonceFloorMs: effects.nonceFloorMs })),
    deployments: { ...view.deployments, ...records(tables.deployments) },
    policies: { ...view.policies, ...records(tables.policies) },
    policyLinks: { ...view.policyLinks, ...children(tables.policyLinks) },
    keys: { ...view.keys, ...records(tables.keys) },
    keyVersions: { ...view.keyVersions, ...children(tables.keyVersions) },
    attesters: { ...view.attesters, ...records(tables.attesters) },
    tokens: { ...view.tokens, ...records(tables.tokens) },
    revocations: { ...view.revocations, ...set(tables.revocations) },
    freezes: { ...view.freezes, ...set(tables.freezes) },
    append: (type, body, detail) =>
      write(() => {
        const generation = state.generation + 1;
        log.append(log.compose(type, body, generation), generation, detail);
      }),
    broker: () => operations.run(() => tables.broker.get(snapshot, '1')),
    setBroker: (record: BrokerRecord) =>
      writeRow(() => {
        effects.brokerSet = true;
        return tables.broker.put(snapshot, record, logIndex);
      }),
    logHead: () =>
      operations.run(() => {
        const { found } = log;
        if (found === undefined) throw new StoreUnavailableError('the store is empty; run: portcullis init');
        return found;
      }),
    restartLog: (signer) => write(() => log.restart(signer)),
    raiseEpoch: () =>
      write(() => {
        effects.epoch++;
        effects.nonceFloorMs = Math.max(effects.nonceFloorMs, nowMs);
      }),
  };
}
