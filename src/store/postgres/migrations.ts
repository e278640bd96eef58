import { StoreUnavailableError } from '../../release/store.js';
import { initial } from './migrations/0001-initial.js';
import { endorsements } from './migrations/0002-endorsements.js';
import { assertKnown, SCHEMA } from './schema.js';
import type { Session } from './session.js';

/** Migration N, the Nth of the list, leads from schema version N-1 to N. Forward only; a released one is never edited. */
export const MIGRATIONS: readonly string[] = [initial, endorsements];

/**
 * What serialises everything that writes, across all replicas: the advisory lock of this number, held to the end of a
 * transaction. ASCII `PORTCUL1`. Whoever connects to the database can hold it, as whoever does can lock a table: releases
 * then stop, and nothing else follows.
 */
export const LOCK = `SELECT pg_advisory_xact_lock(${String(0x504f525443554c31n)})`;

/**
 * Brings the tables up to date, in one transaction under the lock of the log: replicas that start together take turns, and
 * the second finds nothing to do; one that serves waits, and then refuses (schema.ts, FINGERPRINT). Throws
 * StoreUnavailableError for an empty database, unless `create`, and for one that a newer version has migrated.
 */
export async function migrate(session: Session, create: boolean, migrations = MIGRATIONS): Promise<void> {
  if ((await assertKnown(session, migrations)) === migrations.length) return;
  await session.command('BEGIN');
  try {
    await session.command(LOCK);
    const version = await assertKnown(session, migrations);
    if (version === 0 && !create) {
      throw new StoreUnavailableError(
        'the database of store.url holds no broker; run portcullis init, or correct store.url',
      );
    }
    if (version === 0) await session.command(`CREATE SCHEMA ${SCHEMA}`);
    // What a migration makes goes into the first of them; pg_catalog is searched before it all the same.
    await session.command(`SET LOCAL search_path = ${SCHEMA}, pg_temp`);
    for (const [at, text] of migrations.entries()) {
      if (at < version) continue;
      await session.command(text);
      await session.command(`INSERT INTO ${SCHEMA}.migrations (version) VALUES (${String(at + 1)})`);
    }
    await session.commit();
  } catch (error) {
    if (!session.broken) await session.command('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
