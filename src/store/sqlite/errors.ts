import { StoreIntegrityError, StoreUnavailableError } from '../../release/store.js';

/** What a person can do about an error of SQLite, by primary result code (SQLite, "Result and Error Codes"). */
const ADVICE: Readonly<Record<string, string>> = {
  SQLITE_FULL: 'the disk is full; free space on the volume of the database',
  SQLITE_READONLY: 'the database is read-only; give the broker write permission on the file and its directory',
  SQLITE_BUSY: 'another process keeps the database locked; stop it, or let it finish',
  SQLITE_LOCKED: 'another connection keeps the database locked',
  SQLITE_IOERR: 'the disk does not answer properly; look at the system log',
  SQLITE_CANTOPEN: 'the database file cannot be opened; check the path and its permissions',
  SQLITE_NOTADB: 'the file is not an SQLite database; check the data directory, or restore a backup',
  SQLITE_PERM: 'the database file may not be accessed; check its permissions',
};

/**
 * What a failure of SQLite is to a caller of the store. A damaged file (SQLITE_CORRUPT) and a statement that no longer
 * fits the tables (SQLITE_ERROR) are StoreIntegrityError: rows cannot be believed, and trying again does not help. A
 * violated constraint stays what it is: a bug of the caller. Every other error of SQLite is StoreUnavailableError. What is no error of SQLite passes through. Errors are told apart by
 * `code`, since a native module may throw errors of another realm.
 */
export function asStoreError(error: unknown): unknown {
  const code = sqliteCode(error);
  if (code === undefined || isConstraint(error)) return error;
  if (primary(code) === 'SQLITE_CORRUPT') {
    return new StoreIntegrityError(`the database file is damaged (${code}); restore a backup`, { cause: error });
  }
  if (code === 'SQLITE_ERROR') {
    return new StoreIntegrityError('the tables are not those that portcullis made; restore a backup', { cause: error });
  }
  const advice = ADVICE[primary(code)] ?? 'the database does not answer properly';
  return new StoreUnavailableError(`${advice} (${code})`, { cause: error });
}

/** The extended result code of an error that SQLite raised; undefined for every other error. */
export function sqliteCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' && error.code.startsWith('SQLITE_') ? error.code : undefined;
}

/** Whether a statement was refused since its row contradicts another one, or its column. */
export function isConstraint(error: unknown): boolean {
  const code = sqliteCode(error);
  return code !== undefined && primary(code) === 'SQLITE_CONSTRAINT';
}

/** Whether somebody else holds the lock that was asked for. */
export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error);
  return code !== undefined && primary(code) === 'SQLITE_BUSY';
}

/** `SQLITE_IOERR_WRITE` is a kind of `SQLITE_IOERR`. */
function primary(code: string): string {
  return code.split('_').slice(0, 2).join('_');
}
