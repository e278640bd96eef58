import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from '@jest/globals';
import { directorySource } from '../../src/audit/directory-source.js';
import { httpSource } from '../../src/audit/http-source.js';
import { type LogSource, LogSourceError } from '../../src/audit/source.js';
import { genuineEntries, logFiles, serveFiles, SIGNER, writeFiles } from './sample-log.js';

const FILES = logFiles(genuineEntries(7));
const BUNDLE = { level: 'entries', index: 0, width: 7 } as const;
const TILE = { level: 0, index: 0, width: 7 } as const;

const root = mkdtempSync(join(tmpdir(), 'portcullis-audit-'));
afterAll(() => rmSync(root, { recursive: true }));

async function failureOf(reading: Promise<unknown>): Promise<string> {
  const error = await reading.then(
    () => new Error('it was read'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof LogSourceError)) throw error;
  return `${error.failure}: ${error.message}`;
}

/** Reads from a server that gives this answer to everything. */
async function withAnswer<T>(
  answer: (response: ServerResponse) => void,
  read: (source: LogSource) => Promise<T>,
  timeoutMs = 5_000,
): Promise<T> {
  const served = await serveFiles(new Map(), (_path, _request, response) => {
    answer(response);
    return true;
  });
  const source = httpSource({ url: served.url, timeoutMs });
  try {
    return await read(source);
  } finally {
    await source.close();
    await served.close();
  }
}

describe('a log over HTTP', () => {
  test('gives checkpoint, tiles, bundles and key, each from its path', async () => {
    const served = await serveFiles(FILES);
    const source = httpSource({ url: new URL(`${served.url.href}/`) });
    try {
      expect(await source.checkpoint()).toBe(FILES.get('checkpoint')!.toString());
      expect(await source.tile(TILE)).toEqual(FILES.get('tile/0/000.p/7'));
      expect(await source.tile(BUNDLE)).toEqual(FILES.get('tile/entries/000.p/7'));
      expect(await source.verifierKey()).toBe(SIGNER.verifierKey);
      expect(served.requests).toEqual(['checkpoint', 'tile/0/000.p/7', 'tile/entries/000.p/7', 'key']);
      expect(await failureOf(source.tile({ ...TILE, index: 1234067 }))).toBe(
        'absent: tile/0/x001/x234/067.p/7 is missing (404)',
      );
    } finally {
      await source.close();
      await served.close();
    }
  });

  test('may be compressed with gzip, and cannot grow beyond what it can be', async () => {
    const bundle = FILES.get('tile/entries/000.p/7')!;
    const gzip = (content: Buffer) => (response: ServerResponse) => {
      response.writeHead(200, { 'content-encoding': 'gzip' });
      response.end(content);
    };
    const read = (source: LogSource) => source.tile(BUNDLE);
    expect(await withAnswer(gzip(gzipSync(bundle)), read)).toEqual(bundle);
    const bomb = gzipSync(Buffer.alloc(10_000_000));
    expect(await withAnswer(gzip(bomb), (source) => failureOf(read(source)))).toMatch(/^unfit: .* is larger than/);
    const cut = gzipSync(bundle).subarray(0, 100);
    expect(await withAnswer(gzip(cut), (source) => failureOf(read(source)))).toMatch(/^unfit: .*gzip/);
    const other = (response: ServerResponse) => {
      response.writeHead(200, { 'content-encoding': 'br' });
      response.end(bundle);
    };
    expect(await withAnswer(other, (source) => failureOf(read(source)))).toMatch(/^unfit: .*encoding/);
  });

  test('of endless answers is cut off at what a file can have', async () => {
    let sent = 0;
    const endless = (response: ServerResponse) => {
      const chunk = Buffer.alloc(64 * 1024);
      const more = (): void => {
        if (response.destroyed) return;
        sent += chunk.length;
        response.write(chunk, () => setImmediate(more));
      };
      more();
    };
    for (const read of [
      (source: LogSource) => source.checkpoint(),
      (source: LogSource) => source.tile(TILE),
      (source: LogSource) => source.verifierKey(),
    ]) {
      expect(await withAnswer(endless, (source) => failureOf(read(source)))).toMatch(
        /^unfit: .* is larger than \d+ bytes/,
      );
    }
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  test('that does not answer in time, or not to the end, is unreachable', async () => {
    const silent = () => undefined;
    const halfway = (response: ServerResponse) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('x');
    };
    const broken = (response: ServerResponse) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('x', () => response.destroy());
    };
    const read = (source: LogSource) => failureOf(source.tile(BUNDLE));
    expect(await withAnswer(silent, read, 100)).toBe('unreachable: no answer within 100 ms');
    expect(await withAnswer(halfway, read, 100)).toBe('unreachable: no answer within 100 ms');
    expect(await withAnswer(broken, read)).toMatch(/^unreachable: /);
    const nobody = httpSource({ url: new URL('http://127.0.0.1:1/log') });
    expect(await failureOf(nobody.checkpoint())).toBe('unreachable: connection refused');
    await nobody.close();
  });

  test('is not followed elsewhere, and says what other statuses mean', async () => {
    const status = (code: number, headers: Record<string, string> = {}, body = '') =>
      withAnswer(
        (response) => {
          response.writeHead(code, headers);
          response.end(body);
        },
        (source) => failureOf(source.checkpoint()),
      );
    expect(await status(302, { location: 'http://127.0.0.1:1/' })).toMatch(/^unfit: it answered 302 .*not followed/);
    expect(await status(400)).toMatch(/^unfit: it answered 400/);
    expect(await status(410)).toMatch(/^absent: /);
    expect(await status(503)).toMatch(/^unreachable: it answered 503/);
    expect(await status(429)).toMatch(/^unreachable: it answered 429/);
    const problem = { 'content-type': 'application/problem+json' };
    const document = JSON.stringify({ reason: 'store.integrity', detail: 'the log was cut' });
    expect(await status(503, problem, document)).toBe('refused: the log was cut');
    expect(await status(503, problem, '{"reason":7}')).toMatch(/^unreachable: /);
    expect(await status(400, problem, 'null')).toMatch(/^unfit: /);
    expect(await status(400, problem, '{')).toMatch(/^unfit: /);
  });

  test('whose checkpoint is not UTF-8 is unfit', async () => {
    const bytes = (response: ServerResponse) => void response.end(Buffer.of(0xff, 0xfe));
    expect(await withAnswer(bytes, (source) => failureOf(source.checkpoint()))).toBe('unfit: checkpoint is not UTF-8');
  });
});

