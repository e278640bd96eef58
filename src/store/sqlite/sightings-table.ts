import type Database from 'better-sqlite3';
import type { ClockRegression, Sighting, StoredSighting } from '../../release/records.js';
import type { Page } from '../../release/store.js';
import {
  MAX_PENDING_SIGHTINGS,
  noteSightings,
  SIGHTING_COLUMNS,
  SIGHTING_UPDATE,
  sightingOf,
  type SightingRow,
} from '../rows/sighting-row.js';

/** The inventory of AKs on one connection. Its rows carry no MAC: see rows/sighting-row.ts. */
export class SightingsTable {
  readonly #select: Database.Statement;
  readonly #page: Database.Statement;
  readonly #upsert: Database.Statement;
  readonly #forget: Database.Statement;

  constructor(db: Database.Database) {
    const columns = SIGHTING_COLUMNS.join(', ');
    this.#select = db.prepare(`SELECT ${columns} FROM sightings WHERE spki_sha256 = ?`);
    this.#page = db.prepare(`SELECT ${columns} FROM sightings WHERE spki_sha256 > ? ORDER BY spki_sha256 LIMIT ?`);
    this.#upsert = db.prepare(
      `INSERT INTO sightings (${columns}) VALUES (${SIGHTING_COLUMNS.map((column) => `@${column}`).join(', ')})
       ON CONFLICT (spki_sha256) DO UPDATE SET ${SIGHTING_UPDATE}`,
    );
    this.#forget = db.prepare(
      `DELETE FROM sightings WHERE spki_sha256 IN
       (SELECT spki_sha256 FROM sightings WHERE state = 'pending' ORDER BY seen_at_ms DESC LIMIT -1 OFFSET ${String(MAX_PENDING_SIGHTINGS)})`,
    );
  }

  /** In the transaction under way. Returns the clocks that have gone back. */
  note(list: readonly Sighting[]): readonly ClockRegression[] {
    const stored = [...new Set(list.map(({ spkiSha256 }) => spkiSha256))]
      .map((spki) => this.#select.get(spki) as SightingRow | undefined)
      .filter((row) => row !== undefined);
    const { rows, regressions, morePending } = noteSightings(stored, list);
    for (const row of rows) this.#upsert.run(row);
    if (morePending) this.#forget.run();
    return regressions;
  }

  get(spkiSha256: string): StoredSighting | undefined {
    const row = this.#select.get(spkiSha256) as SightingRow | undefined;
    return row === undefined ? undefined : sightingOf(row);
  }

  list({ limit, after = '' }: Page): readonly StoredSighting[] {
    return (this.#page.all(after, limit) as SightingRow[]).map(sightingOf);
  }
}
