/**
 * The store in one SQLite file. This room may assume that the directory of the file is the broker's alone and on a local
 * disk, and that callers are the use cases: it bounds no strings that they have bounded. It does not assume that the
 * file is as it left it: see stored-table.ts and state-watch.ts for what is noticed, nonce-table.ts and log-table.ts for
 * what is not.
 */
import { closeSync, openSync, statSync } from 'node:fs';
import { type LogIdentity, type Store, StoreUnavailableError } from '../../release/store.js';
import { Connection } from './connection.js';
import { asStoreError } from './errors.js';
import { migrate, verifySchema } from './migrations.js';
import type { SqliteOptions } from './options.js';
import { SqliteStoreAdapter } from './sqlite-store.js';

/** How long a start waits for another one that is migrating. */
const MIGRATION_WAIT_MS = 10_000;

/** A Store whose rows are authenticated. */
export interface SqliteStore extends Store {
  /**
   * Gives the store the key of its row MACs, 32 bytes, of which it keeps a copy, and the identity of its log. Until then only `broker()` works, whose
   * answer is then not authenticated. Throws StoreIntegrityError where the stored state is not one that was written
   * under this key, or does not belong to the log beside it.
   */
  authenticate(rowMacKey: Buffer, log: LogIdentity): void;
}

/** Opens a connection to the file at `path`. */
export type Connect = (path: string, role: 'read' | 'write') => Connection;

/**
 * Opens the store at `path`, whose directory must exist, and brings its schema up to date. Files are made with mode 0600
 * whatever the umask. Throws StoreUnavailableError for a missing file (unless `create`), a file of another kind, and a
 * schema of a newer version; StoreIntegrityError for a schema that has been tampered with and for a damaged file.
 */
export async function openSqliteStore(path: string, options: SqliteOptions): Promise<SqliteStore> {
  return openWith(path, options, (file, role) => new Connection(file, role));
}

/** As openSqliteStore, with other connections: for tests of what a failing disk does. */
export async function openWith(path: string, options: SqliteOptions, connect: Connect): Promise<SqliteStore> {
  try {
    if (options.create) createFile(path);
    const connection = connect(path, 'write');
    try {
      connection.db.pragma(`busy_timeout = ${String(MIGRATION_WAIT_MS)}`);
      migrate(connection.db);
      verifySchema(connection.db);
    } finally {
      connection.close();
    }
  } catch (error) {
    throw openingError(path, error);
  }
  return new SqliteStoreAdapter((role) => connectVerified(path, role, connect), options);
}

function connectVerified(path: string, role: 'read' | 'write', connect: Connect): Connection {
  const connection = connect(path, role);
  try {
    verifySchema(connection.db);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Makes an empty file that nobody else may read, before SQLite would make one under the umask. */
function createFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (fileErrorCode(error) !== 'EEXIST') throw error;
  }
}

function openingError(path: string, error: unknown): unknown {
  const code = fileErrorCode(error);
  if (code === 'SQLITE_CANTOPEN' && statSync(path, { throwIfNoEntry: false })?.isFile() === true) {
    return new StoreUnavailableError(
      `the database ${path} cannot be opened for writing; is the disk read-only, or does the file belong to another user?`,
      { cause: error },
    );
  }
  if (code === 'SQLITE_CANTOPEN' || code === 'ENOENT') {
    return new StoreUnavailableError(
      `there is no database at ${path}; run portcullis init, or check the data directory`,
      { cause: error },
    );
  }
  if (code !== undefined && !code.startsWith('SQLITE_')) {
    return new StoreUnavailableError(
      `the database ${path} cannot be made (${code}); check the directory and its permissions`,
      { cause: error },
    );
  }
  const failure = asStoreError(error);
  return failure instanceof Error && failure !== error ? withPath(path, failure) : failure;
}

function withPath(path: string, failure: Error): Error {
  failure.message = `${path}: ${failure.message}`;
  return failure;
}

function fileErrorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
