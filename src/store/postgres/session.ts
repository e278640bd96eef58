import { readFileSync } from 'node:fs';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import pg from 'pg';
import { StoreIntegrityError, StoreUnavailableError } from '../../release/store.js';
import { isAnswered, storeError } from './errors.js';
import type { PostgresTarget } from './options.js';
import { passwordFor } from './password-file.js';

/** A statement that the server parses and plans once for each connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Which server it is, and which of its histories: a standby that was promoted, and a restored copy, have another one. */
export interface ServerIdentity {
  /** Decimal: made by initdb. */
  readonly systemIdentifier: string;
  /** From 1; every promotion and every recovery to a point in time makes a new one. */
  readonly timeline: number;
}

type Role = 'read' | 'write';
export type SqlRow = Readonly<Record<string, unknown>>;

const CONNECT_TIMEOUT_MS = 5_000;
const MIN_VERSION = 130_000;
/**
 * How long a statement may run, wait for a lock, and leave its transaction open, ms. The last one bounds how long a replica
 * that hangs, or whose host is gone, keeps the others from the log.
 */
const LIMITS = {
  read: { statement: 30_000, lock: 5_000, idle: 60_000 },
  write: { statement: 30_000, lock: 5_000, idle: 10_000 },
} as const;
/** Beyond every limit of the server: it does not answer at all. */
const SILENCE_MS = 40_000;

/**
 * Only what can be read back as it was set is believed. Nothing but pg_catalog is searched: a function or an operator in our
 * own schema, made for the very type that it is called with, would be preferred to those of pg_catalog, which take any type.
 * So statements name the schema of every table.
 */
const SET_UP = (role: Role) => `
SET search_path = pg_catalog, pg_temp;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET bytea_output = 'hex';
SET synchronous_commit = on;
SET row_security = off;
SET jit = off;
SET plan_cache_mode = force_generic_plan;
SET default_transaction_isolation = 'read committed';
SET statement_timeout = ${String(LIMITS[role].statement)};
SET lock_timeout = ${String(LIMITS[role].lock)};
SET idle_in_transaction_session_timeout = ${String(LIMITS[role].idle)};
SELECT current_setting('server_version_num')::int AS version,
  current_setting('server_encoding') AS encoding,
  current_setting('synchronous_commit') AS synchronous_commit,
  current_setting('fsync') AS fsync,
  current_setting('full_page_writes') AS full_page_writes,
  current_setting('session_replication_role') AS replication_role,
  pg_is_in_recovery() AS in_recovery,
  (SELECT system_identifier FROM pg_control_system())::text AS system_identifier,
  CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline`;

interface Found {
  readonly version: number;
  readonly encoding: string;
  readonly synchronous_commit: string;
  readonly fsync: string;
  readonly full_page_writes: string;
  readonly replication_role: string;
  readonly in_recovery: boolean;
  readonly system_identifier: string;
  readonly timeline: string | null;
}

/**
 * One connection, set up so that a COMMIT is on the server's disk when it is answered, and looked at again for that.
 * Statements may be given before the former ones are answered; they are sent at once and run in order. A connection that
 * has failed otherwise than by an error that the server reported is `broken`, and of no further use.
 */
export class Session {
  readonly server: ServerIdentity;
  readonly #client: pg.Client;
  #broken = false;

