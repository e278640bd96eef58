import {
  type LogHead,
  type LogIdentity,
  RolledBackError,
  type SeenHead,
  StoreIntegrityError,
  StoreUnavailableError,
} from '../../release/store.js';
import { TILE_HEIGHT } from '../../translog/tile.js';
import type { StoredHead } from './log-head.js';

/** Where the rows of the log end, as they were found. */
export interface LogEnd {
  /** The index after the newest entry. */
  readonly entries: number;
  /** The greatest level of the stored nodes, the greatest index there, then those of the next level below, and so on. */
  readonly nodes: readonly { readonly level: number; readonly index: number }[];
}

/** Levels that can have nodes in a log, and one more: no need to look for further ones. */
export const MAX_NODE_LEVELS = 8;

/**
 * What this process knows of the log, whatever the store says: its identity, the newest tree head that it has seen, and
 * whether a head that was seen outside of the store is missing from it. A log that was cut short or exchanged while the
 * process runs is noticed here; one that was exchanged before it started, by what was seen outside.
 */
export class LogWatch {
  #identity: LogIdentity | undefined;
  #seen: LogHead | undefined;
  #refusal: (() => StoreIntegrityError) | undefined;

  authenticate(identity: LogIdentity): void {
    this.#identity = identity;
  }

  get identity(): LogIdentity {
    if (this.#identity === undefined)
      throw new StoreUnavailableError('the store has not been given the key of its log');
    return this.#identity;
  }

  /**
   * Takes note of the head that was read, undefined in a fresh store, with the end of the log in the same view. An engine
   * whose reads overlap gives what was `newest` before it began to read. Throws StoreIntegrityError.
   */
  check(head: StoredHead | undefined, end: LogEnd, since: LogHead | undefined = this.#seen): StoredHead | undefined {
    if (head === undefined) {
      if (end.entries > 0 || since !== undefined) throw new StoreIntegrityError('log_head 1: the row was deleted');
      assertLogEnd(end, 0);
      return undefined;
    }
    if (head.origin !== this.identity.signer.origin) {
      throw new StoreIntegrityError('log_head 1: the log has another identity now; restart the broker');
    }
    assertLogEnd(end, head.size);
    if (
      since !== undefined &&
      (head.size < since.size || (head.size === since.size && !head.root.equals(since.root)))
    ) {
      throw new StoreIntegrityError(
        `log_head 1: the row is older than one that this process has seen (size ${String(since.size)})`,
      );
    }
    this.committed(head);
    return head;
  }

  /** Throws where a head that was seen outside of the store is missing from the log: RolledBackError, or StoreIntegrityError where the log is damaged. */
  assertContainsSeen(): void {
    if (this.#refusal !== undefined) throw this.#refusal();
  }

  /** Notes a head that is on disk. */
  committed({ origin, size, root, checkpoint }: LogHead): void {
    if (this.#seen === undefined || size > this.#seen.size) this.#seen = { origin, size, root, checkpoint };
  }

  /** The newest head that this process knows to have been on disk, whatever the store holds now. */
  get newest(): LogHead | undefined {
    return this.#seen;
  }

  /** Notes that the log, which is whole, lacks a head that was seen elsewhere: nothing more is written. */
  refuse(head: { readonly size: number }, { size, where }: SeenHead): void {
    const message =
      `log_head 1: the log has ${String(head.size)} entries and is not the one whose first ${String(size)} were seen in ${where}; ` +
      'restore the newer database, or see: portcullis log accept-rollback --help';
    this.#refusal = () => new RolledBackError(message);
  }

  /** Notes that rows of the log were changed: nothing more is written. `damage` is what was found. Returns what is thrown from then on. */
  refuseDamaged(damage: string): StoreIntegrityError {
    const message = `${damage}; rows of the log were changed, which is no rollback: stop every broker on the database and restore a backup`;
    this.#refusal = () => new StoreIntegrityError(message);
    return this.#refusal();
  }
}

/** Demands as many entries as were appended, a node for the last complete subtree of every stored level, and none behind it. Throws StoreIntegrityError. */
export function assertLogEnd({ entries, nodes }: LogEnd, size: number): void {
  if (size !== entries) {
    throw new StoreIntegrityError(
      `log_entries: there are ${String(entries)} entries, and ${String(size)} were appended`,
    );
  }
  let level = TILE_HEIGHT;
  while (2 ** (level + TILE_HEIGHT) <= size) level += TILE_HEIGHT;
  const expected: { level: number; index: number }[] = [];
  for (; level > 0 && 2 ** level <= size; level -= TILE_HEIGHT) {
    expected.push({ level, index: Math.floor(size / 2 ** level) - 1 });
  }
  for (let at = 0; at < Math.max(nodes.length, expected.length); at++) {
    const [found, wanted] = [nodes[at], expected[at]];
    if (found?.level === wanted?.level && found?.index === wanted?.index) continue;
    const place = found ?? wanted;
    throw new StoreIntegrityError(
      `log_nodes ${String(place?.level)}/${String(place?.index)}: rows of the tree were inserted or deleted`,
    );
  }
}
