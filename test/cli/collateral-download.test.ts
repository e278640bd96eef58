import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { DownloadError, Downloader, type DownloaderOptions } from '../../src/cli/collateral/download.js';

let server: Server | undefined;
let downloader: Downloader | undefined;
let paused: number[] = [];
let asked = 0;

afterEach(stop);

async function stop(): Promise<void> {
  await downloader?.close();
  await downloader?.close();
  const ended = server;
  server = undefined;
  if (ended === undefined) return;
  ended.closeAllConnections();
  await new Promise((resolve) => ended.close(resolve));
}

/** Asks a server that answers as the listener does; waits are noted, and not spent. */
async function get(listener: RequestListener, options: DownloaderOptions = {}) {
  await stop();
  paused = [];
  asked = 0;
  server = createServer((request, response) => {
    asked++;
    listener(request, response);
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/x?y=1`;
  downloader = new Downloader({ pause: (ms) => Promise.resolve(void paused.push(ms)), ...options });
  return downloader.get(url);
}

const busy =
  (status: number, retryAfter?: string): RequestListener =>
  (_, response) => {
    response.writeHead(status, retryAfter === undefined ? {} : { 'retry-after': retryAfter }).end();
  };
const busyThenGood =
  (times: number, retryAfter?: string): RequestListener =>
  (request, response) => {
    if (asked <= times) busy(429, retryAfter)(request, response);
    else response.end('good');
  };

describe('a download', () => {
  test('is the body, and the headers that came once', async () => {
    const { body, header } = await get((request, response) => {
      response
        .writeHead(200, { 'X-Chain': 'a%0Ab', 'set-cookie': ['a', 'b'] })
        .end(`${request.method ?? ''} ${request.url ?? ''}`);
    });
    expect(body.toString()).toBe('GET /x?y=1');
    expect([header('x-chain'), header('set-cookie'), header('other')]).toEqual(['a%0Ab', undefined, undefined]);
  });

  test('waits as it is told after 429, and tells it', async () => {
    const told: string[] = [];
    const { body } = await get(busyThenGood(2, '7'), { waiting: (why) => void told.push(why) });
    expect(body.toString()).toBe('good');
    expect(paused).toEqual([7000, 7000]);
    expect(told).toEqual(Array(2).fill('7 s, since it answered 429'));
  });

  test('waits longer each time where it is not told, or told a date', async () => {
    await get(busyThenGood(3));
    expect(paused).toEqual([2000, 4000, 8000]);
    await get(busyThenGood(1, 'Sun, 22 Nov 2026 15:00:00 GMT'));
    expect(paused).toEqual([2000]);
  });

  test('is given up after four attempts, or where the wait would be more than a minute in all', async () => {
    await expect(get(busy(503, '1'))).rejects.toThrow(new DownloadError('it answered 503, 4 times'));
    expect(asked).toBe(4);
    await expect(get(busy(429, '61'))).rejects.toThrow('it answered 429 and wants to be asked again in 61 s');
    expect([asked, paused]).toEqual([1, []]);
    await expect(get(busy(429, '31'))).rejects.toThrow('asked again in 31 s');
    expect([asked, paused]).toEqual([2, [31_000]]);
  });

  test.each([404, 500, 204])('that is answered %d is none, at once', async (status) => {
    await expect(get(busy(status))).rejects.toThrow(new DownloadError(`it answered ${String(status)}`));
    expect(asked).toBe(1);
  });

  test('follows no redirect', async () => {
    const redirect: RequestListener = (_, response) => void response.writeHead(302, { location: '/other' }).end();
    await expect(get(redirect)).rejects.toThrow('it answered 302');
    expect(asked).toBe(1);
  });

  test('is bounded in size', async () => {
    const large: RequestListener = (_, response) => void response.end(Buffer.alloc(8 * 1024 * 1024 + 1));
    await expect(get(large)).rejects.toThrow('more than 8388608 bytes');
  });

  test.each<[string, RequestListener]>([
    ['no answer', () => undefined],
    ['an answer that does not end', (_, response) => void response.writeHead(200).write('a')],
  ])('with %s ends in time', async (_, listener) => {
    await expect(get(listener, { timeoutMs: 50 })).rejects.toThrow('no answer within 0.05 s');
  });

  test('from where nobody listens says so', async () => {
    downloader = new Downloader();
    await expect(downloader.get('http://127.0.0.1:1/')).rejects.toThrow('it cannot be reached (ECONNREFUSED)');
  });
});
