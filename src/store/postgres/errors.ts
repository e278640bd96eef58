import { StoreIntegrityError, StoreUnavailableError } from '../../release/store.js';

/** A statement was refused since its row contradicts another one, or its column (SQLSTATE classes 22 and 23): a bug of the caller, or a row that somebody inserted. */
export class ConstraintError extends Error {
  override readonly name = 'ConstraintError';
}

/** What a person can do, by SQLSTATE or its class (PostgreSQL, Appendix A "PostgreSQL Error Codes"). */
const ADVICE: Readonly<Record<string, string>> = {
  '08': 'the connection to the database broke',
  '25006': 'the database server takes no writes: it is a standby, or read-only; store.url must name the primary',
  '28': 'the database refuses the role or its password; check store.url, and the password file that PGPASSFILE names',
  '28P01': 'the database refuses the password; check store.url, and the password file that PGPASSFILE names',
  '3D000': 'there is no such database; make it: createdb --owner ROLE NAME',
  '40': 'the transaction collided with another one; try again',
  '42501': 'the role lacks a permission; the role of store.url must own the schema portcullis, or may create it',
  '53': 'the database server has run out of something; look at its log',
  '53100': 'the disk of the database server is full; free space there',
  '53300': 'the database server takes no more connections; raise max_connections, or run fewer workers',
  '55P03': 'another replica keeps the log locked; if this goes on, look for a hanging session in pg_stat_activity',
  '57': 'the database server is being stopped or started',
  '57014': 'the database took too long over a statement; look at its load and its disk',
  '58': 'the disk of the database server does not answer properly; look at its log',
};

const NETWORK: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens at the host and port of store.url; start the database server, or correct store.url',
  ENOTFOUND: 'the host of store.url is not known; correct store.url',
  EAI_AGAIN: 'the host of store.url cannot be looked up now',
  ENOENT: 'there is no socket at the host of store.url; start the database server, or correct store.url',
  ETIMEDOUT: 'the host of store.url does not answer',
  EHOSTUNREACH: 'the host of store.url cannot be reached',
  ECONNRESET: 'the connection to the database broke',
  EPIPE: 'the connection to the database broke',
};

/** What a failure was that may go away when the same is done again, before anything was answered: SQLSTATE 40001 and 40P01. */
const COLLISIONS = new WeakSet<object>();

/** Whether the transaction was rolled back since it collided with another one. */
export function isCollision(error: unknown): boolean {
  return typeof error === 'object' && error !== null && COLLISIONS.has(error);
}

/**
 * What a failure of the driver is to a caller of the store. Statements that no longer fit the tables, and pages that the
 * server finds damaged, are StoreIntegrityError: trying again does not help. A violated constraint is ConstraintError.
 * Everything else is StoreUnavailableError. The message of the driver is kept as `cause`, but for those that repeat values.
 */
export function storeError(error: unknown): Error {
  if (error instanceof StoreUnavailableError || error instanceof StoreIntegrityError) return error;
  const code = codeOf(error);
  if (code === undefined || !isSqlState(code)) return connectionError(error, code);
  const cause = new Error(/^2[23]/.test(code) ? code : `${code}: ${error instanceof Error ? error.message : ''}`);
  switch (true) {
    case code.startsWith('22') || code.startsWith('23'):
      return new ConstraintError(`refused by the database (${code})`, { cause });
    case code.startsWith('XX0') && code !== 'XX000':
      return new StoreIntegrityError(`the database is damaged (${code}); restore a backup`, { cause });
    case code.startsWith('21') || (code.startsWith('42') && code !== '42501'):
    case code === '3F000' || code === '0A000' || isHidden(code, error):
      return new StoreIntegrityError(`the tables are not those that portcullis made (${code}); restore a backup`, {
        cause,
      });
    default: {
      const advice = ADVICE[code] ?? ADVICE[code.slice(0, 2)] ?? 'the database does not answer properly';
      const failure = new StoreUnavailableError(`${advice} (${code})`, { cause });
      if (code === '40001' || code === '40P01') COLLISIONS.add(failure);
      return failure;
    }
  }
}

/** A row policy would leave rows out, which the session has not allowed. */
function isHidden(code: string, error: unknown): boolean {
  return code === '42501' && error instanceof Error && error.message.includes('row-level security');
}

/** Whether the server itself has said so, and goes on: the connection can be used further. */
export function isAnswered(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && isSqlState(code) && !/^(?:08|57P)/.test(code) && code !== '25P03';
}

/** Five digits and letters, at least one digit: EPIPE is none. */
function isSqlState(code: string): boolean {
  return /^(?=.*[0-9])[0-9A-Z]{5}$/.test(code);
}

function connectionError(error: unknown, code: string | undefined): StoreUnavailableError {
  const said = error instanceof Error ? error.message : 'unknown error';
  const known = NETWORK[code ?? ''];
  if (known !== undefined) return new StoreUnavailableError(`${known} (${code ?? ''})`, { cause: new Error(said) });
  if (said.includes('does not support SSL')) {
    return new StoreUnavailableError('the database server has no TLS; switch it on there (ssl = on)');
  }
  if (code !== undefined && /CERT|SIGNATURE|SSL|TLS/.test(code)) {
    return new StoreUnavailableError(
      `the certificate of the database server is not believed (${code}); name its authority in store.url: sslrootcert=FILE`,
    );
  }
  return new StoreUnavailableError('the connection to the database broke', { cause: new Error(said) });
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  // Several addresses were tried: each has failed.
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  if (!('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
