import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { portcullis } from '../helpers/portcullis.js';
import { ServedBroker, type ServeOptions } from '../helpers/served-broker.js';
import { ServedWitness } from '../helpers/served-witness.js';
import { DEPLOYMENT, KEY, provision, sendRelease, wireRequest, type WireRequest } from '../helpers/wire-workload.js';

/** The data directory of a broker that was provisioned and stopped: every test begins with a copy, and may put it back. */
let old: string;
/** What that broker wrote, which was the first to start over the directory. */
let firstOutput: string;
let logKey: string;
let machine: SimulatorAttester;
let broker: ServedBroker;
/** Made of a good nonce and genuine evidence before anything happens to the database. */
let request: WireRequest;
/** Outside of the data directory. */
let elsewhere: string;
let witness: ServedWitness | undefined;

beforeAll(async () => {
  const origin = await ServedBroker.start();
  old = origin.dataDir;
  machine = await provision(origin);
  logKey = String((await origin.call('GET', '/log/key')).body['text']).trim();
  await origin.kill('SIGTERM');
  firstOutput = origin.output;
}, 60_000);

afterAll(() => rmSync(join(old, '..'), { recursive: true, force: true }));

beforeEach(() => {
  elsewhere = mkdtempSync(join(tmpdir(), 'portcullis-elsewhere-'));
});

/** The broker of a test starts. */
async function begin(options: ServeOptions = {}): Promise<void> {
  const dataDir = join(mkdtempSync(join(tmpdir(), 'portcullis-served-')), 'data');
  cpSync(old, dataDir, { recursive: true, preserveTimestamps: true });
  broker = await ServedBroker.start({ dataDir, ...options });
  request = await wireRequest(broker, machine);
}

afterEach(async () => {
  await broker.close();
  await witness?.stop();
  witness = undefined;
  rmSync(elsewhere, { recursive: true, force: true });
});

const kept = () => join(broker.dataDir, 'log.checkpoint');
const OUTSIDE = () => ({ PORTCULLIS_LOG_CHECKPOINT_FILE: join(elsewhere, 'log.checkpoint') });

/** Stops the broker, does something to its files, and starts it again. */
async function restart(whileStopped: () => void, options: ServeOptions = {}): Promise<void> {
  await broker.kill('SIGTERM');
  whileStopped();
  broker = await ServedBroker.start({ dataDir: broker.dataDir, ...options });
}

/** A copy of the whole data directory of a broker that is stopped. */
function copyAll(): string {
  const copy = mkdtempSync(join(elsewhere, 'copy-'));
  cpSync(broker.dataDir, copy, { recursive: true, preserveTimestamps: true });
  return copy;
}

function putBackAll(copy: string): void {
  rmSync(broker.dataDir, { recursive: true });
  cpSync(copy, broker.dataDir, { recursive: true, preserveTimestamps: true });
}

function putBackDatabase(copy: string): void {
  for (const suffix of ['', '-wal', '-shm']) {
    rmSync(join(broker.dataDir, `portcullis.db${suffix}`), { force: true });
    const from = join(copy, `portcullis.db${suffix}`);
    if (existsSync(from)) cpSync(from, join(broker.dataDir, `portcullis.db${suffix}`));
  }
}

async function draw(): Promise<Record<string, unknown>> {
  const answer = await sendRelease(broker, await wireRequest(broker, machine));
  if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
  return answer.body;
}

async function logSize(): Promise<number> {
  const { body } = await broker.call('GET', '/log/checkpoint');
  return Number(String(body['text']).split('\n')[1]);
}

const refusesAll = (answer: { status: number; body: Record<string, unknown> }) =>
  expect([answer.status, answer.body['reason']]).toEqual([503, 'store.integrity']);

/** Nothing is released or changed, and everything that needs no write answers. */
async function expectRefusal(): Promise<void> {
  refusesAll(await sendRelease(broker, request));
  refusesAll(await broker.call('POST', '/v1/challenges', { deployment: DEPLOYMENT, key: KEY }));
  refusesAll(await broker.call('POST', '/v1/keys', { name: 'new', type: 'oct', deployments: ['llm'] }, broker.token));
  refusesAll(await broker.call('POST', '/v1/keys/weights/freeze', {}, broker.token));
  refusesAll(await broker.call('GET', '/log/checkpoint'));
  refusesAll(await broker.call('GET', '/log/tile/entries/000.p/1'));
  const ready = await broker.call('GET', '/readyz');
  refusesAll(ready);
  expect(ready.body['detail']).toContain('portcullis log accept-rollback');
  expect((await broker.call('GET', '/healthz')).status).toBe(200);
  expect((await broker.call('POST', '/v1/releases', { nonce: 'x' })).body).toMatchObject({
    reason: 'request.malformed',
  });
  expect((await broker.call('GET', '/v1/keys', undefined, broker.token)).status).toBe(200);
  expect((await broker.call('GET', '/log/key')).status).toBe(200);
}

