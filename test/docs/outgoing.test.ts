import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

/** What runs beside workloads, on the command line or in demos; every other room is the broker. */
const NOT_THE_BROKER = ['cli', 'workload', 'simulator'];

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
  const clients = text.match(/from '(?:undici|node:child_process|node:dgram)'|\bfetch\(|\bnew WebSocket\(/g) ?? [];
  return [...taken.filter((name) => name !== '' && !HARMLESS.has(name)), ...clients].map((way) => `${path}: ${way}`);
}

test('the broker makes no outgoing connection, so no URL in evidence can be followed', () => {
  const rooms = readdirSync('src', { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !NOT_THE_BROKER.includes(entry.name))
    .map((entry) => entry.name);
  const broker = [...rooms.map((room) => join('src', room)), join('src', 'cli', 'compose')].flatMap(files);
  expect(broker.length).toBeGreaterThan(50);
  expect(broker.flatMap(waysOut)).toEqual([]);
  expect(waysOut(join('src', 'workload', 'transport.ts'))).not.toEqual([]);
});