describe('a log in a directory', () => {
  test('gives checkpoint, tiles, bundles and key', async () => {
    const directory = join(root, 'log');
    writeFiles(directory, new Map([...FILES, ['log-key', Buffer.from(`${SIGNER.verifierKey}\n`)]]));
    const source = directorySource(directory);
    expect(await source.checkpoint()).toBe(FILES.get('checkpoint')!.toString());
    expect(await source.tile(TILE)).toEqual(FILES.get('tile/0/000.p/7'));
    expect(await source.tile(BUNDLE)).toEqual(FILES.get('tile/entries/000.p/7'));
    expect(await source.verifierKey()).toBe(SIGNER.verifierKey);
    expect(await failureOf(source.tile({ ...TILE, width: 6 }))).toBe('absent: tile/0/000.p/6 is missing');
    await source.close();
  });

  test('of which something is no regular file, or larger than it can be, is unfit; a FIFO is not waited for', async () => {
    const directory = join(root, 'odd');
    mkdirSync(join(directory, 'tile/0/000.p/7'), { recursive: true });
    mkdirSync(join(directory, 'tile/entries/000.p'), { recursive: true });
    execFileSync('mkfifo', [join(directory, 'tile/entries/000.p/7')]);
    writeFileSync(join(directory, 'checkpoint'), Buffer.alloc(1024 * 1024));
    writeFileSync(join(directory, 'log-key'), Buffer.alloc(2000));
    const source = directorySource(directory);
    expect(await failureOf(source.tile(TILE))).toBe('unfit: tile/0/000.p/7 is not a regular file');
    expect(await failureOf(source.tile(BUNDLE))).toBe('unfit: tile/entries/000.p/7 is not a regular file');
    expect(await failureOf(source.checkpoint())).toMatch(/^unfit: checkpoint is larger than/);
    expect(await failureOf(source.verifierKey())).toMatch(/^unfit: log-key is larger than/);
    writeFileSync(join(root, 'file'), '');
    expect(await failureOf(directorySource(join(root, 'file')).checkpoint())).toBe('absent: checkpoint is missing');
  });
});