/** The line of the process log that says what was seen where. */
function alarm(): Record<string, unknown> | undefined {
  const lines = broker.output.split('\n').filter((line) => line.startsWith('{'));
  const alarms = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return alarms.find(({ level, message }) => level === 'error' && String(message).includes('was rolled back'));
}

async function accept(...more: readonly string[]) {
  return portcullis(['log', 'accept-rollback', '--data-dir', broker.dataDir, ...more]);
}

async function entryTypes(): Promise<readonly unknown[]> {
  const { body } = await broker.admin('GET', '/v1/entries?limit=1000');
  return (body['items'] as { type: string }[]).map(({ type }) => type).reverse();
}

describe('a database that is put back as it was before', () => {
  test('releases nothing, says why, and goes on once it is the newer one again', async () => {
    await begin();
    await draw();
    const size = await logSize();
    let newer = '';
    await restart(() => {
      newer = copyAll();
      putBackDatabase(old);
    });
    await expectRefusal();
    expect(alarm()).toMatchObject({
      seen_in: `the file ${kept()}`,
      seen_size: size,
      ways_on: [expect.stringContaining('restore'), expect.stringContaining('log accept-rollback --data-dir')],
    });
    expect(Number(alarm()?.['log_size'])).toBeLessThan(size);
    expect(await entryTypes()).not.toContain('release');
    // Refusing changes nothing, so that the newer database fits again.
    await restart(() => putBackDatabase(newer));
    await draw();
    expect((await broker.call('GET', '/readyz')).status).toBe(200);
  }, 60_000);

  test('with all of its data directory is noticed by the checkpoint file on another volume', async () => {
    await begin({ env: OUTSIDE() });
    await draw();
    await restart(() => putBackAll(old), { env: OUTSIDE() });
    await expectRefusal();
    expect(alarm()).toMatchObject({ seen_in: `the file ${join(elsewhere, 'log.checkpoint')}` });
  }, 60_000);

  test('with all of its data directory is noticed by a witness alone', async () => {
    witness = await ServedWitness.make(elsewhere, logKey);
    await witness.start();
    const env = { PORTCULLIS_LOG_WITNESSES: witness.setting, PORTCULLIS_LOG_QUORUM: '1' };
    await begin({ env });
    const { receipt } = await draw();
    expect(JSON.stringify(receipt)).toContain('witness.example/w1');
    await restart(() => putBackAll(old), { env });
    await expectRefusal();
    expect(alarm()).toMatchObject({ seen_in: 'the witness witness.example/w1' });

    // A witness that cannot be asked at the start is asked when it is there again.
    await witness.stop();
    const quorumless = { PORTCULLIS_LOG_WITNESSES: witness.setting };
    await restart(() => putBackAll(old), { env: quorumless });
    expect(broker.output).toContain('a rollback of the database may go unnoticed');
    expect((await broker.call('GET', '/readyz')).status).toBe(200);
    await witness.start();
    while ((await broker.call('GET', '/readyz')).status === 200)
      await new Promise((resolve) => setTimeout(resolve, 100));
    await expectRefusal();
    expect(alarm()).toMatchObject({ seen_in: 'the witness witness.example/w1' });
  }, 90_000);

  test('and has grown past what a witness holds is noticed when that one is there again', async () => {
    witness = await ServedWitness.make(elsewhere, logKey);
    await witness.start();
    const env = { PORTCULLIS_LOG_WITNESSES: witness.setting, PORTCULLIS_LOG_QUORUM: '1' };
    await begin({ env });
    await draw();
    const size = await logSize();
    await witness.stop();
    await restart(() => putBackAll(old), { env: { PORTCULLIS_LOG_WITNESSES: witness.setting } });
    for (let release = 0; release < 5; release++) await draw();
    expect(await logSize()).toBeGreaterThan(size);
    await witness.start();
    const untilMs = performance.now() + 20_000;
    while ((await broker.call('GET', '/readyz')).status === 200 && performance.now() < untilMs)
      await new Promise((resolve) => setTimeout(resolve, 100));
    await expectRefusal();
    expect(alarm()).toMatchObject({ seen_in: 'the witness witness.example/w1', seen_size: size });
  }, 90_000);

  test('is noticed by every worker, and by the one that replaces another', async () => {
    await begin();
    await draw();
    await restart(() => putBackDatabase(old), { workers: 2 });
    for (let round = 0; round < 6; round++) refusesAll(await sendRelease(broker, request));
    const workers = () => childrenOf(broker.process.pid ?? 0);
    const [first = 0] = workers();
    process.kill(first, 'SIGKILL');
    while (workers().includes(first) || workers().length < 2 || broker.output.split('"listening"').length < 4)
      await new Promise((resolve) => setTimeout(resolve, 50));
    for (let round = 0; round < 6; round++) refusesAll(await sendRelease(broker, request));
    await expectRefusal();
  }, 60_000);

  test('and grown again to the same size is noticed: it is another history', async () => {
    await begin({ env: OUTSIDE() });
    await draw();
    const size = await logSize();
    // Whoever runs the fork hides the file from it.
    await restart(() => putBackDatabase(old));
    await draw();
    expect(await logSize()).toBe(size);
    await restart(() => undefined, { env: OUTSIDE() });
    await expectRefusal();
    expect(alarm()).toMatchObject({ seen_size: size, log_size: size });
  }, 60_000);
});

