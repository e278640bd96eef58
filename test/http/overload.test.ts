import { afterEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Level, LoadObserver, Shed } from '../../src/http/ports.js';
import { accept } from '../../src/reason/reason.js';
import { challenge, fakeBroker, released, releaseRequest, TOKENS } from './fake-broker.js';
import { type Answer, ask, raw, type Running, start } from './harness.js';
import { createAuthority } from './pki.js';

const running: Running[] = [];
const serve = async (...given: Parameters<typeof start>): Promise<Running> => {
  const one = await start(...given);
  running.push(one);
  return one;
};
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
});

const GREEDY = '127.0.0.1';
const MODEST = '127.0.0.2';
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function observer() {
  const shed: Shed[] = [];
  const waits: number[] = [];
  const levels = new Map<Level, () => number>();
  const load: LoadObserver = {
    shed: (what) => void shed.push(what),
    waited: (milliseconds) => void waits.push(milliseconds),
    level: (of, read) => void levels.set(of, read),
  };
  return { load, shed, waits, level: (of: Level) => levels.get(of)?.() };
}

/** A broker whose releases keep the event loop busy for so many ms. */
function busyBroker(costMs: number) {
  return fakeBroker({
    release: async () => {
      const until = performance.now() + costMs;
      while (performance.now() < until);
      return accept(released);
    },
  });
}

/** A broker whose releases wait until they are let go. */
function waitingBroker() {
  let letGo = (): void => undefined;
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  const broker = fakeBroker({ release: () => gate.then(() => accept(released)) });
  return { broker, letGo: () => letGo() };
}

const release = (one: Running, localAddress = GREEDY, agent?: Agent) =>
  ask(`${one.url}/v1/releases`, {
    method: 'POST',
    body: releaseRequest,
    tls: { localAddress, ...(agent === undefined ? {} : { agent }) },
  });

async function timed<T>(work: Promise<T>): Promise<readonly [value: T, milliseconds: number]> {
  const startedMs = performance.now();
  return [await work, performance.now() - startedMs];
}

describe('more releases than can be done', () => {
  test('are refused at once with 503 and Retry-After, and those let in are answered in bounded time', async () => {
    const { load, shed, waits } = observer();
    const one = await serve({
      broker: busyBroker(2),
      native: { load, hotLimits: { turnMs: 10, maxWaitMs: 100, unhurried: 10 } },
    });
    const agent = new Agent({ keepAlive: true });
    const answers: Answer[] = [];
    const client = async (requests: number): Promise<void> => {
      for (let i = 0; i < requests; i++) answers.push(await release(one, GREEDY, agent));
    };
    // All at once they would take the broker over a second, and the last of them would wait for that long.
    await Promise.all(Array.from({ length: 300 }, () => client(3)));
    agent.destroy();
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.length).toBeGreaterThan(10);
    for (const { status, json, headers } of refused) {
      expect([status, json['reason'], headers['retry-after']]).toEqual([503, 'store.unavailable', '5']);
    }
    expect(new Set(shed)).toEqual(new Set(['request.overload']));
    const admitted = answers.length - refused.length;
    expect(one.broker.calls.filter(({ method }) => method === 'release')).toHaveLength(admitted);
    expect(admitted).toBeGreaterThan(20);
    waits.sort((a, b) => a - b);
    // The clients run in this process too, in the same turns, which is what most of the bound is for.
    expect(waits[Math.floor(waits.length * 0.99)]).toBeLessThan(2000);
    expect((await release(one)).status).toBe(200);
  });

  test('are refused before their body is looked at, and for a small part of what one costs', async () => {
    const { broker, letGo } = waitingBroker();
    const one = await serve({ broker, native: { hotLimits: { places: 5 } } });
    const held = Array.from({ length: 4 }, () => release(one));
    while (broker.calls.length < 4) await turn();
    const answer = await ask(`${one.url}/v1/releases`, {
      method: 'POST',
      body: '{ this is no JSON',
      tls: { localAddress: GREEDY },
    });
    expect([answer.status, answer.json['reason'], answer.headers['retry-after']]).toEqual([
      429,
      'request.rate_limited',
      '1',
    ]);
    letGo();
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect((await release(one)).status).toBe(200);
  });

  test('health, readiness, metrics and administration answer all the while', async () => {
    const { broker, letGo } = waitingBroker();
    const one = await serve({ broker, native: { hotLimits: { places: 10 } } });
    const held = [...Array.from({ length: 8 }, () => release(one)), release(one, MODEST), release(one, '127.0.0.3')];
    while (broker.calls.length < 10) await turn();
    expect((await release(one, '127.0.0.4')).status).toBe(503);
    for (const path of ['/healthz', '/readyz', '/metrics', '/openapi.json', '/v1/keys']) {
      expect((await ask(one.url + path, { token: TOKENS.auditor })).status).toBe(200);
    }
    letGo();
    await Promise.all(held);
  });

  test('a client that goes away leaves its place to others', async () => {
    const { load, level } = observer();
    const { broker, letGo } = waitingBroker();
    const one = await serve({ broker, native: { load, hotLimits: { places: 5 } } });
    const text = JSON.stringify(releaseRequest);
    const head = `POST /v1/releases HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${String(text.length)}\r\n\r\n`;
    const sockets = Array.from({ length: 4 }, () => connect(one.port, GREEDY).on('error', () => undefined));
    for (const socket of sockets) socket.write(head + text);
    while (broker.calls.length < 4) await turn();
    expect(level('requests_under_way')).toBe(4);
    for (const socket of sockets) socket.destroy();
    letGo();
    while (level('requests_under_way') !== 0) await turn();
    expect((await release(one)).status).toBe(200);
  });
});

