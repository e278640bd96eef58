import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

/**
 * The one room of the broker that connects to others: it asks the witnesses of its log for cosignatures. Their URLs come from
 * the configuration alone (`log.witnesses`), no redirect is followed, and nothing of a request or of evidence reaches it.
 */
const ASKS_WITNESSES = 'witness';

/** The one file that connects to the database of several replicas, at the URL of the configuration (`store.url`) and no other. */
const REACHES_DATABASE = join('src', 'store', 'postgres', 'session.ts');

/**
 * The room that fetches what is published: the keys of configured authorities, from their own origin or where the configuration
 * says, and, on the command line alone, collateral from the makers' services.
 */
const FETCHES = 'collateral';

/** What runs beside workloads, at auditors, on the command line or in demos; every other room is the broker. */
const NOT_THE_BROKER = ['cli', 'workload', 'simulator', 'audit'];

/** Node's modules that can connect, with what may be taken from them: servers and types. */
const HARMLESS: ReadonlySet<string> = new Set([
  'IncomingMessage',
  'ServerResponse',
  'RequestListener',
  'Server',
  'ServerOptions',
  'STATUS_CODES',
  'createServer',
  'AddressInfo',
  'Socket',
]);

function files(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name));
}

/** What a file could reach out with: a client library, a global, or a name of a module of Node that can connect. */
function waysOut(path: string): readonly string[] {
  const text = readFileSync(path, 'utf8');
  const names = [...text.matchAll(/import \{([^}]*)\} from 'node:(?:http|https|http2|net|tls|dns|dgram)'/g)];
  const taken = names.flatMap(([, list = '']) =>
    list.split(',').map((name) => name.replace(/\btype\b|\bas .*/g, '').trim()),
  );
  const clients = text.match(/from '(?:undici|pg|node:child_process|node:dgram)'|\bfetch\(|\bnew WebSocket\(/g) ?? [];
  return [...taken.filter((name) => name !== '' && !HARMLESS.has(name)), ...clients].map((way) => `${path}: ${way}`);
}

test('the broker makes no outgoing connection but to its witnesses, its database and its authorities, so no URL in evidence can be followed', () => {
  const rooms = readdirSync('src', { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && ![...NOT_THE_BROKER, ASKS_WITNESSES, FETCHES].includes(entry.name))
    .map((entry) => entry.name);
  const broker = [...rooms.map((room) => join('src', room)), join('src', 'cli', 'compose')].flatMap(files);
  expect(broker.length).toBeGreaterThan(50);
  expect(broker.filter((path) => path !== REACHES_DATABASE).flatMap(waysOut)).toEqual([]);
  expect(waysOut(REACHES_DATABASE)).toContain(`${REACHES_DATABASE}: from 'pg'`);
  expect(broker.filter((path) => /from '[./]+\/(?:workload|audit)\//.test(readFileSync(path, 'utf8')))).toEqual([]);
  expect(waysOut(join('src', 'workload', 'transport.ts'))).not.toEqual([]);
});

test('what fetches keys of authorities and collateral knows nothing of evidence', () => {
  const room = files(join('src', FETCHES));
  const reaching = room.filter((path) => waysOut(path).some((way) => way.includes('undici')));
  expect(reaching).toEqual([join('src', FETCHES, 'authority-fetch.ts')]);
  const taken = room.flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(/from '\.\.\/(evidence\/[^']+)'/g)].map(([, name]) => name),
  );
  // The names of algorithms and the port: neither evidence nor a token.
  expect([...new Set(taken)]).toEqual(['evidence/authority/authority-keys.js']);
  for (const path of reaching)
    expect(readFileSync(path, 'utf8')).not.toMatch(/\.location|maxRedirections|interceptors/);
});

test('what asks the witnesses takes its URLs from the configuration, and knows nothing of requests', () => {
  const room = files(join('src', ASKS_WITNESSES));
  // One file connects, by one library.
  expect(room.flatMap(waysOut)).toEqual([`${join('src', ASKS_WITNESSES, 'witness-client.ts')}: from 'undici'`]);
  const imported = room.flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(/from '\.\.\/([^/']+)\//g)].map(([, name]) => name),
  );
  expect(imported.length).toBeGreaterThan(5);
  expect([...new Set(imported)].sort()).toEqual(['bytes', 'translog']);
  const text = readFileSync(join('src', ASKS_WITNESSES, 'witness-client.ts'), 'utf8');
  expect(text.match(/\brequest\(/g)).toHaveLength(1);
  expect(text).toContain('request(`${this.#url}${path}`');
  expect(text).not.toMatch(/location|redirect:|maxRedirections|interceptors/);
  // Made by the composition of the broker alone, of what the configuration says.
  const makers = files('src').filter((path) => readFileSync(path, 'utf8').includes('new Witnesses('));
  expect(makers.every((path) => path.startsWith(join('src', 'cli', 'compose')))).toBe(true);
});
