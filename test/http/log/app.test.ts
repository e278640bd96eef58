import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Agent, request } from 'undici';
import { Lifecycle } from '../../../src/http/lifecycle.js';
import { createLogApp } from '../../../src/http/log/app.js';
import type { PublishedLog } from '../../../src/http/log/tiles.js';
import type { RequestObservation } from '../../../src/http/ports.js';
import { type BrokerServer, createServer } from '../../../src/http/server.js';
import { RolledBackError } from '../../../src/release/store.js';
import { openSqliteStore, type SqliteStore } from '../../../src/store/sqlite/open.js';
import { testLogIdentity } from '../../helpers/log-identity.js';
import { inner, leaf, ReferenceTree } from '../../helpers/rfc6962.js';
import { initialise } from '../../store/samples.js';
import type { LogLine } from '../harness.js';
import { raw } from '../harness.js';

const curl = spawnSync('curl', ['--version']).status === 0 ? 'curl' : undefined;

let directory: string;
let store: SqliteStore;
let server: BrokerServer;
let url: string;
let agent: Agent;
let observed: RequestObservation[];
let lines: LogLine[];
let published: PublishedLog;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'portcullis-log-face-'));
  store = await openSqliteStore(join(directory, 'portcullis.db'), { create: true, clock: () => 1_700_000_000_000 });
  store.authenticate(Buffer.alloc(32, 7), testLogIdentity());
  await initialise(store);
  [observed, lines] = [[], []];
  const write = (level: LogLine['level']) => (fields: LogLine['fields'], message: string) =>
    void lines.push({ level, fields, message });
  const services = {
    lifecycle: new Lifecycle(),
    log: { info: write('info'), warn: write('warn'), error: write('error') },
    metrics: {
      requested: (observation: RequestObservation) => void observed.push(observation),
      exposition: async () => ({ contentType: 'text/plain', text: '' }),
    },
  };
  published = {
    checkpoint: async () => (await store.logHead()).checkpoint,
    logHead: () => store.logHead(),
    logHashes: (level, start, count) => store.logHashes(level, start, count),
    logEntries: (start, count) => store.logEntries(start, count),
  };
  const face = createLogApp({ published, logKey: testLogIdentity().signer.verifierKey, ...services });
  server = createServer(face, { host: '127.0.0.1', port: 0, lifecycle: services.lifecycle, log: services.log });
  url = await server.start();
  agent = new Agent();
});

afterEach(async () => {
  await agent.destroy();
  await server.stop();
  await store.close();
  rmSync(directory, { recursive: true });
});

interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

async function get(path: string, headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET'): Promise<Got> {
  const answer = await request(url + path, { method, headers, dispatcher: agent });
  return {
    status: answer.statusCode,
    headers: answer.headers,
    body: Buffer.from(await answer.body.arrayBuffer()),
  };
}

async function grow(entries: number): Promise<void> {
  await Promise.all(
    Array.from({ length: entries }, (_, at) => store.appendRecord('denial', { at, filler: 'é'.repeat(at % 40) })),
  );
}

/** Size and root, as a client reads them out of a checkpoint. */
async function checkpoint(): Promise<{ size: number; root: Buffer }> {
  const [, size, root = ''] = (await get('/log/checkpoint')).body.toString('utf8').split('\n');
  return { size: Number(size), root: Buffer.from(root, 'base64') };
}

/** The paths of C2SP tlog-tiles that make up one level of a tree, the last one partial where it is. Up to 999 tiles. */
function paths(level: string, hashes: number): readonly string[] {
  const full = Math.floor(hashes / 256);
  const all = Array.from({ length: full }, (_, at) => `/log/tile/${level}/${String(at).padStart(3, '0')}`);
  const width = hashes % 256;
  return width === 0 ? all : [...all, `/log/tile/${level}/${String(full).padStart(3, '0')}.p/${String(width)}`];
}

async function fetched(level: string, hashes: number): Promise<readonly Buffer[]> {
  const parts = await Promise.all(paths(level, hashes).map((path) => get(path)));
  expect(parts.filter(({ status }) => status !== 200)).toEqual([]);
  return parts.map(({ body }) => body);
}