describe('a loss that is accepted', () => {
  test('kills old nonces, freezes the keys, and begins a log under a new key', async () => {
    await begin();
    await draw();
    await restart(() => putBackDatabase(old));
    await broker.kill('SIGTERM');

    const shown = await accept('--json');
    expect([shown.code, JSON.parse(shown.stdout)]).toMatchObject([
      1,
      { accepted: false, seen: [{ where: `the file ${kept()}` }] },
    ]);
    const done = await accept('--yes', '--json');
    expect(done.code).toBe(0);
    const view = JSON.parse(done.stdout) as Record<string, unknown>;
    expect(view).toMatchObject({ accepted: true, frozen_keys: 1, previous_origin: logKey.split('+')[0] });
    expect((await accept('--yes')).code).toBe(1);

    broker = await ServedBroker.start({ dataDir: broker.dataDir });
    expect((await broker.call('GET', '/readyz')).status).toBe(200);
    expect(await broker.call('GET', '/log/key')).toMatchObject({ body: { text: `${String(view['log_key'])}\n` } });
    expect((await sendRelease(broker, request)).body).toMatchObject({ reason: 'challenge.invalid' });
    expect((await sendRelease(broker, await wireRequest(broker, machine))).body).toMatchObject({
      reason: 'key.frozen',
    });
    await broker.admin('POST', '/v1/keys/weights/unfreeze', {});
    const answer = await draw();
    expect((await sendRelease(broker, request)).body).toMatchObject({ reason: 'challenge.invalid' });

    const file = join(elsewhere, 'answer.json');
    writeFileSync(file, JSON.stringify(answer));
    const receipt = (key: string) => portcullis(['receipt', 'verify', file, '--log-key', key]);
    expect((await receipt(String(view['log_key']))).code).toBe(0);
    expect((await receipt(logKey)).code).toBe(1);
    const audit = ['log', 'verify', '--url', broker.url, '--log-key', String(view['log_key']), '--json'];
    expect(await portcullis(audit, { XDG_STATE_HOME: elsewhere })).toMatchObject({ code: 0 });
  }, 90_000);

  test('is not undone by putting back a database from before', async () => {
    await begin();
    await broker.kill('SIGTERM');
    expect((await accept('--force', 'a test of it', '--yes')).code).toBe(0);
    broker = await ServedBroker.start({ dataDir: broker.dataDir });
    await restart(() => putBackDatabase(old));
    await expectRefusal();
  }, 60_000);

  test('while a broker runs ends what that one can do, until it is started anew', async () => {
    await begin();
    expect((await accept('--force', 'forgot to stop it', '--yes')).code).toBe(0);
    // It refuses by the new epoch, until it has looked at the log, within a second: then it refuses everything.
    const { reason } = (await sendRelease(broker, request)).body;
    expect(['challenge.invalid', 'store.integrity']).toContain(reason);
    refusesAll(await broker.call('POST', '/v1/keys/weights/unfreeze', {}, broker.token));
    refusesAll(await broker.call('GET', '/readyz'));
    await restart(() => undefined);
    expect((await broker.call('GET', '/readyz')).status).toBe(200);
  }, 60_000);

  test('interrupted before the file is written is finished by the next start', async () => {
    await begin();
    await draw();
    await broker.kill('SIGTERM');
    const file = readFileSync(kept());
    putBackDatabase(old);
    expect((await accept('--yes')).code).toBe(0);
    // As a crash between the two would leave it.
    writeFileSync(kept(), file);
    broker = await ServedBroker.start({ dataDir: broker.dataDir });
    expect((await broker.call('GET', '/readyz')).status).toBe(200);
    await broker.kill('SIGTERM');
    expect(readFileSync(kept(), 'utf8').split('\n')[0]).not.toBe(file.toString('utf8').split('\n')[0]);
    await restart(() => undefined);
    expect((await broker.call('GET', '/readyz')).status).toBe(200);
  }, 60_000);
});

