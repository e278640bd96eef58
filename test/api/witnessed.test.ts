import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { portcullis } from '../helpers/portcullis.js';
import { type Answer, ServedBroker } from '../helpers/served-broker.js';
import { ServedWitness } from '../helpers/served-witness.js';
import { provision, sendRelease, wireRequest } from '../helpers/wire-workload.js';

let dir: string;
let broker: ServedBroker;
let machine: SimulatorAttester;
let witness: ServedWitness;
let logKey: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-witnessed-'));
  broker = await ServedBroker.start();
  machine = await provision(broker);
  logKey = (await broker.call('GET', '/log/key')).body['text'] as string;
  witness = await ServedWitness.make(dir, logKey.trim(), 'witness.example/w');
  await broker.kill('SIGTERM');
});

afterEach(async () => {
  await broker.kill('SIGTERM');
  await witness.stop();
});

afterAll(async () => {
  await broker.close();
  rmSync(dir, { recursive: true });
});

/** The broker, demanding the cosignature of the witness at this URL. */
async function demanding(url: string): Promise<void> {
  const witnesses = JSON.stringify([{ url, key: witness.key }]);
  const env = { PORTCULLIS_LOG_WITNESSES: witnesses, PORTCULLIS_LOG_QUORUM: '1' };
  broker = await ServedBroker.start({ dataDir: broker.dataDir, env });
}

async function release(): Promise<Answer> {
  return sendRelease(broker, await wireRequest(broker, machine));
}

const ASK_AGAIN_MS = 100;

/** Asks until it says this. */
async function readiness(wanted: number): Promise<Answer> {
  for (;;) {
    const answer = await broker.call('GET', '/readyz');
    if (answer.status === wanted) return answer;
    await delay(ASK_AGAIN_MS);
  }
}

test('without the cosignature that is demanded nothing is handed out: log.unwitnessed', async () => {
  await demanding('http://127.0.0.1:9');
  const { status, body } = await release();
  expect({ status, body }).toMatchObject({ status: 503, body: { reason: 'log.unwitnessed' } });
  expect(JSON.stringify(body)).not.toMatch(/jwe|receipt/);
});

test('with it the receipt carries the cosignature, and verifies offline', async () => {
  await witness.start();
  await demanding(witness.url);
  const { status, body } = await release();
  expect(status).toBe(200);
  const files = { answer: join(dir, 'answer.json'), log: join(dir, 'log.vkey'), witness: join(dir, 'w.vkey') };
  writeFileSync(files.answer, JSON.stringify(body));
  writeFileSync(files.log, logKey);
  writeFileSync(files.witness, `${witness.key}\n`);
  await broker.kill('SIGTERM');
  // Where the other processes of the broker find it.
  const shared = join(broker.dataDir, 'log.cosigned');
  expect(readFileSync(shared, 'utf8')).toContain('— witness.example/w ');
  expect(statSync(shared).mode & 0o777).toBe(0o600);
  const examined = await portcullis(['doctor', '--offline', '--data-dir', broker.dataDir, '--json']);
  const { findings } = JSON.parse(examined.stdout) as { findings: { check: string; status: string }[] };
  expect(findings.filter(({ check }) => check === 'files')).toMatchObject([{ status: 'ok' }]);
  const keys = ['--log-key', files.log, '--witness', files.witness];
  const { code, stdout } = await portcullis(['receipt', 'verify', files.answer, ...keys, '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ ok: true, proved: { witnesses: [{ name: 'witness.example/w' }] } });
});

test('a broker whose quorum was never there is not ready, and says why in its log', async () => {
  await demanding('http://127.0.0.1:9');
  const { body, headers } = await readiness(503);
  expect([body['reason'], headers['retry-after']]).toEqual(['log.unwitnessed', '5']);
  while (!broker.output.includes('fewer than 1 of 1 witnesses cosign (witness.example/w: ECONNREFUSED)')) {
    await delay(ASK_AGAIN_MS);
    expect((await broker.call('GET', '/readyz')).status).toBe(503);
  }
  expect((await broker.call('GET', '/healthz')).status).toBe(200);
});

test('readiness follows the quorum: without a release, and without anything new in the log', async () => {
  await witness.start();
  await demanding(witness.url);
  await readiness(200);
  expect((await release()).status).toBe(200);
  await witness.stop();
  expect((await readiness(503)).body['reason']).toBe('log.unwitnessed');
  await witness.start();
  await readiness(200);
  expect((await release()).status).toBe(200);
}, 60_000);
