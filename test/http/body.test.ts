import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { BodyBudget, READ_OFF_BYTES } from '../../src/http/body.js';
import type { LoadObserver, Shed } from '../../src/http/ports.js';
import { accept } from '../../src/reason/reason.js';
import { challenge, fakeBroker, releaseRequest, TOKENS } from './fake-broker.js';
import { ask, raw, type Running, start } from './harness.js';

const LIMIT = 64 * 1024;
let running: Running;
beforeAll(async () => {
  running = await start({ native: { bodyBytes: LIMIT } });
});
afterAll(() => running.stop());
beforeEach(() => {
  running.broker.calls.length = 0;
});

const post = (body: string | Uint8Array, headers: Record<string, string> = {}) =>
  ask(`${running.url}/v1/challenges`, { method: 'POST', body, headers });

async function expectMalformed(body: string | Uint8Array, headers: Record<string, string> = {}) {
  const answer = await post(body, headers);
  expect([answer.status, answer.json['reason']]).toEqual([400, 'request.malformed']);
  expect(running.broker.calls).toEqual([]);
  return answer;
}

/** A challenge request of exactly `length` bytes, in spaces. */
function padded(length: number): string {
  const body = JSON.stringify({ deployment: 'llm', key: 'weights' });
  return body + ' '.repeat(length - body.length);
}

function chunked(path: string, chunks: readonly string[]): string {
  const head = `POST ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`;
  return `${head}${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`;
}

