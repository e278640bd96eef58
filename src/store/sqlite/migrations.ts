import Database from 'better-sqlite3';
import { StoreIntegrityError, StoreUnavailableError } from '../../release/store.js';
import { initial } from './migrations/0001-initial.js';
import { endorsements } from './migrations/0002-endorsements.js';

/** Marks a database as ours (`PRAGMA application_id`): ASCII `PCLS`. */
const APPLICATION_ID = 0x50434c53;

/** Migration N, the Nth of the list, leads from schema version N-1 to N. Forward only; a released one is never edited. */
export const MIGRATIONS: readonly string[] = [initial, endorsements];

/**
 * Refuses a database that is not ours, or that a newer version has written. Changes nothing. An empty database is one
 * that is about to be made.
 */
export function assertOurs(db: Database.Database, path: string): void {
  const version = schemaVersion(db);
  const application = Number(db.pragma('application_id', { simple: true }));
  const empty = db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() === 0;
  if (application !== APPLICATION_ID && !(application === 0 && version === 0 && empty)) {
    throw new StoreUnavailableError(`${path} is a database of another program; check the data directory`);
  }
  if (version < 0 || version > MIGRATIONS.length) {
    throw new StoreUnavailableError(
      `${path} has schema version ${String(version)}, this program knows ${String(MIGRATIONS.length)}: ` +
        'a newer portcullis has written it; run that version, or restore a backup made before the upgrade',
    );
  }
}

/** Brings the schema up to date, in one transaction. Two processes that start together take turns: the second finds nothing to do. */
export function migrate(db: Database.Database): void {
  if (schemaVersion(db) === MIGRATIONS.length) return;
  db.exec('BEGIN IMMEDIATE');
  try {
    for (const sql of MIGRATIONS.slice(schemaVersion(db))) db.exec(sql);
    db.pragma(`application_id = ${String(APPLICATION_ID)}`);
    db.pragma(`user_version = ${String(MIGRATIONS.length)}`);
    db.exec('COMMIT');
  } finally {
    if (db.inTransaction) db.exec('ROLLBACK');
  }
}

/**
 * Demands the schema that the migrations make, to the letter: a trigger that drops spent nonces, or a view in the place
 * of a table, would act outside of every row's authentication. Throws StoreIntegrityError.
 */
export function verifySchema(db: Database.Database): void {
  expectedSchema ??= makeExpectedSchema();
  const found = schemaOf(db);
  const expected = new Set(expectedSchema);
  const foreign = found.filter((definition) => !expected.delete(definition));
  const different = [...foreign, ...expected].map((definition) => (JSON.parse(definition) as string[])[1]);
  if (different.length > 0) {
    throw new StoreIntegrityError(`sqlite_schema ${different.join(', ').slice(0, 200)}: not what portcullis made`);
  }
}

let expectedSchema: readonly string[] | undefined;

function makeExpectedSchema(): readonly string[] {
  const db = new Database(':memory:');
  try {
    migrate(db);
    return schemaOf(db);
  } finally {
    db.close();
  }
}

/**
 * Every definition there is, each as JSON of type, name, table and text: one name can stand there twice, as a trigger and
 * as a table. Left out are the tables of statistics that ANALYZE makes, which only guide the planner.
 */
function schemaOf(db: Database.Database): readonly string[] {
  const rows = db
    .prepare(
      `SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE NOT (type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4'))`,
    )
    .raw()
    .all();
  return rows.map((row) => JSON.stringify(row));
}

function schemaVersion(db: Database.Database): number {
  return Number(db.pragma('user_version', { simple: true }));
}