  private constructor(client: pg.Client, server: ServerIdentity) {
    this.#client = client;
    this.server = server;
    client.on('error', () => (this.#broken = true));
    client.on('end', () => (this.#broken = true));
  }

  /** Throws StoreUnavailableError for a server that cannot be reached, or that would not keep what it says it has. */
  static async open(target: PostgresTarget, role: Role): Promise<Session> {
    const client = new pg.Client(configOf(target));
    // Until there is a Session, whose listener it is; without one, an error would end the process.
    client.on('error', () => undefined);
    try {
      await client.connect();
      const results = (await client.query(SET_UP(role))) as unknown as pg.QueryResult<Found>[];
      const found = results.at(-1)?.rows[0];
      if (found === undefined) throw new StoreUnavailableError('the database says nothing of itself');
      return new Session(client, identityOf(found));
    } catch (error) {
      hangUp(client);
      throw storeError(error);
    }
  }

  get broken(): boolean {
    return this.#broken;
  }

  /** The rows of a prepared statement. Throws the store's errors, or ConstraintError. */
  async query(statement: Statement, values: readonly unknown[] = []): Promise<readonly SqlRow[]> {
    return (await this.#run({ ...statement, values: [...values] })).rows as SqlRow[];
  }

  /** How many rows a prepared statement has changed. */
  async execute(statement: Statement, values: readonly unknown[] = []): Promise<number> {
    return (await this.#run({ ...statement, values: [...values] })).rowCount ?? 0;
  }

  /** Runs statements without parameters. The tag of the last one, such as `COMMIT`. */
  async command(text: string): Promise<string> {
    const results = (await this.#run({ text })) as pg.QueryResult | pg.QueryResult[];
    return (Array.isArray(results) ? results.at(-1) : results)?.command ?? '';
  }

  /** COMMIT. Throws StoreUnavailableError where the server has rolled back instead, as it does after a statement that failed. */
  async commit(): Promise<void> {
    if ((await this.command('COMMIT')) !== 'COMMIT') {
      throw new StoreUnavailableError('the database rolled the transaction back');
    }
  }

  /** Hangs up at once. What is under way fails. */
  close(): void {
    this.#broken = true;
    hangUp(this.#client);
  }

  async #run(config: pg.QueryConfig): Promise<pg.QueryResult> {
    if (this.#broken) throw new StoreUnavailableError('the connection to the database broke');
    try {
      return await this.#client.query(config);
    } catch (error) {
      if (!isAnswered(error)) this.close();
      throw storeError(error);
    }
  }
}

function configOf(target: PostgresTarget): pg.ClientConfig {
  const { host, port, database, user, tls } = target;
  return {
    host,
    port,
    database,
    user,
    password: () => passwordFor(target),
    ssl: tls === undefined ? false : tlsOf(host, tls),
    application_name: 'portcullis',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: SILENCE_MS,
    keepAlive: true,
    pipeline: true,
    types: { getTypeParser: parserFor },
  };
}

/** As libpq's sslmode=verify-full: the chain, and the name that was asked for, also where that is an address. */
function tlsOf(host: string, { rootCert, cert, key }: NonNullable<PostgresTarget['tls']>): ConnectionOptions {
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
    ...(rootCert === undefined ? {} : { ca: readPem(rootCert) }),
    ...(cert === undefined ? {} : { cert: readPem(cert) }),
    ...(key === undefined ? {} : { key: readPem(key) }),
  };
}

function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new StoreUnavailableError(`${path}, which store.url names, cannot be read`, { cause: error });
  }
}

function identityOf(found: Found): ServerIdentity {
  const faults: readonly (readonly [boolean, string])[] = [
    [found.version < MIN_VERSION, 'it is older than PostgreSQL 13; upgrade it'],
    [found.in_recovery, 'it is a standby; store.url must name the primary'],
    [found.encoding !== 'UTF8', `its encoding is ${found.encoding}; make the database with ENCODING 'UTF8'`],
    [found.synchronous_commit !== 'on', 'synchronous_commit cannot be switched on'],
    [found.fsync !== 'on', 'fsync is off, so that a crash would lose what was answered; set fsync = on'],
    [found.full_page_writes !== 'on', 'full_page_writes is off; set full_page_writes = on'],
    [found.replication_role !== 'origin', 'session_replication_role is not origin'],
  ];
  const fault = faults.find(([wrong]) => wrong);
  if (fault !== undefined) throw new StoreUnavailableError(`this database server cannot be used: ${fault[1]}`);
  return { systemIdentifier: found.system_identifier, timeline: Number.parseInt(found.timeline ?? '', 16) };
}

/** Without waiting for the server, which may not be there any more. */
function hangUp(client: pg.Client): void {
  client.end().catch(() => undefined);
  const { connection } = client as unknown as { readonly connection: { readonly stream: { destroy(): void } } };
  // What was written is sent first: the server learns that it may let the session go.
  setTimeout(() => connection.stream.destroy(), 100).unref();
}

const INT8 = 20;

/** The driver gives int8 as text, since a number may not hold it. */
function parserFor(oid: number, format?: 'text' | 'binary'): (text: string) => unknown {
  if (oid === INT8) return safeInteger;
  return (pg.types.getTypeParser as (oid: number, format?: string) => (text: string) => unknown)(oid, format);
}

function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value))
    throw new StoreIntegrityError('the database: a number is larger than any it was given');
  return value;
}
