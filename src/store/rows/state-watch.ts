import type { BrokerState } from '../../release/records.js';
import { StoreIntegrityError, StoreUnavailableError } from '../../release/store.js';
import { Contents } from './contents.js';
import type { HeldLabel, PlacedLabel, Witness } from './guarded-table.js';
import type { StoredHead } from './log-head.js';
import { RowMac } from './row-mac.js';
import { ContentsKeys } from './set-hash.js';
import type { State } from './state.js';

/** Contents of before the newest that are still known by their text: for views that began before a change. */
const MAX_FORMER = 4;

/** The state of one consistent view, authenticated, and what the rows of the view are checked against. */
export interface Snapshot extends Witness {
  readonly state: State;
}

/** The contents of one state, and the index of its first log entry: rows that may differ from them have greater ones. */
export interface KnownContents {
  readonly text: string;
  readonly logIndex: number;
  readonly contents: Contents;
}

/**
 * What this process knows of the state, whatever the store says: the row-MAC key, the highest generation, epoch and floor
 * that it has seen, and what the deciding tables hold. After an administrative change by another process the rows that
 * were set and removed since are read, and all rows only where these do not give what the state row sums up.
 *
 * It reads nothing: an engine reads in one transaction the state and, where `snapshotOf` does not know its contents, the
 * rows since `newest`, for `advance`; and then, if need be, all rows, for `replace`.
 */
export class StateWatch {
  #keys: { readonly rowMac: RowMac; readonly contents: ContentsKeys } | undefined;
  #seen: BrokerState = { generation: 0, epoch: 0, nonceFloorMs: 0 };
  #newest: KnownContents | undefined;
  #former: readonly KnownContents[] = [];

  authenticate(rowMacKey: Uint8Array): void {
    this.#keys = { rowMac: new RowMac(rowMacKey), contents: new ContentsKeys(rowMacKey) };
    this.#newest = undefined;
    this.#former = [];
  }

  get authenticated(): boolean {
    return this.#keys !== undefined;
  }

  get rowMac(): RowMac {
    return this.#given().rowMac;
  }

  /** What has been seen. An engine whose reads overlap takes it before it begins to read. */
  get seen(): BrokerState {
    return this.#seen;
  }

  /** The newest contents that are known. */
  get newest(): KnownContents | undefined {
    return this.#newest;
  }

  /** To begin a fresh store with; or, for an engine that reads in pieces, to fill with all rows there are. */
  emptyContents(): Contents {
    return Contents.empty(this.#given().contents);
  }

  /**
   * Takes note of the state that was read; `inUse` says, where there is none, whether the store holds anything at all. Throws
   * StoreIntegrityError where it is behind what has been seen, and for a store in use without a state row.
   */
  check(state: State | undefined, inUse: () => boolean, since: BrokerState = this.#seen): void {
    if (state === undefined) {
      if (inUse()) throw new StoreIntegrityError('state 1: the row is missing from a store that is in use');
      if (since.generation > 0) throw new StoreIntegrityError('state 1: the row was deleted');
      return;
    }
    if (state.generation < since.generation || state.epoch < since.epoch || state.nonceFloorMs < since.nonceFloorMs) {
      throw new StoreIntegrityError(
        `state 1: the row is older than one that this process has seen (generation ${String(since.generation)})`,
      );
    }
    this.#remember(state);
  }

  /** The snapshot of a state that was checked; undefined where its contents are not known. */
  snapshotOf(state: State): Snapshot | undefined {
    const newest = this.#newest;
    if (newest?.text === state.contents) {
      if (state.logIndex > newest.logIndex) this.#newest = { ...newest, logIndex: state.logIndex };
      return { state, rowMac: this.rowMac, contents: newest.contents };
    }
    const former = this.#former.find(({ text }) => text === state.contents);
    return former && { state, rowMac: this.rowMac, contents: former.contents };
  }

  /**
   * The snapshot of a state, from contents that were `newest` and what happened since: every row whose log index is
   * greater than `known.logIndex`, and the labels that went away since. Undefined where that does not give what the state sums up: rows were
   * changed by others, or what went away is no longer listed. A removal of what there is none of, in whatever place, is
   * passed over.
   */
  advance(
    known: KnownContents,
    state: State,
    removed: Iterable<PlacedLabel>,
    set: Iterable<HeldLabel>,
  ): Snapshot | undefined {
    const contents = known.contents.edit();
    for (const { table, label } of removed) contents.delete(table, label);
    for (const { table, label, mac } of set) contents.set(table, label, mac);
    if (contents.text() !== state.contents) return undefined;
    if (known === this.#newest) this.#adopt({ text: state.contents, logIndex: state.logIndex, contents });
    return { state, rowMac: this.rowMac, contents };
  }

  /** The snapshot of a state, from all rows that there are. Throws StoreIntegrityError where they are not those that it sums up. */
  replace(state: State, contents: Contents): Snapshot {
    if (contents.text() !== state.contents) {
      throw new StoreIntegrityError(`${contents.differences(state.contents)}: rows were inserted, deleted or replaced`);
    }
    this.#former = [];
    this.#newest = { text: state.contents, logIndex: state.logIndex, contents };
    return { state, rowMac: this.rowMac, contents };
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

  /** Notes a state that this process has committed; with contents, an edit of those that it was made from, where the change had any. */
  committed(state: State, contents?: Contents): void {
    this.#remember(state);
    if (contents === undefined || this.#newest?.text === state.contents) return;
    const known = { text: state.contents, logIndex: state.logIndex, contents };
    if (this.#newest === undefined || contents.isEditOf(this.#newest.contents)) this.#adopt(known);
  }

  #adopt(known: KnownContents): void {
    known.contents.adopt();
    this.#former = [...(this.#newest === undefined ? [] : [this.#newest]), ...this.#former].slice(0, MAX_FORMER);
    this.#newest = known;
  }

  #remember(state: BrokerState): void {
    this.#seen = {
      generation: Math.max(state.generation, this.#seen.generation),
      epoch: Math.max(state.epoch, this.#seen.epoch),
      nonceFloorMs: Math.max(state.nonceFloorMs, this.#seen.nonceFloorMs),
    };
  }

  #given(): { readonly rowMac: RowMac; readonly contents: ContentsKeys } {
    if (this.#keys === undefined)
      throw new StoreUnavailableError('the store has not been given the key of its row MACs');
    return this.#keys;
  }
}
