import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ReleaseView } from '../../src/release/views.js';
import { createRecipient } from '../../src/workload/recipient.js';
import { LogMemory, nonceHash } from '../helpers/log-memory.js';
import { postgresAvailable, PostgresServer, STORE_PASSWORD } from '../helpers/postgres.js';
import type { Answer } from '../helpers/served-broker.js';
import { DEPLOYMENT, KEY, sendRelease, type WireRequest, wireRequest } from '../helpers/wire-workload.js';
import { isGone } from './killed-brokers.js';
import { Replicas } from './replicas.js';

/*
 * Two broker processes on one PostgreSQL, under load from clients that go to either of them. TEST_KILLS says how often one is
 * killed and started again; in the middle PostgreSQL itself goes down as in a crash.
 */
const KILLS = Number(process.env['TEST_KILLS'] ?? 4);
const CLIENTS = 6;
const RECOVERY_MS = 20_000;

const suite = postgresAvailable() ? describe : describe.skip;

suite('two replicas on one PostgreSQL (skipped where the Debian package postgresql is missing)', () => {
  let server: PostgresServer;
  let replicas: Replicas;

  beforeAll(async () => {
    server = await PostgresServer.start();
    replicas = await Replicas.start(server);
  }, 120_000);

  afterAll(async () => {
    await replicas.close();
    await server.close();
  }, 60_000);

  /** Clients until `stopped`: a request is made at one replica and sent to both at once, or to the other one. */
  async function load(memory: LogMemory, stopped: () => boolean): Promise<{ released: WireRequest[]; lost: number }> {
    const recipient = await createRecipient('P-256');
    const released: WireRequest[] = [];
    let lost = 0;
    const client = async (id: number): Promise<void> => {
      for (let turn = id; !stopped(); turn++) {
        try {
          const request = await wireRequest(replicas.at(turn), replicas.machine, recipient);
          const targets = turn % 3 === 0 ? [0, 1] : [turn + 1];
          const sent = await Promise.allSettled(targets.map((target) => sendRelease(replicas.at(target), request)));
          const answers = sent.filter((each): each is PromiseFulfilledResult<Answer> => each.status === 'fulfilled');
          if (answers.length < sent.length) lost++;
          const granted = answers.filter(({ value }) => value.status === 200);
          expect(granted.length).toBeLessThanOrEqual(1);
          for (const { value } of granted) {
            released.push(request);
            memory.released(value.body as unknown as ReleaseView, request);
          }
          for (const { value } of answers) {
            if (value.status === 200 || value.status === 503) continue;
            expect(value.body).toMatchObject({ reason: 'challenge.replayed' });
          }
        } catch (error) {
          // No challenge to be had: the replica is gone, or has no database now.
          if (!isGone(error) && !String(error).includes('store.unavailable')) throw error;
          await pause(20);
        }
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, id) => client(id)));
    return { released, lost };
  }

  async function untilReady(replica: number): Promise<void> {
    const deadline = Date.now() + RECOVERY_MS;
    for (;;) {
      const answer = await replicas.at(replica).call('GET', '/readyz');
      if (answer.status === 200) return;
      expect([answer.status, answer.body['reason']]).toEqual([503, 'store.unavailable']);
      if (Date.now() > deadline) throw new Error('the replica does not recover');
      await pause(50);
    }
  }

  test(
    'release nothing twice and nothing unrecorded, though they are killed again and again, and PostgreSQL crashes',
    async () => {
      const memory = new LogMemory(replicas.logKey);
      let stopped = false;
      const loading = load(memory, () => stopped);
      for (let kill = 0; kill < KILLS; kill++) {
        await pause(100 + Math.random() * 300);
        await replicas.killAndRestart(kill % 2);
        if (kill === Math.floor(KILLS / 2)) {
          await server.kill();
          await pause(200);
          await server.start();
          // Neither was restarted for it.
          await Promise.all([untilReady(0), untilReady(1)]);
        }
      }
      await pause(300);
      stopped = true;
      const { released, lost } = await loading;
      const spent = memory.compare(await replicas.log());
      for (const { nonce } of released) expect(spent.has(nonceHash(nonce))).toBe(true);
      expect(memory.receipts).toBe(released.length);
      expect(released.length).toBeGreaterThan(5 * KILLS);
      console.info(`${String(KILLS)} kills: ${String(released.length)} releases, ${String(lost)} answers lost`);
      // What was released at one is replayed at the other, also after the restarts.
      for (const request of released.slice(-3)) {
        for (const replica of [0, 1]) {
          expect(await sendRelease(replicas.at(replica), request)).toMatchObject({
            body: { reason: 'challenge.replayed' },
          });
        }
      }
      expect(replicas.output).not.toContain(STORE_PASSWORD);
    },
    60_000 + KILLS * 15_000,
  );

  test('see what was frozen and revoked at the other one on the next request', async () => {
    const asked = async (replica: number) =>
      sendRelease(replicas.at(replica), await wireRequest(replicas.at(replica), replicas.machine));
    const prepared = await wireRequest(replicas.at(1), replicas.machine);
    await replicas.at(0).admin('POST', `/v1/deployments/${DEPLOYMENT}/freeze`, {});
    expect(await sendRelease(replicas.at(1), prepared)).toMatchObject({ body: { reason: 'deployment.frozen' } });
    await replicas.at(1).admin('POST', `/v1/deployments/${DEPLOYMENT}/unfreeze`, {});
    expect((await asked(0)).status).toBe(200);
    expect((await asked(1)).status).toBe(200);
  }, 60_000);

  test('refuse to release under a KEK that they have not, say so, and go on when they get it', async () => {
    const rotated = await replicas.at(0).admin('POST', '/v1/kek/rotate', {});
    expect(rotated.body['rewrapped']).toBeGreaterThan(0);
    const behind = replicas.at(1);
    const refused = await sendRelease(behind, await wireRequest(behind, replicas.machine));
    expect(refused.status).toBeGreaterThanOrEqual(500);
    // Its log comes through a pipe, behind the answer; where it never does, the test runs out of time.
    while (!behind.output.includes('KEK')) await new Promise((resolve) => setImmediate(resolve));
    const ahead = replicas.at(0);
    expect((await sendRelease(ahead, await wireRequest(ahead, replicas.machine))).status).toBe(200);
    // No restart: the file is read again when a KEK is not known.
    copyFileSync(join(replicas.dataDir(0), 'kek.json'), join(replicas.dataDir(1), 'kek.json'));
    expect((await sendRelease(behind, await wireRequest(behind, replicas.machine))).status).toBe(200);
    await replicas.restart(1);
    expect((await replicas.at(1).call('GET', `/v1/keys/${KEY}`, undefined, replicas.at(0).token)).status).toBe(200);
  }, 60_000);
});
