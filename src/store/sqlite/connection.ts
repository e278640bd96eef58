import { chmodSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { StoreUnavailableError } from '../../release/store.js';
import { assertOurs } from './migrations.js';

/** How long SQLite itself may wait for a lock, blocking the event loop: readers meet one only in recovery, writers wait outside (writer.ts). */
const BUSY_TIMEOUT_MS = { read: 2000, write: 5 } as const;
const OPEN_TIMEOUT_MS = 2000;
/**
 * Of each connection: enough for the inner pages of the trees over a million keys, so that a point read costs the leaf. Pages are
 * read, not mapped (mmap_size stays 0): mapped ones were no faster, and an error of the disk would be a signal, not an error.
 */
const CACHE_KIB = 8192;
/** `PRAGMA synchronous`: FULL. */
const FULL = 2;

/**
 * One connection to the database file, set up so that a COMMIT is on disk when it returns: WAL with synchronous=FULL,
 * both read back. better-sqlite3 is compiled so that WAL alone would mean synchronous=NORMAL.
 */
export class Connection {
  readonly db: Database.Database;
  readonly #path: string;
  readonly #inode: number;
  readonly #begin: Database.Statement;
  readonly #beginImmediate: Database.Statement;
  readonly #commit: Database.Statement;
  readonly #rollback: Database.Statement;

  constructor(path: string, role: 'read' | 'write') {
    this.db = new Database(path, { fileMustExist: true, timeout: OPEN_TIMEOUT_MS });
    try {
      assertOurs(this.db, path);
      setUp(this.db, path, role);
    } catch (error) {
      this.db.close();
      throw error;
    }
    this.#path = path;
    this.#inode = statSync(path).ino;
    this.#begin = this.db.prepare('BEGIN');
    this.#beginImmediate = this.db.prepare('BEGIN IMMEDIATE');
    this.#commit = this.db.prepare('COMMIT');
    this.#rollback = this.db.prepare('ROLLBACK');
  }

  /** A transaction that only reads: what it sees is fixed by its first read. */
  begin(): void {
    this.#begin.run();
  }

  /**
   * A transaction that writes: no other connection can, until it ends. Refused where the file is no longer at its path:
   * what is written to a file that was moved away or replaced would be lost, and SQLite does not look in WAL mode.
   */
  beginImmediate(): void {
    if (statSync(this.#path, { throwIfNoEntry: false })?.ino !== this.#inode) {
      throw new StoreUnavailableError(`${this.#path} was moved or replaced; put it back, or restart the broker`);
    }
    this.#beginImmediate.run();
  }

  commit(): void {
    this.#commit.run();
  }

  /** Ends a transaction, if SQLite has not ended it already. */
  rollback(): void {
    if (this.db.inTransaction) this.#rollback.run();
  }

  close(): void {
    this.db.close();
  }
}

function setUp(db: Database.Database, path: string, role: 'read' | 'write'): void {
  db.pragma('trusted_schema = OFF');
  db.pragma('cell_size_check = ON');
  db.pragma(`cache_size = -${String(CACHE_KIB)}`);
  // A purged key is gone from the file, not only from the table.
  db.pragma('secure_delete = ON');
  // F_FULLFSYNC on macOS, where fsync alone does not reach the disk; without effect elsewhere.
  db.pragma('fullfsync = ON');
  db.pragma('synchronous = FULL');
  const journal = db.pragma('journal_mode', { simple: true });
  if (journal !== 'wal') db.pragma('journal_mode = WAL');
  if (db.pragma('journal_mode', { simple: true }) !== 'wal' || db.pragma('synchronous', { simple: true }) !== FULL) {
    throw new StoreUnavailableError(`${path} cannot be used with WAL and synchronous=FULL; put it on a local disk`);
  }
  db.pragma(`busy_timeout = ${String(BUSY_TIMEOUT_MS[role])}`);
  if (role === 'read') db.pragma('query_only = ON');
  restrict(path);
}

/** SQLite makes -wal and -shm with the mode of the main file; a file that was copied here may have come with a wider one. */
function restrict(path: string): void {
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    const mode = statSync(file, { throwIfNoEntry: false })?.mode;
    if (mode !== undefined && (mode & 0o077) !== 0) chmodSync(file, 0o600);
  }
}
