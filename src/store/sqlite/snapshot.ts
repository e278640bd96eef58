import { StoreUnavailableError } from '../../release/store.js';
import type { Contents } from '../rows/contents.js';
import type { HeldLabel } from '../rows/guarded-table.js';
import type { State } from '../rows/state.js';
import type { Snapshot, StateWatch } from '../rows/state-watch.js';
import type { Tables } from './tables.js';

/** The snapshot of the transaction under way; undefined in a fresh store. Throws StoreIntegrityError. */
export function findSnapshot(tables: Tables, watch: StateWatch): Snapshot | undefined {
  const state = tables.state.read(watch.rowMac);
  watch.check(state, () => tables.log.end().entries > 0 || tables.deciding.some((table) => !table.isEmpty()));
  if (state === undefined) return undefined;
  return watch.snapshotOf(state) ?? changedSince(tables, watch, state) ?? watch.replace(state, allOf(tables, watch));
}

/** As findSnapshot; a fresh store is an error. */
export function snapshotOf(tables: Tables, watch: StateWatch): Snapshot {
  const snapshot = findSnapshot(tables, watch);
  if (snapshot === undefined) throw new StoreUnavailableError('the store is empty; run: portcullis init');
  return snapshot;
}

/** From what this process knows, and the rows that another one has set and removed since. */
function changedSince(tables: Tables, watch: StateWatch, state: State): Snapshot | undefined {
  const known = watch.newest;
  if (known === undefined) return undefined;
  return watch.advance(known, state, tables.removals.since(known.logIndex), rowsSince(tables, known.logIndex));
}

function* rowsSince(tables: Tables, logIndex: number): Generator<HeldLabel> {
  for (const table of tables.deciding) yield* table.labelsSince(logIndex);
}

function allOf(tables: Tables, watch: StateWatch): Contents {
  const contents = watch.emptyContents();
  for (const table of tables.deciding) {
    for (const { table: name, label, mac } of table.allLabels()) contents.set(name, label, mac);
  }
  return contents;
}
