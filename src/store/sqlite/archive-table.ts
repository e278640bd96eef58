import type Database from 'better-sqlite3';
import type { ArchivedRelease } from '../../release/store.js';

/**
 * Sealed evidence on one connection. Its rows carry no MAC: each is sealed for its release, and its entry in the log says
 * that the release was. A row that is gone cannot be replayed, and nothing else follows from it.
 */
export class ArchiveTable {
  readonly #insert: Database.Statement;
  readonly #select: Database.Statement;

  constructor(db: Database.Database) {
    this.#insert = db.prepare('INSERT INTO evidence_archive (release_id, log_index, sealed) VALUES (?, ?, ?)');
    this.#select = db.prepare('SELECT log_index, sealed FROM evidence_archive WHERE release_id = ?').raw();
  }

  insert(releaseId: string, index: number, sealed: Buffer): void {
    this.#insert.run(releaseId, index, sealed);
  }

  get(releaseId: string): ArchivedRelease | undefined {
    const row = this.#select.get(releaseId) as [number, Buffer] | undefined;
    return row === undefined ? undefined : { index: row[0], sealed: row[1] };
  }
}
