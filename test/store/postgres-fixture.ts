/**
 * One PostgreSQL, one database in it, and stores on it that cost little to open: each is as a process that has just been
 * started and knows nothing, but for the connections, which were set up and verified for a store before it. Where opening
 * itself is to be tested, `openPostgresStore` is used.
 */
import pg from 'pg';
import { storeUrl } from '../../src/config/store-url.js';
import type { LogIdentity } from '../../src/release/store.js';
import { MIGRATIONS } from '../../src/store/postgres/migrations.js';
import { openPostgresStore } from '../../src/store/postgres/open.js';
import type { PostgresStore, PostgresTarget } from '../../src/store/postgres/options.js';
import { PostgresStoreAdapter } from '../../src/store/postgres/postgres-store.js';
import { SchemaWatch } from '../../src/store/postgres/schema.js';
import { Session } from '../../src/store/postgres/session.js';
import { testLogIdentity } from '../helpers/log-identity.js';
import { PostgresServer } from '../helpers/postgres.js';
import { valueOf } from '../helpers/test-broker.js';
import { testClock } from './samples.js';

/** Rows that a test leaves behind. */
const MANY = 1000;

export const MAC_KEY = Buffer.alloc(32, 7);

type Role = 'read' | 'write';

export interface StoreParts {
  readonly macKey?: Buffer;
  readonly log?: LogIdentity;
  readonly clock?: () => number;
}

export class PostgresFixture {
  readonly server: PostgresServer;
  readonly target: PostgresTarget;
  readonly #superuser: pg.Client;
  readonly #idle: Readonly<Record<Role, Session[]>> = { read: [], write: [] };
  readonly #hangUps = new Map<Session, () => void>();

  private constructor(server: PostgresServer, target: PostgresTarget, superuser: pg.Client) {
    this.server = server;
    this.target = target;
    this.#superuser = superuser;
  }

  /** Starts a server, and makes the tables in a database of it. */
  static async start(): Promise<PostgresFixture> {
    const server = await PostgresServer.start();
    const target = valueOf(storeUrl(await server.database()));
    await (await openPostgresStore({ target, create: true, clock: testClock() })).close();
    const { host, port, database } = target;
    const superuser = new pg.Client({ host, port, database, user: 'postgres' });
    await superuser.connect();
    // What somebody tampers with need not survive a crash of the server.
    await superuser.query('SET synchronous_commit = off');
    return new PostgresFixture(server, target, superuser);
  }

  async close(): Promise<void> {
    this.hangUp();
    await this.#superuser.end();
    await this.server.close();
  }

  /** What the superuser asks. The rows of the last statement. */
  async sql(text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    const result = (await this.#superuser.query(text, [...values])) as pg.QueryResult | pg.QueryResult[];
    return (Array.isArray(result) ? result.at(-1) : result)?.rows as Record<string, unknown>[];
  }

  /** Empties the tables of the store. */
  async wipe(): Promise<void> {
    const tables = await this.sql(`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'portcullis'`);
    const emptied = tables.map(({ name }) => String(name)).filter((name) => name !== 'migrations');
    const deletions = emptied.map((name) => `DELETE FROM portcullis.${name};`).join(' ');
    const results = (await this.#superuser.query(deletions)) as unknown as readonly pg.QueryResult[];
    const deleted = results.reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0);
    // Every look at the end of a table would pass by what is dead.
    if (deleted > MANY) await this.sql('VACUUM');
  }

  /** A store that has looked at nothing yet. */
  store({ macKey = MAC_KEY, log = testLogIdentity(), clock = testClock() }: StoreParts = {}): PostgresStore {
    const schema = new SchemaWatch(MIGRATIONS);
    const store = new PostgresStoreAdapter((role) => this.#connect(role, schema), schema, { clock });
    store.authenticate(macKey, log);
    return store;
  }

  /** Lets the connections go that no store has. */
  hangUp(): void {
    for (const session of [...this.#idle.read.splice(0), ...this.#idle.write.splice(0)]) this.#hangUps.get(session)?.();
  }

  async #connect(role: Role, schema: SchemaWatch): Promise<Session> {
    const idle = this.#idle[role];
    for (let session = idle.pop(); session !== undefined; session = idle.pop()) if (!session.broken) return session;
    const session = await Session.open(this.target, role);
    await schema.verify(session);
    this.#hangUps.set(session, session.close.bind(session));
    return Object.assign(session, { close: () => void this.#keep(session, idle) });
  }

  /** The session ended its transaction before it was closed, unless something went wrong. */
  async #keep(session: Session, idle: Session[]): Promise<void> {
    try {
      await session.command('ROLLBACK');
      idle.push(session);
    } catch {
      this.#hangUps.get(session)?.();
    }
  }
}