describe('a start', () => {
  test('takes a log that is ahead of the checkpoint file', async () => {
    await begin();
    const before = readFileSync(kept());
    await draw();
    await restart(() => writeFileSync(kept(), before));
    await draw();
    const size = await logSize();
    await broker.kill('SIGTERM');
    expect(Number(readFileSync(kept(), 'utf8').split('\n')[1])).toBe(size);
  }, 60_000);

  test('is not prevented by a checkpoint file that proves nothing, which is left as it is, loudly', async () => {
    await begin();
    const root = Buffer.alloc(32).toString('base64');
    for (const text of ['garbage', `other/1\n500\n${root}\n\n— other/1 AAAAAAA=\n`]) {
      await restart(() => writeFileSync(kept(), text));
      await draw();
      expect(broker.output).toContain('a rollback of the database may go unnoticed');
      expect(broker.output).toContain('proves nothing');
      const metrics = async () => String((await broker.call('GET', '/metrics')).body['text']);
      while (!/^portcullis_checkpoint_file_failures_total [1-9]/m.test(await metrics()));
      expect((await broker.call('GET', '/readyz')).status).toBe(200);
      await broker.kill('SIGTERM');
      expect(readFileSync(kept(), 'utf8')).toBe(text);
      expect(broker.output).toContain('the checkpoint file cannot be written');
    }
  }, 60_000);

  test('without the checkpoint file says so, unless it is the first', async () => {
    expect(firstOutput).not.toContain('may go unnoticed');
    await begin();
    await restart(() => rmSync(kept()));
    expect(broker.output).toContain('the checkpoint file is missing');
    await broker.kill('SIGTERM');
    expect(existsSync(kept())).toBe(true);
  }, 60_000);

  test('is refused where a part of the log is missing, whatever the number of workers', async () => {
    await begin();
    await broker.kill('SIGTERM');
    const whole = copyAll();
    const newest = '(SELECT max(log_index) FROM log_entries)';
    for (const [sql, workers] of [
      ['DELETE FROM log_head', '2'],
      ['DELETE FROM log_entries', '1'],
      [`DELETE FROM log_entries WHERE log_index = ${newest}`, '1'],
      ['DELETE FROM log_head; DELETE FROM log_entries; DELETE FROM log_nodes', '2'],
    ] as const) {
      putBackDatabase(whole);
      const db = new Database(join(broker.dataDir, 'portcullis.db'));
      db.exec(sql);
      db.close();
      const args = ['--data-dir', broker.dataDir, '--listen', '127.0.0.1:0', '--workers', workers];
      const ran = await portcullis(['serve', ...args]);
      expect([sql, ran.code, ran.stdout]).toEqual([sql, 1, '']);
      expect(ran.stderr.trimEnd().split('\n')).toHaveLength(1);
      expect(ran.stderr).toMatch(/portcullis\.db: log_.*restore a backup/);
    }
  }, 60_000);

  test('is recorded once, whatever the number of workers, and not by who refuses', async () => {
    await begin({ workers: 2 });
    const starts = async () => (await entryTypes()).filter((type) => type === 'broker.started').length;
    expect(await starts()).toBe(2);
    process.kill(childrenOf(broker.process.pid ?? 0)[0] ?? 0, 'SIGKILL');
    while (broker.output.split('"listening"').length < 4) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await starts()).toBe(2);
    await restart(() => putBackDatabase(old));
    expect(await starts()).toBe(1);
    await expectRefusal();
  }, 60_000);
});

/** Process ids of the children of a process. */
function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}
