import type Database from 'better-sqlite3';
import type { PlacedLabel } from '../rows/guarded-table.js';
import { MAX_LABEL_BYTES } from '../rows/set-hash.js';

/** Removals that are kept: who is further behind reads all rows. */
const KEPT = 100_000;

/**
 * Which rows went away when, on one connection: a hint for other processes, so that they need not read all rows to learn it.
 * Nothing authenticates it: what it gives is held against the state row, and where it lacks anything, all rows are read.
 */
export class RemovalsTable {
  readonly #insert: Database.Statement;
  readonly #prune: Database.Statement;
  readonly #select: Database.Statement;

  constructor(db: Database.Database) {
    this.#insert = db.prepare('INSERT INTO removals (log_index, place, label) VALUES (?, ?, ?)');
    this.#prune = db.prepare(`DELETE FROM removals WHERE id <= (SELECT max(id) FROM removals) - ${String(KEPT)}`);
    this.#select = db.prepare('SELECT place, label FROM removals WHERE log_index > ?').raw();
  }

  note(labels: readonly PlacedLabel[], logIndex: number): void {
    for (const { table, label } of labels) this.#insert.run(logIndex, table, Buffer.from(label, 'utf8'));
    if (labels.length > 0) this.#prune.run();
  }

  /** What went away after the change whose first entry has this index. Passes over what no row can have been called. */
  *since(logIndex: number): Generator<PlacedLabel> {
    for (const row of this.#select.iterate(logIndex)) {
      const [table, label] = row as readonly [unknown, unknown];
      if (typeof table !== 'string' || !Buffer.isBuffer(label) || label.length > MAX_LABEL_BYTES) continue;
      yield { table, label: label.toString('utf8') };
    }
  }
}
