import { isAbsolute } from 'node:path';
import { accept, reject } from '../reason/reason.js';
import { isLoopback, type Parse } from './values.js';

/** A PostgreSQL database, as its URL names it. */
export interface StoreUrl {
  /** A name, an address without brackets, or the directory of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** A function, so that what prints a configuration does not print it. undefined: it stands in a password file. */
  readonly password: () => string | undefined;
  /** undefined: no TLS. Otherwise the chain and the name of the server are verified. File names are absolute. */
  readonly tls: { readonly rootCert?: string; readonly cert?: string; readonly key?: string } | undefined;
}

const DEFAULT_PORT = 5432;
const MAX_CHARACTERS = 4096;
const PARAMETERS = ['host', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'];
const FILES = ['sslrootcert', 'sslcert', 'sslkey'];

const bad = (detail: string) => reject('request.malformed', detail);

/**
 * Parses `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?…]`, percent-encoded as URLs are (PostgreSQL, "Connection URIs").
 * The parameters are `host` (the directory of a socket), `sslmode`, `sslrootcert`, `sslcert` and `sslkey`. TLS is verify-full or disable; what libpq
 * has between them leaves open who answers. Without sslmode it is disable on this machine and verify-full elsewhere.
 */
export const storeUrl: Parse<StoreUrl> = (text) => {
  const url = parseUrl(text);
  if (url === undefined) return bad('needs postgres://USER@HOST:PORT/DATABASE, special characters percent-encoded');
  const { searchParams: parameters } = url;
  const unknown = [...parameters.keys()].some((name) => !PARAMETERS.includes(name));
  if (unknown || new Set(parameters.keys()).size !== [...parameters.keys()].length) {
    return bad(`takes the parameters ${PARAMETERS.join(', ')}, each once, and no other`);
  }
  if (FILES.some((name) => parameters.has(name) && !isAbsolute(parameters.get(name) ?? ''))) {
    return bad(`${FILES.join(', ')} need absolute file names`);
  }
  const decoded = decode(url);
  if (decoded === undefined) return bad('needs special characters percent-encoded, in UTF-8');
  const host = parameters.get('host') ?? decoded.host;
  if (parameters.has('host') && (decoded.host !== '' || !isAbsolute(host))) {
    return bad('?host= names the directory of a Unix socket, with no host before the database');
  }
  if (host === '' || decoded.user === '' || decoded.database === '' || decoded.database.includes('/')) {
    return bad('needs a user, a host and a database: postgres://USER@HOST/DATABASE');
  }
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  const { user, database, password } = decoded;
  const mode = parameters.get('sslmode') ?? (isLocal(host) ? 'disable' : 'verify-full');
  if (mode !== 'disable' && mode !== 'verify-full') {
    return bad(
      'sslmode is verify-full or disable, since the other modes leave open who answers: write ?sslmode=verify-full&sslrootcert=FILE',
    );
  }
  if (mode === 'disable' && FILES.some((name) => parameters.has(name))) {
    return bad('certificates go with sslmode=verify-full');
  }
  if (mode === 'verify-full' && isAbsolute(host)) return bad('a Unix socket has no TLS; leave sslmode out');
  if (parameters.has('sslcert') !== parameters.has('sslkey')) return bad('sslcert and sslkey go together');
  const tls = mode === 'disable' ? undefined : filesOf(parameters);
  return accept({ host, port, database, user, password: () => password, tls });
};

/** Why the database must not be used in production, or undefined. */
export function insecureStore(store: StoreUrl | undefined): string | undefined {
  if (store === undefined || store.tls !== undefined || isLocal(store.host)) return undefined;
  return 'store.url: the production profile reaches a database on another machine over TLS only; write ?sslmode=verify-full&sslrootcert=FILE instead of sslmode=disable';
}

/** The URL for people: without its password. */
export function shownUrl({ host, port, database, user, tls }: StoreUrl): string {
  const at = isAbsolute(host) ? '' : `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
  const parameters = [
    ...(isAbsolute(host) ? [`host=${host}`] : []),
    ...(tls === undefined ? [] : ['sslmode=verify-full']),
    ...(tls?.rootCert === undefined ? [] : [`sslrootcert=${tls.rootCert}`]),
    ...(tls?.cert === undefined ? [] : [`sslcert=${tls.cert}`]),
  ];
  const query = parameters.length === 0 ? '' : `?${parameters.join('&')}`;
  return `postgres://${encodeURIComponent(user)}@${at}/${encodeURIComponent(database)}${query}`;
}

function parseUrl(text: string): URL | undefined {
  if (text.length > MAX_CHARACTERS || /[\s\p{Cc}]/u.test(text)) return undefined;
  const [, scheme, rest = ''] = /^(postgres(?:ql)?):\/\/(.*)$/.exec(text) ?? [];
  if (scheme === undefined || rest.includes('#')) return undefined;
  // URLs of this scheme need no host in front of a path; those with a user do.
  const hostless = /^([^/@?]*@)?(?=[/?])/.exec(rest);
  const filled = hostless === null ? rest : `${hostless[0]}${NO_HOST}${rest.slice(hostless[0].length)}`;
  return URL.canParse(`postgres://${filled}`) ? new URL(`postgres://${filled}`) : undefined;
}

/** Stands where a URL has no host: reserved, so that it is nobody's. */
const NO_HOST = 'none.invalid';

function decode(url: URL) {
  try {
    const hostname = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1');
    return {
      host: hostname === NO_HOST ? '' : hostname,
      user: decodeURIComponent(url.username),
      password: url.password === '' ? undefined : decodeURIComponent(url.password),
      database: decodeURIComponent(url.pathname.slice(1)),
    };
  } catch {
    return undefined;
  }
}

function filesOf(parameters: URLSearchParams): NonNullable<StoreUrl['tls']> {
  const [rootCert, cert, key] = FILES.map((name) => parameters.get(name) ?? undefined);
  return {
    ...(rootCert === undefined ? {} : { rootCert }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function isLocal(host: string): boolean {
  return isAbsolute(host) || isLoopback(host);
}
