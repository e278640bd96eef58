import {
  type LogHead,
  type LogIdentity,
  RolledBackError,
  type SeenHead,
  StoreIntegrityError,
  StoreUnavailableError,
} from '../../release/store.js';
import type { StoredHead } from './log-head.js';
import type { RowMac } from './row-mac.js';
import type { Tables } from './tables.js';

/**
 * What this process knows of the log, whatever the file says: its identity, the newest tree head that it has seen, and
 * whether a head that was seen outside of the store is missing from it. A log that was cut short or exchanged while the
 * process runs is noticed here; one that was exchanged before it started, by what was seen outside.
 */
export class LogWatch {
  #identity: LogIdentity | undefined;
  #seen: LogHead | undefined;
  #refusal: string | undefined;

  authenticate(identity: LogIdentity): void {
    this.#identity = identity;
  }

  get identity(): LogIdentity {
    if (this.#identity === undefined)
      throw new StoreUnavailableError('the store has not been given the key of its log');
    return this.#identity;
  }

  /** The head of the transaction under way; undefined in a fresh store. Throws StoreIntegrityError. */
  find(tables: Tables, rowMac: RowMac): StoredHead | undefined {
    const head = tables.logHead.read(rowMac);
    const end = tables.log.end();
    if (head === undefined) {
      if (end > 0 || this.#seen !== undefined) throw new StoreIntegrityError('log_head 1: the row was deleted');
      return undefined;
    }
    if (head.origin !== this.identity.signer.origin) {
      throw new StoreIntegrityError('log_head 1: the log has another identity now; restart the broker');
    }
    if (head.size !== end) {
      throw new StoreIntegrityError(
        `log_entries: there are ${String(end)} entries, and ${String(head.size)} were appended`,
      );
    }
    this.#assertForward(head);
    return head;
  }

  /** Throws RolledBackError where a head that was seen outside of the store is missing from the log. */
  assertContainsSeen(): void {
    if (this.#refusal !== undefined) throw new RolledBackError(this.#refusal);
  }

  /** Notes a head that is on disk. */
  committed({ origin, size, root, checkpoint }: LogHead): void {
    if (this.#seen === undefined || size > this.#seen.size) this.#seen = { origin, size, root, checkpoint };
  }

  /** The newest head that this process knows to have been on disk, whatever the store holds now. */
  get newest(): LogHead | undefined {
    return this.#seen;
  }

  /** Notes that the log lacks a head that was seen elsewhere: nothing more is written. */
  refuse(head: { readonly size: number }, { size, where }: SeenHead): void {
    const found = String(head.size);
    this.#refusal =
      `log_head 1: the log has ${found} entries and is not the one whose first ${String(size)} were seen in ${where}; ` +
      'restore the newer database, or see: portcullis log accept-rollback --help';
  }

  #assertForward(head: StoredHead): void {
    const seen = this.#seen;
    if (seen === undefined || head.size > seen.size) {
      this.committed(head);
    } else if (head.size < seen.size || !head.root.equals(seen.root)) {
      throw new StoreIntegrityError(
        `log_head 1: the row is older than one that this process has seen (size ${String(seen.size)})`,
      );
    }
  }
}
