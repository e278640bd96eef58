import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ServedBroker } from '../helpers/served-broker.js';
import { provision, sendRelease, type WireRequest, wireRequest } from '../helpers/wire-workload.js';

/** Connections of the flood, and requests that each has sent ahead: more than one source may have under way. */
const FLOOD = 200;
const AHEAD = 12;
const SLOW = 150;
const IDLE = 500;
const FLOODER = '127.0.0.2';
const MEBIBYTE = 1024 * 1024;

/** Node raises its own limit to the hard one, which is the one that counts. */
const openFiles = Number(execFileSync('bash', ['-c', 'ulimit -Hn']).toString().replace('unlimited', '1e9'));
const enough = openFiles > FLOOD + SLOW + IDLE + 500;
if (!enough) console.error('SKIPPED: not enough open files are allowed for a flood');

(enough ? describe : describe.skip)('a broker of which far more is asked than it can do', () => {
  let broker: ServedBroker;
  let machine: SimulatorAttester;
  beforeAll(async () => {
    broker = await ServedBroker.start();
    machine = await provision(broker);
  });
  afterAll(() => broker.close());

  const port = (): number => Number(new URL(broker.url).port);
  const rssMiB = (): number => {
    const pages = readFileSync(`/proc/${String(broker.process.pid)}/statm`, 'utf8').split(' ')[1];
    return (Number(pages) * 4096) / MEBIBYTE;
  };
  const open = (localAddress: string, bytes = ''): Socket => {
    const socket = connect({ port: port(), host: '127.0.0.1', localAddress });
    socket.on('error', () => undefined).on('data', () => undefined);
    if (bytes !== '') socket.write(bytes);
    return socket;
  };

  /** Clients that replay a release without end: each costs the broker all but a record, and the client nothing. */
  function flood(request: WireRequest) {
    const body = JSON.stringify(request);
    const one = `POST /v1/releases HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`;
    const bytes = one.repeat(AHEAD);
    const answers = new Map<string, number>();
    let retryAfter = 0;
    const sockets = Array.from({ length: FLOOD }, () => {
      const socket = open(FLOODER, bytes);
      let [tail, answered] = ['', 0];
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        const text = tail + chunk;
        // Too short for a whole match, so that nothing is counted twice.
        tail = text.slice(-11);
        for (const [, status = ''] of text.matchAll(/HTTP\/1\.1 (\d{3})/g)) {
          answers.set(status, (answers.get(status) ?? 0) + 1);
          answered++;
        }
        retryAfter += text.split('\r\nretry-after: ').length - 1;
        if (answered < AHEAD) return;
        answered -= AHEAD;
        socket.write(bytes);
      });
      return socket;
    });
    return {
      answers,
      refused: () => (answers.get('429') ?? 0) + (answers.get('503') ?? 0),
      retryAfter: () => retryAfter,
      stop: () => {
        for (const socket of sockets) socket.destroy();
      },
    };
  }

  /** So many complete releases of a well-behaved client, one after the other: the time of each in ms. */
  async function wellBehaved(count: number): Promise<number[]> {
    const times: number[] = [];
    for (let i = 0; i < count; i++) {
      const startedMs = performance.now();
      const answer = await sendRelease(broker, await wireRequest(broker, machine));
      expect([answer.status, answer.body['reason']]).toEqual([200, undefined]);
      times.push(performance.now() - startedMs);
    }
    return times.sort((a, b) => a - b);
  }

  test('refuses what is too much with 429 or 503 and Retry-After; others are served, in time, and memory is bounded', async () => {
    const unloaded = await wellBehaved(20);
    const spent = await wireRequest(broker, machine);
    expect((await sendRelease(broker, spent)).status).toBe(200);
    const flooding = flood(spent);
    try {
      while (flooding.refused() < 1000) await new Promise((resolve) => setImmediate(resolve));
      const loaded = await wellBehaved(20);
      for (const path of ['/healthz', '/readyz', '/metrics']) {
        expect((await broker.call('GET', path)).status).toBe(200);
      }
      await broker.admin('GET', '/v1/keys');
      // Flood, client and broker share the machine; without shares the client would wait behind all of the flood, or be refused.
      expect(loaded[10]).toBeLessThan(Math.max(40 * (unloaded[10] ?? 0), 2000));
      expect(rssMiB()).toBeLessThan(600);
    } finally {
      flooding.stop();
    }
    expect([...flooding.answers.keys()].filter((status) => !['403', '429', '503'].includes(status))).toEqual([]);
    expect(flooding.answers.get('403')).toBeGreaterThan(100);
    // But for an answer of each connection that was cut in two.
    expect(flooding.retryAfter()).toBeGreaterThan(flooding.refused() - 2 * FLOOD);
    await wellBehaved(5);
    const { body } = await broker.call('GET', '/metrics');
    expect(String(body['text'])).toMatch(/portcullis_shed_total\{what="request",cause="(share|overload)"\} [1-9]/);
  });

  test('serves well-behaved clients beside idle connections and slow writers', async () => {
    const head =
      'POST /v1/releases HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 4096\r\n\r\n{"nonce":"';
    const before = rssMiB();
    const sockets = [
      ...Array.from({ length: IDLE }, () => open(FLOODER)),
      ...Array.from({ length: SLOW }, () => open('127.0.0.3', head)),
    ];
    const connections = async (): Promise<number> => {
      const { body } = await broker.call('GET', '/metrics');
      return Number(/^portcullis_connections (\d+)/m.exec(String(body['text']))?.[1]);
    };
    try {
      while ((await connections()) < IDLE + SLOW);
      await wellBehaved(20);
      expect(rssMiB() - before).toBeLessThan(200);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    while ((await connections()) >= SLOW);
  });
});
