import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { initialise } from '../../src/cli/compose/init.js';
import { openBroker } from '../../src/cli/compose/open-broker.js';
import { logPublicKey } from '../../src/translog/log-key.js';
import { formatVerifierKey, TYPE_COSIGNATURE } from '../../src/translog/note.js';
import { withBroker } from '../helpers/with-broker.js';
import { NO_PARTS, nobody, onlyJson, portcullis } from './harness.js';

/** Of a witness that is not there. */
const WITNESS_KEY = formatVerifierKey('witness.example/w1', TYPE_COSIGNATURE, logPublicKey(Buffer.alloc(32, 3)));

let root: string;
let old: string;
let lostCheckpoint: string;
/** The directory of the test at hand: the old database. */
let dir: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'portcullis-accept-'));
  old = join(root, 'old');
  await initialise({ dataDir: old, profile: 'production' });
  const newer = join(root, 'newer');
  cpSync(old, newer, { recursive: true });
  lostCheckpoint = await withBroker(openBroker, newer, async ({ context, seal }) => {
    await context.store.appendRecord('denial.summary', { counts: { 'request.malformed': 1 } });
    return seal.seal((await context.store.logHead()).checkpoint);
  });
});

beforeEach(() => {
  dir = mkdtempSync(join(root, 'test-'));
  cpSync(old, dir, { recursive: true });
});

afterAll(() => rmSync(root, { recursive: true }));

const accept = (...args: readonly string[]) => portcullis(['log', 'accept-rollback', ...args], { cwd: dir });
const lose = (file = join(dir, 'log.checkpoint')) => writeFileSync(file, lostCheckpoint, { mode: 0o600 });
const logKey = () => withBroker(openBroker, dir, async ({ context }) => context.logKey);

describe('log accept-rollback', () => {
  test('shows what was lost and changes nothing without --yes', async () => {
    lose();
    const before = await logKey();
    const { code, stdout, stderr } = await accept('--data-dir', '.');
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout).toMatch(/in the database +2 entries, the newest of 20\d\d-/);
    expect(stdout).toContain(`seen in the file ${join(dir, 'log.checkpoint')}`);
    expect(stdout).toContain('3 entries: at least the last 1 are lost');
    expect(stdout).toContain('Nothing was changed');
    expect(await logKey()).toBe(before);
    expect(readFileSync(join(dir, 'log.checkpoint'), 'utf8')).toBe(lostCheckpoint);
  });

  test('does it with --yes, says the new log key and what to do, and keeps the new checkpoint', async () => {
    lose();
    const before = await logKey();
    const { code, stdout, stderr } = await accept('--data-dir', '.', '--yes');
    expect([code, stderr]).toEqual([0, '']);
    const now = await logKey();
    expect(now).not.toBe(before);
    for (const said of [now, 'portcullis key unfreeze NAME', 'Give the log key to', 'portcullis token list']) {
      expect(stdout).toContain(said);
    }
    expect(readFileSync(join(dir, 'log.checkpoint'), 'utf8').split('\n')[0]).toBe(now.split('+')[0]);
    expect(statSync(join(dir, 'log.checkpoint')).mode & 0o777).toBe(0o600);
    // Once is enough.
    expect(await accept('--data-dir', '.', '--yes')).toMatchObject({ code: 1, stdout: '' });
  });

  test('prints one JSON document, before and after', async () => {
    lose();
    const shown = onlyJson((await accept('--data-dir', '.', '--json')).stdout);
    expect(shown).toEqual({
      accepted: false,
      previous_origin: (await logKey()).split('+')[0],
      surviving_entries: 2,
      newest_surviving_entry: expect.stringMatching(/^20/) as unknown,
      seen: [
        {
          where: `the file ${join(dir, 'log.checkpoint')}`,
          size: 3,
          root: Buffer.from(lostCheckpoint.split('\n')[2] ?? '', 'base64').toString('hex'),
        },
      ],
      checkpoint_file: join(dir, 'log.checkpoint'),
    });
    const done = onlyJson((await accept('--data-dir', '.', '--json', '--yes')).stdout);
    const key = await logKey();
    expect(done).toEqual({
      ...shown,
      accepted: true,
      log_key: key,
      log_origin: key.split('+')[0],
      checkpoint: await withBroker(openBroker, dir, async ({ context }) => (await context.store.logHead()).checkpoint),
      epoch: 2,
      frozen_keys: 0,
    });
  });

  test('is refused where nothing shows a loss, unless there is a reason', async () => {
    const refused = await accept('--data-dir', '.', '--yes');
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/resource\.state: nothing shows that entries were lost.*--force REASON/);
    expect(onlyJson((await accept('--data-dir', '.', '--yes', '--json')).stdout)).toMatchObject({
      reason: 'resource.state',
    });
    const before = await logKey();
    expect((await accept('--data-dir', '.', '--force', 'backup of Monday')).code).toBe(1);
    expect(await logKey()).toBe(before);
    expect((await accept('--data-dir', '.', '--force', 'backup of Monday', '--yes')).code).toBe(0);
    expect(await logKey()).not.toBe(before);
  });

  test('takes the checkpoint file and the witnesses from the configuration, and says which could not be asked', async () => {
    const file = join(root, 'elsewhere.checkpoint');
    lose(file);
    const config = `data_dir: ${dir}\nlog:\n  checkpoint_file: ${file}\n`;
    writeFileSync(join(dir, 'c.yaml'), config);
    const shown = onlyJson((await accept('--config', 'c.yaml', '--json')).stdout);
    expect(shown).toMatchObject({ checkpoint_file: file, seen: [{ size: 3, where: `the file ${file}` }] });
    const env = { PORTCULLIS_LOG_WITNESSES: JSON.stringify([{ url: await nobody(), key: WITNESS_KEY }]) };
    const line = ['log', 'accept-rollback', '--config', 'c.yaml', '--yes'];
    const { code, stderr } = await portcullis(line, { cwd: dir, env });
    expect([code, stderr]).toEqual([0, expect.stringMatching(/the witness \S+ cannot be asked.*ECONNREFUSED/)]);
    expect(readFileSync(file, 'utf8')).not.toBe(lostCheckpoint);
  });

  test('leaves a checkpoint file that proves nothing, and says to remove it', async () => {
    writeFileSync(join(dir, 'log.checkpoint'), 'notes of somebody');
    const { code, stderr } = await accept('--data-dir', '.', '--force', 'no idea', '--yes');
    expect([code, stderr]).toEqual([0, expect.stringContaining('remove it before the broker is started')]);
    expect(readFileSync(join(dir, 'log.checkpoint'), 'utf8')).toBe('notes of somebody');
  });

  test('is wrong usage without a data directory, with one that is not there, and with an empty reason', async () => {
    expect((await accept()).code).toBe(2);
    expect((await accept('--data-dir', '.', '--force', ' ')).code).toBe(2);
    expect((await accept('--data-dir', '.', '--force', 'x'.repeat(513))).code).toBe(2);
    expect((await accept('--data-dir', join(root, 'nothing'))).code).toBe(2);
  });
});

