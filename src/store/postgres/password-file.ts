import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { StoreUnavailableError } from '../../release/store.js';
import type { PostgresTarget } from './options.js';

const MAX_BYTES = 1024 * 1024;

/**
 * The password for a target: its own, or that of the first line that fits in the password file (PostgreSQL, "The Password
 * File"): the one that PGPASSFILE names, or ~/.pgpass. Read at every connection, so that a new password needs no restart.
 * Empty where there is none. Throws StoreUnavailableError for a file that others can read.
 */
export function passwordFor(target: PostgresTarget): string {
  const own = target.password();
  if (own !== undefined) return own;
  const named = process.env['PGPASSFILE'] ?? '';
  const path = named === '' ? join(homedir(), '.pgpass') : named;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined && named === '') return '';
  if (stat?.isFile() !== true) throw new StoreUnavailableError(`PGPASSFILE: ${path} is no file`);
  if ((stat.mode & 0o077) !== 0) {
    throw new StoreUnavailableError(`the password file ${path} is open to others; run: chmod 600 ${path}`);
  }
  if (stat.size > MAX_BYTES) throw new StoreUnavailableError(`the password file ${path} is larger than 1 MiB`);
  return findPassword(readFileSync(path, 'utf8'), target) ?? '';
}

/** The password in the text of a password file; `*` fits everything, `\` makes the next character an ordinary one. */
export function findPassword(
  text: string,
  { host, port, database, user }: Pick<PostgresTarget, 'host' | 'port' | 'database' | 'user'>,
): string | undefined {
  // libpq looks for the sockets of this machine as localhost.
  const wanted = [host.startsWith('/') ? 'localhost' : host, String(port), database, user];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = fieldsOf(line);
    if (fields.length === 5 && wanted.every((each, at) => fields[at] === each || fields[at] === '*')) return fields[4];
  }
  return undefined;
}

function fieldsOf(line: string): readonly string[] {
  const fields: string[] = [];
  let field = '';
  for (let at = 0; at < line.length; at++) {
    if (line[at] === ':' && fields.length < 4) {
      fields.push(field);
      field = '';
    } else {
      if (line[at] === '\\' && at + 1 < line.length) at++;
      field += line.charAt(at);
    }
  }
  return [...fields, field];
}