describe('the size of a body', () => {
  test('may be the limit, and not one byte more, declared or chunked', async () => {
    expect((await post(padded(LIMIT))).status).toBe(201);
    const declared = await post(padded(LIMIT + 1));
    expect([declared.status, declared.json['reason']]).toEqual([413, 'request.too_large']);

    expect(await raw(running.port, chunked('/v1/challenges', [padded(LIMIT)]))).toMatch(/^HTTP\/1\.1 201 /);
    const split = [padded(LIMIT), ' '];
    const refused = await raw(running.port, chunked('/v1/challenges', split));
    expect(refused).toMatch(/^HTTP\/1\.1 413 /);
    expect(refused).toContain('"reason":"request.too_large"');
    expect(running.broker.calls).toHaveLength(2);
  });

  test('over the limit, the rest is read off, and the connection serves the next request', async () => {
    const socket = connect(running.port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    const head = (length: number) =>
      `POST /v1/challenges HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${String(length)}\r\n`;
    const large = padded(3 * 1024 * 1024);
    socket.write(`${head(large.length)}\r\n${large}`);
    const small = padded(100);
    socket.write(`${head(small.length)}connection: close\r\n\r\n${small}`);
    await once(socket, 'close');
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 201']);
  });

  test('a declared size of many gigabytes is answered at once, before a byte of it is sent', async () => {
    const socket = connect(running.port, '127.0.0.1');
    socket.write(
      'POST /v1/releases HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n',
    );
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    expect(chunk.toString()).toMatch(/^HTTP\/1\.1 413 /);
    socket.destroy();
  });

  test.each([
    ['413', '/v1/challenges'],
    ['401', '/v1/keys'],
    ['404', '/nothing'],
  ])('after a %s no more than 16 MiB are read off before the socket is destroyed', async (status, path) => {
    const socket = connect(running.port, '127.0.0.1');
    let text = '';
    let sent = 0;
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    socket.on('error', () => undefined);
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${String(64 * 1024 * 1024)}\r\n\r\n`,
    );
    const block = Buffer.alloc(256 * 1024, 0x20);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const send = (): void => {
      while (!socket.destroyed && sent < 64 * 1024 * 1024) {
        sent += block.length;
        if (!socket.write(block)) {
          socket.once('drain', send);
          return;
        }
      }
    };
    send();
    await closed;
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(sent).toBeGreaterThan(READ_OFF_BYTES / 2);
    expect(sent).toBeLessThan(4 * READ_OFF_BYTES);
  });

  test('large bodies that stand still keep their source from sending more, and no other source, and no small body', async () => {
    const SIZE = 128 * 1024;
    const memory = 64 * SIZE;
    const shed: Shed[] = [];
    let bodyBytes = (): number => NaN;
    const load: LoadObserver = {
      shed: (what) => void shed.push(what),
      waited: () => undefined,
      level: (of, read) => {
        if (of === 'body_bytes') bodyBytes = read;
      },
    };
    const other = await start({ native: { load, bodyMemory: { small: memory, large: memory } } });
    const stalled: Socket[] = [];
    try {
      const almost = Buffer.alloc(SIZE - 1, 0x20);
      for (let i = 0; i < 70; i++) {
        const socket = connect(other.port, '127.0.0.1');
        stalled.push(socket.on('error', () => undefined));
        socket.write(
          `POST /v1/releases HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${String(SIZE)}\r\n\r\n`,
        );
        socket.write(almost);
      }
      const large = (localAddress: string) =>
        ask(`${other.url}/v1/challenges`, { method: 'POST', body: padded(SIZE), tls: { localAddress } }).then(
          ({ status, json, headers }) => [status, json['reason'], headers['retry-after']],
        );
      while ((await large('127.0.0.1'))[0] !== 429);
      expect(await large('127.0.0.1')).toEqual([429, 'request.rate_limited', '1']);
      expect(shed).toContain('body.share');
      expect(bodyBytes()).toBeGreaterThan(memory / 2);
      expect(bodyBytes()).toBeLessThanOrEqual(memory);
      expect(await large('127.0.0.2')).toEqual([201, undefined, undefined]);
      const small = await ask(`${other.url}/v1/releases`, { method: 'POST', body: releaseRequest });
      expect(small.status).toBe(200);

      // What they held is free again when they are gone.
      for (const socket of stalled) socket.destroy();
      while ((await large('127.0.0.1'))[0] !== 201);
      expect(bodyBytes()).toBe(0);
    } finally {
      for (const socket of stalled) socket.destroy();
      await other.stop();
    }
  });

  test('a body that comes a byte at a time is read whole, and takes the memory of its bytes', async () => {
    let bodyBytes = (): number => NaN;
    const load: LoadObserver = {
      shed: () => undefined,
      waited: () => undefined,
      level: (of, read) => {
        if (of === 'body_bytes') bodyBytes = read;
      },
    };
    const other = await start({ native: { load } });
    try {
      const text = padded(3000);
      const socket = connect({ port: other.port, host: '127.0.0.1', noDelay: true });
      socket.write(
        `POST /v1/challenges HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${String(text.length)}\r\n\r\n`,
      );
      let most = 0;
      for (const character of text) {
        socket.write(character);
        await new Promise((resolve) => setImmediate(resolve));
        most = Math.max(most, bodyBytes());
      }
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 201 /);
      expect(most).toBeGreaterThan(0);
      expect(most).toBeLessThanOrEqual(3000);
      expect(bodyBytes()).toBe(0);
    } finally {
      await other.stop();
    }
  });

  test('over the limit with connection: close, the answer arrives at once and the client may finish sending', async () => {
    const socket = connect(running.port, '127.0.0.1');
    const length = 3 * 1024 * 1024;
    let failed: unknown;
    socket.on('error', (error) => (failed = error));
    socket.write(
      `POST /v1/challenges HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${String(length)}\r\n\r\n`,
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 413 [^]*"reason":"request.too_large"/);
    const block = Buffer.alloc(64 * 1024, 0x20);
    for (let sent = 0; sent < length; sent += block.length) {
      await new Promise((resolve) => socket.write(block, resolve));
    }
    await once(socket, 'close');
    expect([failed, socket.bytesWritten > length]).toEqual([undefined, true]);
  });

  test('bodies of one kind under way share a budget', () => {
    const budget = new BodyBudget(10);
    expect([budget.take(6), budget.take(5), budget.take(4), budget.take(1)]).toEqual([true, false, true, false]);
    budget.give(4);
    expect(budget.take(4)).toBe(true);
  });
});

describe('the shape of a body', () => {
  const nested = (depth: number) =>
    `{"deployment":"llm","key":"weights","x":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;

  test('depth 33 is refused for its depth, depth 32 gets as far as the schema', async () => {
    expect((await expectMalformed(nested(33))).json['detail']).toContain('deeper');
    expect((await expectMalformed(nested(32))).json['detail']).toContain('unknown member x');
    await expectMalformed('['.repeat(LIMIT));
  });

  test.each([
    ['a member twice', '{"deployment":"llm","deployment":"llm","key":"weights"}'],
    ['a member twice, once with escapes', '{"deployment":"llm","\\u006bey":"a","key":"weights"}'],
    ['nothing', ''],
    ['white space', '  '],
    ['half of it', '{"deployment":"llm","key":'],
    ['something behind it', '{"deployment":"llm","key":"weights"}x'],
    ['two documents', '{"deployment":"llm","key":"weights"}{}'],
    ['a byte order mark', '\ufeff{"deployment":"llm","key":"weights"}'],
    ['single quotes', "{'deployment':'llm','key':'weights'}"],
    ['a comment', '{"deployment":"llm","key":"weights"}//'],
    ['null', 'null'],
    ['a list', '[]'],
    ['a string', '"x"'],
    ['a number', '1'],
  ])('%s is request.malformed', async (_what, body) => {
    await expectMalformed(body);
  });

  test('bytes that are not UTF-8 are request.malformed', async () => {
    await expectMalformed(Buffer.from('{"deployment":"\xff","key":"weights"}', 'latin1'));
  });

  test('no prefix of a request is accepted', async () => {
    const whole = JSON.stringify({ deployment: 'llm', key: 'weights' });
    for (let length = 0; length < whole.length; length++) await expectMalformed(whole.slice(0, length));
  });

  test.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf'])(
    'the member %s is unknown like any other, and changes no prototype',
    async (name) => {
      await expectMalformed(`{"deployment":"llm","key":"weights","${name}":{"polluted":true}}`);
      await expectMalformed(`{"${name}":{"deployment":"llm","key":"weights"}}`);
      const release = JSON.stringify(releaseRequest).replace('"evidence":{', `"evidence":{"${name}":{},`);
      const answer = await ask(`${running.url}/v1/releases`, { method: 'POST', body: release });
      expect([answer.status, answer.json['reason']]).toEqual([400, 'request.malformed']);
      expect(Object.prototype).not.toHaveProperty('polluted');
    },
  );

  test('a required member that only Object.prototype has does not count', async () => {
    const answer = await ask(`${running.url}/v1/deployments/llm`, {
      method: 'PUT',
      token: TOKENS.operator,
      body: '{"metadata":{"__proto__":{"name":"llm"}}}',
    });
    expect([answer.status, answer.json['reason']]).toEqual([400, 'request.malformed']);
  });
});

describe('the headers of a body', () => {
  const body = JSON.stringify({ deployment: 'llm', key: 'weights' });

  test.each(['application/json', 'application/json; charset=utf-8', 'APPLICATION/JSON;charset="UTF-8"'])(
    'content type %s is accepted',
    async (type) => {
      expect((await post(body, { 'content-type': type })).status).toBe(201);
    },
  );

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=a',
    'application/json; charset=utf-16',
    'application/json; profile=a',
    'application/json, text/plain',
    'application/jsonx',
    'application/problem+json',
    '',
  ])('content type %j is request.malformed', async (type) => {
    await expectMalformed(body, { 'content-type': type });
  });

  test.each(['gzip', 'br', 'deflate', 'identity, gzip', 'unknown'])(
    'content encoding %s is request.malformed',
    async (encoding) => {
      await expectMalformed(body, { 'content-encoding': encoding });
    },
  );

  test('content encoding identity is none', async () => {
    expect((await post(body, { 'content-encoding': 'identity' })).status).toBe(201);
  });

  test('transfer encodings other than chunked are request.malformed', async () => {
    const text = chunked('/v1/challenges', [body]).replace('chunked', 'gzip, chunked');
    expect(await raw(running.port, text)).toMatch(/^HTTP\/1\.1 400 /);
    expect(running.broker.calls).toEqual([]);
  });

  test('content length and transfer encoding at once never reach a use case', async () => {
    const text = chunked('/v1/challenges', [body]).replace(
      'transfer-encoding',
      `content-length: ${String(body.length)}\r\ntransfer-encoding`,
    );
    expect(await raw(running.port, text)).toMatch(/^HTTP\/1\.1 400 /);
    expect(running.broker.calls).toEqual([]);
  });

  test('a route without body refuses one', async () => {
    const answer = await ask(`${running.url}/v1/keys`, { token: TOKENS.auditor, body: '{}' });
    expect([answer.status, answer.json['reason']]).toEqual([400, 'request.malformed']);
  });

  test('a body that may be left out must be valid when it is there', async () => {
    const freeze = `${running.url}/v1/keys/a/freeze`;
    expect((await ask(freeze, { method: 'POST', token: TOKENS.operator })).status).toBe(200);
    expect((await ask(freeze, { method: 'POST', token: TOKENS.operator, body: {} })).status).toBe(200);
    for (const bad of ['[]', '{"x":1}', 'null', '{']) {
      const answer = await ask(freeze, { method: 'POST', token: TOKENS.operator, body: bad });
      expect([answer.status, answer.json['reason']]).toEqual([400, 'request.malformed']);
    }
  });
});

describe('a client that waits for 100 Continue', () => {
  const head = (length: number, path = '/v1/challenges') =>
    `POST ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${String(length)}\r\nexpect: 100-continue\r\n\r\n`;

  test('gets it when its body is wanted', async () => {
    const body = JSON.stringify({ deployment: 'llm', key: 'weights' });
    const text = await raw(running.port, head(body.length), body);
    expect(text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 /);
    expect(text).toContain(challenge.nonce);
  });

  test('gets the refusal instead when it is not', async () => {
    expect(await raw(running.port, head(LIMIT + 1))).toMatch(/^HTTP\/1\.1 413 /);
    expect(await raw(running.port, head(10, '/v1/keys'))).toMatch(/^HTTP\/1\.1 401 /);
  });
});

describe('a client that goes away', () => {
  test('in the middle of its body reaches no use case, and is logged as aborted', async () => {
    const socket = connect(running.port, '127.0.0.1');
    socket.write(
      'POST /v1/challenges HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"deploy',
    );
    const received = new Promise<void>((resolve) => {
      running.server.server.once('request', () => resolve());
    });
    await received;
    const before = running.observed.length;
    socket.destroy();
    while (running.observed.length === before) await new Promise((resolve) => setImmediate(resolve));
    expect(running.observed.at(-1)).toMatchObject({ route: '/v1/challenges', status: 'aborted' });
    expect(running.broker.calls).toEqual([]);
    expect(running.log.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('before its answer does not disturb the broker', async () => {
    let answerNow = (): void => undefined;
    const waiting = new Promise<void>((resolve) => (answerNow = resolve));
    let asked = (): void => undefined;
    const reached = new Promise<void>((resolve) => (asked = resolve));
    const broker = fakeBroker({
      issueChallenge: async () => {
        asked();
        await waiting;
        return accept(challenge);
      },
    });
    const other = await start({ broker });
    try {
      const body = JSON.stringify({ deployment: 'llm', key: 'weights' });
      const socket = connect(other.port, '127.0.0.1');
      socket.write(
        `POST /v1/challenges HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${String(body.length)}\r\n\r\n${body}`,
      );
      await reached;
      socket.destroy();
      while (other.observed.length === 0) await new Promise((resolve) => setImmediate(resolve));
      answerNow();
      expect((await ask(`${other.url}/healthz`)).status).toBe(200);
      expect(other.log.filter(({ level }) => level === 'error')).toEqual([]);
    } finally {
      await other.stop();
    }
  });
});
