import { StoreIntegrityError, StoreUnavailableError } from '../../release/store.js';
import { Contents } from './contents.js';
import type { StoredHead } from './log-head.js';
import { RowMac } from './row-mac.js';
import type { State } from './state.js';
import type { Witness } from './stored-table.js';
import type { Tables } from './tables.js';

/** The state of one consistent view, authenticated, and what the rows of the view are checked against. */
export interface Snapshot extends Witness {
  readonly state: State;
}

/**
 * What this process knows of the state, whatever the file says: the row-MAC key, the highest generation, epoch and floor
 * that it has seen, and what the deciding tables hold. The contents are read anew only when the state row names others,
 * that is after an administrative change by another process; a release costs point reads.
 */
export class StateWatch {
  #rowMac: RowMac | undefined;
  #seen = { generation: 0, epoch: 0, nonceFloorMs: 0 };
  #contents = { text: '', contents: Contents.empty() };

  authenticate(rowMacKey: Uint8Array): void {
    this.#rowMac = new RowMac(rowMacKey);
  }

  get authenticated(): boolean {
    return this.#rowMac !== undefined;
  }

  get rowMac(): RowMac {
    if (this.#rowMac === undefined)
      throw new StoreUnavailableError('the store has not been given the key of its row MACs');
    return this.#rowMac;
  }

  /** The snapshot of the transaction under way; undefined in a fresh store. Throws StoreIntegrityError. */
  find(tables: Tables): Snapshot | undefined {
    const { rowMac } = this;
    const state = tables.state.read(rowMac);
    if (state === undefined) {
      assertFresh(tables);
      if (this.#seen.generation > 0) throw new StoreIntegrityError('state 1: the row was deleted');
      return undefined;
    }
    this.#assertForward(state);
    if (state.contents !== this.#contents.text) {
      this.#contents = { text: state.contents, contents: Contents.read(tables.deciding, state.contents) };
    }
    this.#remember(state);
    return { state, rowMac, contents: this.#contents.contents };
  }

  /** As `find`; a fresh store is an error. */
  snapshot(tables: Tables): Snapshot {
    const snapshot = this.find(tables);
    if (snapshot === undefined) throw new StoreUnavailableError('the store is empty; run: portcullis init');
    return snapshot;
  }

  /** Demands that state and log belong together: neither row is an old one. */
  assertFitsLog(head: StoredHead | undefined, state: State): void {
    const { generation = 0, size = 0 } = head ?? {};
    if (state.generation > 0 && state.logIndex >= size) {
      throw new StoreIntegrityError(
        `log_head 1: size ${String(size)} is behind the state, which entry ${String(state.logIndex)} has set`,
      );
    }
    if (generation > state.generation) {
      throw new StoreIntegrityError(
        `state 1: generation ${String(state.generation)} is behind the log, which has reached ${String(generation)}`,
      );
    }
  }

  /** Notes a state that this process has committed, with its contents where the change had any. */
  committed(state: State, contents?: Contents): void {
    this.#remember(state);
    if (contents !== undefined) this.#contents = { text: state.contents, contents };
  }

  #assertForward(state: State): void {
    const seen = this.#seen;
    if (state.generation < seen.generation || state.epoch < seen.epoch || state.nonceFloorMs < seen.nonceFloorMs) {
      throw new StoreIntegrityError(
        `state 1: the row is older than one that this process has seen (generation ${String(seen.generation)})`,
      );
    }
  }

  #remember(state: State): void {
    this.#seen = {
      generation: Math.max(state.generation, this.#seen.generation),
      epoch: Math.max(state.epoch, this.#seen.epoch),
      nonceFloorMs: Math.max(state.nonceFloorMs, this.#seen.nonceFloorMs),
    };
  }
}

/** A store without a state row is fresh only if it holds nothing at all. */
function assertFresh(tables: Tables): void {
  if (tables.log.end() > 0 || tables.deciding.some((table) => table.contents().count > 0)) {
    throw new StoreIntegrityError('state 1: the row is missing from a store that is in use');
  }
}