describe('fair shares', () => {
  test('a source that holds all it may is refused with 429, and another one is not', async () => {
    const { load, shed } = observer();
    const { broker, letGo } = waitingBroker();
    const one = await serve({ broker, native: { load, hotLimits: { places: 50 } } });
    const greedy = Array.from({ length: 60 }, () => release(one));
    while (broker.calls.length + shed.length < 60) await turn();
    expect(broker.calls).toHaveLength(40);
    const modest = Array.from({ length: 5 }, () => release(one, MODEST));
    while (broker.calls.length < 45) await turn();
    letGo();
    const statuses = (await Promise.all(greedy)).map(({ status }) => status);
    expect([statuses.filter((each) => each === 200).length, statuses.filter((each) => each === 429).length]).toEqual([
      40, 20,
    ]);
    expect((await Promise.all(modest)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(new Set(shed)).toEqual(new Set(['request.share']));
  });

  test('beside a source that floods, one that asks for little is always answered, and sooner', async () => {
    const one = await serve({
      broker: busyBroker(2),
      native: { hotLimits: { turnMs: 10, maxWaitMs: 200, unhurried: 20 } },
    });
    const agent = new Agent({ keepAlive: true });
    let over = false;
    const waits: number[] = [];
    const flood = Array.from({ length: 150 }, async () => {
      while (!over) {
        const [answer, ms] = await timed(release(one, GREEDY, agent));
        if (answer.status === 200) waits.push(ms);
      }
    });
    while (waits.length < 50) await turn();
    const modest: number[] = [];
    for (let i = 0; i < 10; i++) {
      const [answer, ms] = await timed(release(one, MODEST));
      expect(answer.status).toBe(200);
      modest.push(ms);
    }
    over = true;
    await Promise.all(flood);
    agent.destroy();
    const median = (all: number[]) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? NaN;
    expect(median(modest)).toBeLessThan(median(waits) * 1.5);
  });
});

describe('connections', () => {
  async function open(one: Running, localAddress: string): Promise<Socket> {
    const socket = connect({ port: one.port, host: '127.0.0.1', localAddress });
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  }
  const closed = async (socket: Socket): Promise<void> => {
    socket.resume();
    if (!socket.destroyed) await once(socket, 'close');
  };

  test('a source that has its share of them gets a new one for its longest idle one', async () => {
    const { load, shed, level } = observer();
    const one = await serve({ listen: { load, limits: { maxConnections: 10 } } });
    const sockets: Socket[] = [];
    for (let i = 0; i < 8; i++) sockets.push(await open(one, GREEDY));
    while (level('connections') !== 8) await turn();
    sockets.push(await open(one, GREEDY));
    await closed(sockets[0]!);
    expect((await ask(`${one.url}/healthz`, { tls: { localAddress: MODEST } })).status).toBe(200);
    while (level('connections') !== 8) await turn();
    expect(shed).toEqual(['connection.idle']);
    expect(sockets.filter((each) => each.destroyed)).toEqual([sockets[0]]);
    for (const socket of sockets) socket.destroy();
  });

  test('where none are left, the idle ones of whoever has the most make room', async () => {
    const { load, shed, level } = observer();
    const one = await serve({ listen: { load, limits: { maxConnections: 10 } } });
    const greedy: Socket[] = [];
    for (let i = 0; i < 8; i++) greedy.push(await open(one, GREEDY));
    const others = [await open(one, MODEST), await open(one, '127.0.0.3')];
    while (level('connections') !== 10) await turn();
    expect((await ask(`${one.url}/healthz`, { tls: { localAddress: '127.0.0.4' } })).status).toBe(200);
    await closed(greedy[0]!);
    expect(others.map((each) => each.destroyed)).toEqual([false, false]);
    expect(new Set(shed)).toEqual(new Set(['connection.idle']));
    for (const socket of [...greedy, ...others]) socket.destroy();
  });

  test('one with a request under way is never closed for another; the newcomer is refused', async () => {
    const { load, shed } = observer();
    const { broker, letGo } = waitingBroker();
    const one = await serve({ broker, listen: { load, limits: { maxConnections: 5 } } });
    const busy = Array.from({ length: 4 }, () => release(one));
    while (broker.calls.length < 4) await turn();
    await expect(ask(`${one.url}/healthz`)).rejects.toMatchObject({
      code: expect.stringMatching(/ECONNRESET|EPIPE/),
    });
    expect((await ask(`${one.url}/healthz`, { tls: { localAddress: MODEST } })).status).toBe(200);
    letGo();
    expect((await Promise.all(busy)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(shed).toEqual(['connection.share']);
  });

  test('one that has been used is idle again after its answer', async () => {
    const { load, level } = observer();
    const one = await serve({ listen: { load, limits: { maxConnections: 5 } } });
    const socket = await open(one, GREEDY);
    socket.write('GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n');
    await once(socket, 'data');
    const others: Socket[] = [];
    for (let i = 0; i < 3; i++) others.push(await open(one, GREEDY));
    while (level('connections') !== 4) await turn();
    others.push(await open(one, GREEDY));
    await closed(socket);
    for (const other of others) other.destroy();
  });

  test('more requests ahead of their answers than 16 close it, and cost no further call', async () => {
    const { load, shed } = observer();
    const { broker, letGo } = waitingBroker();
    const one = await serve({ broker, listen: { load } });
    const text = JSON.stringify(releaseRequest);
    const each = `POST /v1/releases HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${String(text.length)}\r\n\r\n${text}`;
    expect(await raw(one.port, each.repeat(100))).toBe('');
    expect(shed).toEqual(['connection.pipelined']);
    expect(broker.calls.length).toBeLessThanOrEqual(16);
    letGo();
    while (one.observed.length === 0) await turn();
    expect((await ask(`${one.url}/healthz`)).status).toBe(200);
  });

  test('a client that does not take its answers is cut off', async () => {
    const { load, shed } = observer();
    const one = await serve({ listen: { load, limits: { stallTimeoutMs: 100, checkIntervalMs: 20 } } });
    const socket = connect({ port: one.port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    // Never read: what the operating system does not take waits in the broker.
    socket.pause();
    const cutOff = (): boolean => shed.length > 0;
    for (let sent = 1; !cutOff(); sent++) {
      socket.write('GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n');
      while (one.observed.length < sent && !cutOff()) await turn();
    }
    socket.destroy();
    expect(new Set(shed)).toEqual(new Set(['connection.stalled']));
  });

  test('many slow writers take neither places nor patience from others, and are cut off in time', async () => {
    const { load, level } = observer();
    const one = await serve({
      native: { load, hotLimits: { places: 10 } },
      listen: { load, limits: { headersTimeoutMs: 200, requestTimeoutMs: 500, checkIntervalMs: 50 } },
    });
    const slow = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const socket = await open(one, GREEDY);
        socket.write(
          'POST /v1/releases HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 4096\r\n\r\n{"nonce":"',
        );
        return socket;
      }),
    );
    while ((level('body_bytes') ?? 0) < 200 * 10) await turn();
    expect(level('requests_under_way')).toBe(0);
    for (const address of [GREEDY, MODEST]) expect((await release(one, address)).status).toBe(200);
    await Promise.all(slow.map(closed));
    while (level('connections') !== 0) await turn();
    expect(level('body_bytes')).toBe(0);
  });
});

describe('other routes', () => {
  const WATCHED = ['/healthz', '/readyz', '/metrics', '/openapi.json'];
  const listKeys = (one: Running, localAddress = GREEDY, agent?: Agent) =>
    ask(`${one.url}/v1/keys`, {
      token: TOKENS.auditor,
      tls: { localAddress, ...(agent === undefined ? {} : { agent }) },
    });
  const valueOfKeys = async () => {
    const listed = await fakeBroker().listKeys({});
    if (!listed.ok) throw new Error(listed.detail);
    return listed.value;
  };

  /** A broker whose lists of keys wait until they are let go. */
  function waitingLists() {
    let letGo = (): void => undefined;
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    const broker = fakeBroker({ listKeys: () => gate.then(() => accept({ items: [] })) });
    return { broker, letGo: () => letGo() };
  }

  test('take turns too, so that a source that floods one of them is refused and others answer', async () => {
    const { broker, letGo } = waitingLists();
    const one = await serve({ broker });
    const agent = new Agent({ keepAlive: true });
    const statuses: (number | undefined)[] = [];
    const asked = Array.from({ length: 900 }, () =>
      listKeys(one, GREEDY, agent).then(({ status }) => statuses.push(status)),
    );
    while (statuses.length < 20) await turn();
    expect(new Set(statuses)).toEqual(new Set([429]));
    expect((await ask(`${one.url}/v1/tokens`, { token: TOKENS.admin, tls: { localAddress: MODEST } })).status).toBe(
      200,
    );
    expect((await release(one)).status).toBe(200);
    letGo();
    await Promise.all(asked);
    agent.destroy();
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(700);
    expect((await listKeys(one)).status).toBe(200);
  });

  test('health, readiness, metrics and the description need none of their places', async () => {
    const { broker, letGo } = waitingLists();
    const one = await serve({ broker, native: { otherLimits: { places: 5 } } });
    const held = [...Array.from({ length: 4 }, () => listKeys(one)), listKeys(one, MODEST)];
    while (broker.calls.filter(({ method }) => method === 'listKeys').length < 5) await turn();
    expect((await listKeys(one, '127.0.0.4')).status).toBe(503);
    for (const localAddress of [GREEDY, '127.0.0.4']) {
      for (const path of [...WATCHED, '/openapi.json?']) {
        for (const method of ['GET', 'HEAD']) {
          expect((await ask(one.url + path, { method, tls: { localAddress } })).status).toBe(200);
        }
      }
    }
    letGo();
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  });

  test('a source that floods readiness while that hangs is refused beyond 32, and nobody else, however many flood', async () => {
    let letGo = (): void => undefined;
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    const { load, shed, level } = observer();
    const one = await serve({ broker: fakeBroker({ ready: () => gate }), native: { load } });
    const sources = Array.from({ length: 30 }, (_, at) => `127.0.1.${String(at + 1)}`);
    const statuses: number[] = [];
    const asked = sources.flatMap((localAddress) =>
      Array.from({ length: 40 }, () =>
        ask(`${one.url}/readyz`, { tls: { localAddress } }).then(({ status }) => statuses.push(status)),
      ),
    );
    while (shed.length < 30 * 8) await turn();
    expect(level('requests_under_way')).toBe(30 * 32);
    for (const path of WATCHED.filter((each) => each !== '/readyz')) {
      expect((await ask(one.url + path, { tls: { localAddress: MODEST } })).status).toBe(200);
    }
    expect((await listKeys(one, MODEST)).status).toBe(200);
    letGo();
    await Promise.all(asked);
    expect(statuses.filter((status) => status === 429)).toHaveLength(30 * 8);
    expect(statuses.filter((status) => status === 200)).toHaveLength(30 * 32);
    expect(level('requests_under_way')).toBe(0);
  });

  test('a place is given back with the answer, and not when the client has sent the body that nobody reads', async () => {
    const { load, shed, level } = observer();
    const one = await serve({ native: { load, otherLimits: { places: 5 } } });
    const sockets: Socket[] = [];
    for (let source = 1; source <= 5; source++) {
      for (let i = 0; i < 4; i++) {
        const socket = connect({ port: one.port, host: '127.0.0.1', localAddress: `127.0.2.${String(source)}` });
        socket.on('error', () => undefined);
        socket.write('POST /v1/none HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1000\r\n\r\nx');
        const [answer] = (await once(socket, 'data')) as [Buffer];
        expect(answer.toString('latin1')).toMatch(/^HTTP\/1\.1 404 /);
        sockets.push(socket);
      }
    }
    expect(level('requests_under_way')).toBe(0);
    for (const path of ['/v1/keys', ...WATCHED]) {
      const answer = await ask(one.url + path, { token: TOKENS.auditor, tls: { localAddress: MODEST } });
      expect([path, answer.status]).toEqual([path, 200]);
    }
    expect(shed).toEqual([]);
    // The answers are not taken away from clients that still send.
    expect(sockets.map((socket) => socket.destroyed)).toEqual(sockets.map(() => false));
    for (const socket of sockets) socket.destroy();
  });

  test('a large answer keeps its place until the client has taken it', async () => {
    const { load, level } = observer();
    const item = { ...(await valueOfKeys()).items[0]!, name: 'k'.repeat(1024 * 1024) };
    const one = await serve({
      broker: fakeBroker({ listKeys: async () => accept({ items: Array.from({ length: 48 }, () => item) }) }),
      native: { load },
    });
    const socket = connect(one.port, GREEDY);
    socket.on('error', () => undefined);
    socket.write(`GET /v1/keys HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${TOKENS.auditor}\r\n\r\n`);
    await once(socket, 'readable');
    for (let i = 0; i < 100; i++) await turn();
    expect(level('requests_under_way')).toBe(1);
    socket.resume();
    while (level('requests_under_way') !== 0) await turn();
    expect(socket.destroyed).toBe(false);
    socket.destroy();
  });

  test('places are given back when pipelined requests lose their connection', async () => {
    const { load, level } = observer();
    let letGo = (): void => undefined;
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    const one = await serve({ broker: fakeBroker({ ready: () => gate }), native: { load } });
    const socket = connect(one.port, GREEDY);
    socket.on('error', () => undefined);
    socket.write('GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(12));
    while (level('requests_under_way') !== 12) await turn();
    socket.destroy();
    while (level('requests_under_way') !== 0) await turn();
    letGo();
  });
});

test('over TLS connections are counted and shared just so', async () => {
  const { load, shed, level } = observer();
  const { broker, letGo } = waitingBroker();
  const authority = createAuthority('Test CA');
  const server = authority.issue('localhost');
  const one = await serve({ broker, listen: { load, tls: server, limits: { maxConnections: 5 } } });
  const tls = { ca: authority.cert };
  const busy = Array.from({ length: 3 }, () =>
    ask(`${one.url}/v1/releases`, { method: 'POST', body: releaseRequest, tls }),
  );
  while (broker.calls.length < 3) await turn();
  const idle = connect(one.port, GREEDY);
  idle.on('error', () => undefined);
  while (level('connections') !== 4) await turn();
  const more = await ask(`${one.url}/v1/challenges`, {
    method: 'POST',
    body: { deployment: challenge.deployment, key: challenge.key },
    tls,
  });
  letGo();
  expect([more.status, shed[0]]).toEqual([201, 'connection.idle']);
  expect((await Promise.all(busy)).map(({ status }) => status)).toEqual([200, 200, 200]);
  while (level('connections') !== 0) await turn();
});
