import type { PlacedLabel } from '../rows/guarded-table.js';
import type { Session, Statement } from './session.js';

/** Removals that are kept: who is further behind reads all rows. */
const KEPT = 100_000;

const NOTE: Statement = {
  name: 'note_removals',
  text: 'INSERT INTO portcullis.removals (log_index, place, label) SELECT $1, * FROM unnest($2::text[], $3::bytea[])',
};
const PRUNE: Statement = {
  name: 'prune_removals',
  text: `DELETE FROM portcullis.removals WHERE id <= (SELECT max(id) FROM portcullis.removals) - ${String(KEPT)}`,
};
const SINCE: Statement = {
  name: 'removals_since',
  text: 'SELECT place, label FROM portcullis.removals WHERE log_index >= $1',
};

/**
 * Notes which rows went away in the change whose first entry has this index: a hint for other processes, so that they need
 * not read all rows to learn it. Nothing authenticates it: what it gives is held against the state row, and where it lacks
 * anything, all rows are read.
 */
export async function noteRemovals(session: Session, labels: readonly PlacedLabel[], logIndex: number): Promise<void> {
  if (labels.length === 0) return;
  // A label has NULs between its ids, which no text of PostgreSQL may have.
  const bytes = labels.map(({ label }) => Buffer.from(label, 'utf8'));
  await session.execute(NOTE, [logIndex, labels.map(({ table }) => table), bytes]);
  await session.execute(PRUNE);
}

/** What went away since the change whose first entry has this index. */
export async function removalsSince(session: Session, logIndex: number): Promise<readonly PlacedLabel[]> {
  const rows = await session.query(SINCE, [logIndex]);
  return rows.map(({ place, label }) => ({ table: String(place), label: (label as Buffer).toString('utf8') }));
}
