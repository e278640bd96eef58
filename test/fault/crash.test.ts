import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { createRecipient } from '../../src/workload/recipient.js';
import { type Answer, ServedBroker } from '../helpers/served-broker.js';
import { provision, sendRelease, wireRequest, type WireRequest } from '../helpers/wire-workload.js';

let broker: ServedBroker;
let machine: SimulatorAttester;

beforeEach(async () => {
  broker = await ServedBroker.start();
  machine = await provision(broker);
});

afterEach(() => broker.close());

/** Releases from several loops until the broker is gone; what was sent, and what was answered. */
async function loadUntilGone(): Promise<{ sent: WireRequest[]; answered: Answer[] }> {
  const recipient = await createRecipient('P-256');
  const sent: WireRequest[] = [];
  const answered: Answer[] = [];
  const loop = async () => {
    for (;;) {
      try {
        const request = await wireRequest(broker, machine, recipient);
        sent.push(request);
        answered.push(await sendRelease(broker, request));
      } catch {
        return;
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, loop));
  return { sent, answered };
}

/** Every release entry of the log. */
async function releaseEntries(): Promise<Map<string, Record<string, unknown>>> {
  const entries = new Map<string, Record<string, unknown>>();
  for (let cursor: unknown = ''; typeof cursor === 'string';) {
    const query = `/v1/entries?type=release&limit=1000${cursor === '' ? '' : `&cursor=${cursor}`}`;
    const { body } = await broker.admin('GET', query);
    for (const { entry } of body['items'] as { entry: Record<string, unknown> }[])
      entries.set(String(entry['nonce_sha256']), entry);
    cursor = body['next_cursor'];
  }
  return entries;
}

const nonceHash = (request: WireRequest) =>
  createHash('sha256').update(Buffer.from(request.nonce, 'base64url')).digest('hex');

describe('a broker that is killed under load', () => {
  test('has recorded every release that it answered, and takes no nonce of before twice', async () => {
    const everAnswered: Answer[] = [];
    const everSent: WireRequest[] = [];
    for (let round = 0; round < 4; round++) {
      const load = loadUntilGone();
      // The moment differs from round to round: it lies wherever the load happens to be.
      await waitForReleases(10 + 7 * round);
      await broker.kill('SIGKILL');
      const { sent, answered } = await load;
      everSent.push(...sent);
      everAnswered.push(...answered);
      broker = await ServedBroker.start({ dataDir: broker.dataDir });
    }
    const released = everAnswered.filter(({ status }) => status === 200);
    expect(released.length).toBeGreaterThan(40);
    const entries = await releaseEntries();
    const byJwe = new Map([...entries.values()].map((entry) => [entry['jwe_sha256'], entry]));
    for (const { body } of released) {
      const hash = createHash('sha256').update(String(body['jwe'])).digest('hex');
      expect(byJwe.get(hash)).toMatchObject({ release_id: body['release_id'] });
    }

    // A request that is in the log is spent, whether its answer arrived or not; one that is not may still be granted, once.
    for (const request of everSent) {
      const recorded = entries.has(nonceHash(request));
      const again = await sendRelease(broker, request);
      expect([recorded, again.status, again.body['reason']]).toEqual(
        recorded ? [true, 403, 'challenge.replayed'] : [false, 200, undefined],
      );
      expect((await sendRelease(broker, request)).body).toMatchObject({ reason: 'challenge.replayed' });
    }
  }, 120_000);

  async function waitForReleases(count: number): Promise<void> {
    const entriesBefore = (await releaseEntries()).size;
    while ((await releaseEntries()).size < entriesBefore + count) await new Promise((resolve) => setImmediate(resolve));
  }
});

describe('a broker that is told to stop', () => {
  test('answers what is in flight, refuses what comes after, and ends with exit code 0', async () => {
    const load = loadUntilGone();
    while (
      broker.process.exitCode === null &&
      !(await broker.call('GET', '/metrics')).body['text']?.toString().match(/releases_total [1-9]/)
    );
    expect(await broker.kill('SIGTERM')).toBe(0);
    const { answered } = await load;
    expect(answered.filter(({ status }) => status !== 200 && status !== 503)).toEqual([]);
    broker = await ServedBroker.start({ dataDir: broker.dataDir });
    expect((await releaseEntries()).size).toBeGreaterThanOrEqual(
      answered.filter(({ status }) => status === 200).length,
    );
  });
});

describe('two brokers over one data directory', () => {
  test('release a nonce once between them', async () => {
    const second = await ServedBroker.start({ dataDir: broker.dataDir });
    try {
      for (let round = 0; round < 10; round++) {
        const request = await wireRequest(round % 2 === 0 ? broker : second, machine);
        const answers = await Promise.all([broker, second, broker, second].map((each) => sendRelease(each, request)));
        expect(answers.map(({ status }) => status).sort()).toEqual([200, 403, 403, 403]);
      }
    } finally {
      await second.kill('SIGTERM');
    }
  });

  test('see a freeze on the very next request', async () => {
    const second = await ServedBroker.start({ dataDir: broker.dataDir });
    try {
      expect((await sendRelease(second, await wireRequest(second, machine))).status).toBe(200);
      await broker.admin('POST', '/v1/keys/weights/freeze', {});
      expect((await sendRelease(second, await wireRequest(second, machine))).body).toMatchObject({
        reason: 'key.frozen',
      });
      await second.admin('POST', '/v1/keys/weights/unfreeze', {});
      expect((await sendRelease(broker, await wireRequest(broker, machine))).status).toBe(200);
    } finally {
      await second.kill('SIGTERM');
    }
  });
});

describe('several workers', () => {
  test('serve one port, count together, and end with the process that supervises them, SIGKILL included', async () => {
    const many = await ServedBroker.start({ workers: 3 });
    const host = await provision(many);
    const request = await wireRequest(many, host);
    const answers = await Promise.all(Array.from({ length: 9 }, () => sendRelease(many, request)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    const { body } = await many.call('GET', '/metrics');
    expect(String(body['text'])).toMatch(/^portcullis_releases_total 1$/m);
    expect(String(body['text'])).toMatch(/^portcullis_denials_total\{reason="challenge.replayed"\} 8$/m);

    // At a time no more than the places that one source has with each of them.
    const scrapes: Awaited<ReturnType<typeof many.call>>[] = [];
    for (let round = 0; round < 5; round++) {
      scrapes.push(...(await Promise.all(Array.from({ length: 30 }, () => many.call('GET', '/metrics')))));
    }
    const decided = scrapes.map(({ status, body: { text } }) => [
      status,
      String(text).match(/^portcullis_(?:releases|denials)_total.*$/gm),
    ]);
    expect(decided[0]?.[1]).toContain('portcullis_releases_total 1');
    expect(decided).toEqual(decided.map(() => [200, decided[0]?.[1]]));
    expect(many.output).not.toContain('Warning');

    await many.kill('SIGKILL');
    const gone = async () => {
      try {
        await many.call('GET', '/healthz');
        return false;
      } catch {
        return true;
      }
    };
    const deadline = Date.now() + 5_000;
    let ended = false;
    while (!ended && Date.now() < deadline) ended = await gone();
    expect(ended).toBe(true);
    await many.close();
  });
});