describe('doctor', () => {
  const doctor = async (env: Readonly<Record<string, string>> = {}) => {
    const parts = { ...NO_PARTS, now: () => Date.now() };
    const line = ['doctor', '--offline', '--data-dir', dir, '--json'];
    const { code, stdout } = await portcullis(line, { cwd: dir, env, parts });
    const { findings } = onlyJson(stdout) as unknown as {
      findings: { check: string; status: string; detail: string }[];
    };
    return { code, of: (check: string) => findings.find((each) => each.check === check) };
  };

  test('finds a database that the checkpoint file is ahead of', async () => {
    expect((await doctor()).of('log')).toMatchObject({
      status: 'ok',
      detail: expect.stringContaining('2 entries') as unknown,
    });
    expect((await doctor()).of('checkpoint file')).toMatchObject({ status: 'warn' });
    lose();
    const found = await doctor();
    expect([found.code, found.of('checkpoint file')]).toMatchObject([1, { status: 'fail' }]);
    const file = join(root, 'another.checkpoint');
    writeFileSync(
      file,
      await withBroker(openBroker, dir, async ({ context }) => (await context.store.logHead()).checkpoint),
    );
    expect((await doctor({ PORTCULLIS_LOG_CHECKPOINT_FILE: file })).of('checkpoint file')).toMatchObject({
      status: 'ok',
    });
  });

  test('warns of a checkpoint file that proves nothing, or is of the log under another name', async () => {
    writeFileSync(join(dir, 'log.checkpoint'), 'notes of somebody');
    expect((await doctor()).of('checkpoint file')).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('proves nothing') as unknown,
    });
    rmSync(join(dir, 'log.checkpoint'));
    await accept('--data-dir', '.', '--force', 'a test', '--yes');
    expect((await doctor()).of('checkpoint file')).toMatchObject({ status: 'ok' });
    lose();
    expect((await doctor()).of('checkpoint file')).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('under another name') as unknown,
    });
  });
});
