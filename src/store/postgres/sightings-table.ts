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
import { SCHEMA } from './schema.js';
import type { Session, SqlRow, Statement } from './session.js';
import { isId } from './stored-table.js';

/** The inventory of AKs. Its rows carry no MAC: see rows/sighting-row.ts. */

const COLUMNS = SIGHTING_COLUMNS.join(', ');
const TABLE = `${SCHEMA}.sightings`;
const TYPES: Readonly<Partial<Record<(typeof SIGHTING_COLUMNS)[number], string>>> = {
  public_area: 'bytea',
  first_seen_at_ms: 'bigint',
  seen_at_ms: 'bigint',
  regressions: 'bigint',
};

const SELECT: Statement = {
  name: 'select_sightings',
  text: `SELECT ${COLUMNS} FROM ${TABLE} WHERE spki_sha256 = ANY($1::text[])`,
};
const PAGE: Statement = {
  name: 'page_sightings',
  text: `SELECT ${COLUMNS} FROM ${TABLE} WHERE spki_sha256 > $1 ORDER BY spki_sha256 LIMIT $2`,
};
const UPSERT: Statement = {
  name: 'upsert_sightings',
  text: `INSERT INTO ${TABLE} (${COLUMNS})
    SELECT * FROM unnest(${SIGHTING_COLUMNS.map((column, at) => `$${String(at + 1)}::${TYPES[column] ?? 'text'}[]`).join(', ')})
    ON CONFLICT (spki_sha256) DO UPDATE SET ${SIGHTING_UPDATE}`,
};
const FORGET: Statement = {
  name: 'forget_sightings',
  text: `DELETE FROM ${TABLE} WHERE spki_sha256 IN
    (SELECT spki_sha256 FROM ${TABLE} WHERE state = 'pending' ORDER BY seen_at_ms DESC OFFSET ${String(MAX_PENDING_SIGHTINGS)})`,
};

/** In the transaction under way, which holds the lock of all that write. Returns the clocks that have gone back. */
export async function noteInTransaction(
  session: Session,
  list: readonly Sighting[],
): Promise<readonly ClockRegression[]> {
  const stored = rowsOf(await session.query(SELECT, [[...new Set(list.map(({ spkiSha256 }) => spkiSha256))]]));
  const { rows, regressions, morePending } = noteSightings(stored, list);
  const columns = SIGHTING_COLUMNS.map((column) => rows.map((row) => row[column]));
  const sent: Promise<unknown>[] = [session.execute(UPSERT, columns)];
  if (morePending) sent.push(session.execute(FORGET));
  await Promise.all(sent);
  return regressions;
}

export async function readSighting(session: Session, spkiSha256: string): Promise<StoredSighting | undefined> {
  if (!isId(spkiSha256)) return undefined;
  const [row] = rowsOf(await session.query(SELECT, [[spkiSha256]]));
  return row === undefined ? undefined : sightingOf(row);
}

export async function listSightings(session: Session, { limit, after = '' }: Page): Promise<readonly StoredSighting[]> {
  if (after !== '' && !isId(after)) return [];
  return rowsOf(await session.query(PAGE, [after, Math.min(limit, Number.MAX_SAFE_INTEGER)])).map(sightingOf);
}

function rowsOf(rows: readonly SqlRow[]): readonly SightingRow[] {
  return rows as unknown as readonly SightingRow[];
}