function cut(bytes: Buffer): readonly Buffer[] {
  return Array.from({ length: bytes.length / 32 }, (_, at) => bytes.subarray(at * 32, at * 32 + 32));
}

function entriesOf(bundle: Buffer): readonly Buffer[] {
  const entries: Buffer[] = [];
  for (let at = 0; at < bundle.length;) {
    const end = at + 2 + bundle.readUInt16BE(at);
    entries.push(bundle.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

/** The hash of a perfect subtree. */
function perfect(hashes: readonly Buffer[]): Buffer {
  if (hashes.length === 1) return hashes[0]!;
  const half = hashes.length / 2;
  return inner(perfect(hashes.slice(0, half)), perfect(hashes.slice(half)));
}

describe('the log over HTTP', () => {
  test('is what its checkpoint says, at every size of a small log, from bundles and from tiles', async () => {
    for (const size of [...Array.from({ length: 40 }, (_, at) => at + 1), 255, 256, 257, 258, 511, 512, 513]) {
      await grow(size - (await checkpoint()).size);
      const head = await checkpoint();
      expect(head.size).toBe(size);
      const entries = (await fetched('entries', size)).flatMap(entriesOf);
      expect(entries).toHaveLength(size);
      expect(new ReferenceTree((index) => entries[index]!).mth(0, size)).toEqual(head.root);
      const leaves = (await fetched('0', size)).flatMap(cut);
      expect(leaves).toEqual(entries.map(leaf));
      const nodes = (await fetched('1', Math.floor(size / 256))).flatMap(cut);
      expect(nodes).toEqual(nodes.map((_, at) => perfect(leaves.slice(at * 256, at * 256 + 256))));
    }
  }, 60_000);

  test('serves every width that the log has come to, and always the same bytes', async () => {
    await grow(299);
    const full = (await get('/log/tile/0/000')).body;
    const bundle = entriesOf((await get('/log/tile/entries/000')).body);
    for (const width of [1, 2, 44, 127, 128, 255]) {
      expect((await get(`/log/tile/0/000.p/${String(width)}`)).body).toEqual(full.subarray(0, width * 32));
      expect(entriesOf((await get(`/log/tile/entries/000.p/${String(width)}`)).body)).toEqual(bundle.slice(0, width));
    }
    expect((await get('/log/tile/0/001.p/44')).body).toHaveLength(44 * 32);
    expect((await get('/log/tile/1/000.p/1')).body).toEqual(perfect(cut(full)));
  });

  test.each([
    ['a width that the log has not come to', '/log/tile/0/001.p/45'],
    ['a full tile that is still partial', '/log/tile/0/001'],
    ['a bundle that the log has not come to', '/log/tile/entries/001.p/45'],
    ['a tile far beyond', '/log/tile/0/x001/000'],
    ['a node that is not complete', '/log/tile/1/000.p/2'],
    ['an empty level', '/log/tile/2/000.p/1'],
  ])('has nothing at %s', async (_, path) => {
    await grow(299);
    const answer = await get(path);
    expect(answer.status).toBe(404);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(JSON.parse(answer.body.toString())).toMatchObject({ reason: 'resource.unknown', status: 404 });
    expect(answer.headers['x-request-id']).toBeDefined();
  });

  test.each([
    '/log/',
    '/log/checkpoint/',
    '/log/checkpoint?x=1',
    '/log//checkpoint',
    '/log/Checkpoint',
    '/log/tile/0/0',
    '/log/tile/0/0000',
    '/log/tile/00/000',
    '/log/tile/-1/000',
    '/log/tile/7/000',
    '/log/tile/64/000',
    '/log/tile/0/x000/000',
    '/log/tile/0/000.p/0',
    '/log/tile/0/000.p/256',
    '/log/tile/0/000.p/01',
    '/log/tile/0/000.p/',
    '/log/tile/0/..%2f000',
    '/log/tile/entries/%30%30%30',
    `/log/tile/0/${'x999/'.repeat(5)}999`,
    `/log/tile/0/${'x999/'.repeat(500)}999`,
  ])('has one spelling for what it has: %s is no path', async (path) => {
    const answer = await get(path);
    expect([answer.status, (JSON.parse(answer.body.toString()) as { reason: string }).reason]).toEqual([
      404,
      'route.unknown',
    ]);
    expect(answer.headers['allow']).toBeUndefined();
  });

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const)(
    'refuses %s, and says what is allowed',
    async (method) => {
      for (const path of ['/log/checkpoint', '/log/key', '/log/tile/0/000.p/1', '/log/tile/entries/000.p/1']) {
        const answer = await request(url + path, { method, dispatcher: agent });
        expect([answer.statusCode, answer.headers['allow']]).toEqual([404, 'GET, HEAD']);
        expect(await answer.body.json()).toMatchObject({ reason: 'route.unknown' });
      }
    },
  );

  test('answers HEAD as GET, without the body', async () => {
    for (const path of ['/log/checkpoint', '/log/key', '/log/tile/0/000.p/1', '/log/tile/entries/000.p/1']) {
      const [got, head] = [await get(path), await get(path, {}, 'HEAD')];
      expect([head.status, head.body.length]).toEqual([200, 0]);
      expect(head.headers['content-length']).toBe(String(got.body.length));
      expect(head.headers['content-type']).toBe(got.headers['content-type']);
    }
  });

  test('refuses a GET with a body, a request without host, and one with too many header fields', async () => {
    const port = Number(new URL(url).port);
    const body = await raw(
      port,
      'GET /log/key HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}',
    );
    const hostless = await raw(port, 'GET /log/key HTTP/1.1\r\nconnection: close\r\n\r\n');
    const many = 'a: b\r\n'.repeat(70);
    const laden = await raw(port, `GET /log/key HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${many}\r\n`);
    for (const answer of [body, hostless, laden]) {
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(answer).toContain('"reason":"request.malformed"');
    }
  });
});

describe('the headers of the log', () => {
  test('let full tiles and bundles be kept for ever, partial ones and the key for a minute, the checkpoint for a second', async () => {
    await grow(300);
    const caching = async (path: string) => {
      const { headers } = await get(path);
      return [headers['content-type'], headers['cache-control']];
    };
    const forEver = ['application/octet-stream', 'public, max-age=31536000, immutable'];
    const aMinute = ['application/octet-stream', 'public, max-age=60'];
    for (const what of ['0', 'entries']) {
      expect(await caching(`/log/tile/${what}/000`)).toEqual(forEver);
      expect(await caching(`/log/tile/${what}/000.p/255`)).toEqual(aMinute);
      expect(await caching(`/log/tile/${what}/001.p/1`)).toEqual(aMinute);
    }
    expect(await caching('/log/tile/1/000.p/1')).toEqual(aMinute);
    expect(await caching('/log/checkpoint')).toEqual(['text/plain; charset=utf-8', 'public, max-age=1']);
    expect(await caching('/log/key')).toEqual(['text/plain; charset=utf-8', 'public, max-age=60']);
  });

  test('give the key as its vkey and a newline', async () => {
    expect((await get('/log/key')).body.toString()).toBe(`${testLogIdentity().signer.verifierKey}\n`);
  });

  test.each([
    ['gzip', true],
    ['deflate, GZIP;q=0.5', true],
    ['x-gzip', true],
    ['br, gzip;q=1.0', true],
    ['gzip;q=0', false],
    ['gzip; q=0.000', false],
    ['identity', false],
    ['gzipped', false],
    ['', false],
  ])('accept-encoding %j: bundles compressed %s, tiles never', async (accepted, zipped) => {
    await grow(40);
    const path = '/log/tile/entries/000.p/41';
    const [plain, coded] = [await get(path), await get(path, { 'accept-encoding': accepted })];
    expect([plain.headers['vary'], coded.headers['vary']]).toEqual(['accept-encoding', 'accept-encoding']);
    expect(coded.headers['content-encoding']).toBe(zipped ? 'gzip' : undefined);
    expect(zipped ? gunzipSync(coded.body) : coded.body).toEqual(plain.body);
    const tile = await get('/log/tile/0/000.p/41', { 'accept-encoding': accepted });
    expect([tile.headers['content-encoding'], tile.headers['vary']]).toEqual([undefined, undefined]);
  });
});

(curl === undefined ? describe.skip : describe)('curl', () => {
  test('reads what the log holds, compressed and not', async () => {
    await grow(299);
    const fetch = async (...args: readonly string[]) =>
      (await promisify(execFile)('curl', ['-sS', '--max-time', '20', ...args], { encoding: 'buffer' })).stdout;
    for (const path of ['/log/tile/entries/000', '/log/tile/0/001.p/44', '/log/checkpoint', '/log/key']) {
      const { body } = await get(path);
      expect(await fetch(url + path)).toEqual(body);
      expect(await fetch('--compressed', url + path)).toEqual(body);
    }
    const sizes = (
      await fetch('--compressed', '-o', '/dev/null', '-w', '%{size_download}', `${url}/log/tile/entries/000`)
    ).toString();
    expect(Number(sizes)).toBeLessThan((await get('/log/tile/entries/000')).body.length / 2);
  });
});

describe('what operators see of the log face', () => {
  test('are templates of its routes, never paths', async () => {
    await grow(10);
    for (const path of [
      '/log/checkpoint',
      '/log/key',
      '/log/tile/0/000.p/7',
      '/log/tile/entries/000.p/3',
      '/log/secret',
    ]) {
      await get(path);
    }
    await get('/log/tile/0/009');
    expect(observed.map(({ route, status, reason }) => [route, status, reason])).toEqual([
      ['/log/checkpoint', 200, undefined],
      ['/log/key', 200, undefined],
      ['/log/tile/{level}/{index}', 200, undefined],
      ['/log/tile/entries/{index}', 200, undefined],
      ['unknown', 404, 'route.unknown'],
      ['/log/tile/{level}/{index}', 404, 'resource.unknown'],
    ]);
    const shown = lines.map(({ fields }) => ({ ...fields, request_id: '' }));
    expect(JSON.stringify(shown)).not.toMatch(/\/000|\/009|secret/);
  });
});

describe('a log that lacks what was seen of it elsewhere', () => {
  test('is not published, but for its key', async () => {
    await grow(3);
    const refuse = () => Promise.reject(new RolledBackError('seen elsewhere'));
    published.logHead = refuse;
    published.checkpoint = refuse;
    for (const path of ['/log/checkpoint', '/log/tile/0/000.p/1', '/log/tile/entries/000.p/1']) {
      const answer = await get(path);
      expect([answer.status, answer.headers['cache-control']]).toEqual([503, 'no-store']);
      expect(JSON.parse(answer.body.toString())).toMatchObject({
        reason: 'store.integrity',
        detail: expect.stringContaining('portcullis log accept-rollback') as unknown,
      });
    }
    expect((await get('/log/key')).status).toBe(200);
  });
});

describe('a store that fails', () => {
  test('is 503, with nothing of the fault in it', async () => {
    await grow(3);
    published.logHashes = async () => [];
    published.checkpoint = () => Promise.reject(new Error('the secret of the fault'));
    expect((await get('/log/tile/0/000.p/2')).status).toBe(503);
    const answer = await get('/log/checkpoint');
    expect([answer.status, answer.body.toString().includes('secret')]).toEqual([500, false]);
  });
});

describe('a flood of requests for tiles', () => {
  test('leaves the event loop a turn between any two of them', async () => {
    await grow(255);
    let turn = 0;
    let flooded = true;
    const count = (): void => {
      turn++;
      if (flooded) setImmediate(count);
    };
    count();
    const turns: number[] = [];
    published.logEntries = (start, many) => {
      turns.push(turn);
      return store.logEntries(start, many);
    };
    const answers = await Promise.all(Array.from({ length: 64 }, () => get('/log/tile/entries/000')));
    flooded = false;
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(new Set(turns).size).toBe(64);
  });

  test('is answered with 429 beyond what may wait, and is served again afterwards', async () => {
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    published.logHead = async () => {
      await gate;
      return store.logHead();
    };
    const asked = Array.from({ length: 1100 }, () => get('/log/tile/0/000.p/1'));
    while (observed.length < 75) await new Promise((resolve) => setImmediate(resolve));
    open();
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    // One is under way and 1024 wait.
    expect([statuses.filter((each) => each === 200).length, statuses.filter((each) => each === 429).length]).toEqual([
      1025, 75,
    ]);
    expect((await get('/log/tile/0/000.p/1')).status).toBe(200);
  }, 60_000);
});
