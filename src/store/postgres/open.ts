/**
 * The store in a PostgreSQL database, for several replicas. This room may assume that callers are the use cases: it bounds
 * no strings that they have bounded; and that the server keeps what it has committed, on the disk of one machine that has
 * one history (session.ts verifies what can be). It does not assume that the rows are as it left them: see store/rows for
 * what is noticed, batch.ts and log-table.ts for what is not.
 */
import { migrate, MIGRATIONS } from './migrations.js';
import type { PostgresOptions, PostgresStore } from './options.js';
import { PostgresStoreAdapter } from './postgres-store.js';
import { SchemaWatch } from './schema.js';
import { Session } from './session.js';

/**
 * Opens the store and brings its tables up to date; replicas that start together take turns. Throws StoreUnavailableError
 * for a server that cannot be reached or used, an empty database (unless `create`) and tables of a newer version;
 * StoreIntegrityError for tables that have been tampered with.
 */
export async function openPostgresStore(options: PostgresOptions): Promise<PostgresStore> {
  const { target, create } = options;
  const schema = new SchemaWatch(MIGRATIONS);
  const first = await Session.open(target, 'write');
  try {
    await migrate(first, create);
    await schema.verify(first);
  } finally {
    first.close();
  }
  return new PostgresStoreAdapter((role) => connectVerified(options, role, schema), schema, options);
}

async function connectVerified(
  { target }: PostgresOptions,
  role: 'read' | 'write',
  schema: SchemaWatch,
): Promise<Session> {
  const session = await Session.open(target, role);
  try {
    await schema.verify(session);
    return session;
  } catch (error) {
    session.close();
    throw error;
  }
}
