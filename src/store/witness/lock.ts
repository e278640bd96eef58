import { closeSync, openSync } from 'node:fs';
import Database from 'better-sqlite3';
import { WitnessStateError } from './durable-file.js';

/**
 * Takes the lock of a witness's directory for as long as the process lives, or until the function that comes back is
 * called. It is a lock of the kernel on a file (SQLite's), so a process that is killed leaves none behind, and processes in
 * other containers over the same volume are kept out as well. Throws WitnessStateError where another process holds it.
 */
export function takeLock(path: string): () => void {
  closeSync(openSync(path, 'a', 0o600));
  const database = new Database(path, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    const busy = (error as { code?: unknown }).code === 'SQLITE_BUSY';
    const why = busy ? 'is held by another witness; two must never run on one directory' : 'cannot be locked';
    throw new WitnessStateError(`${path} ${why}`, { cause: error });
  }
  return () => database.close();
}
