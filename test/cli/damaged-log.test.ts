import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { initialise } from '../../src/cli/compose/init.js';
import { openBroker } from '../../src/cli/compose/open-broker.js';
import { holdAgainst } from '../../src/cli/compose/rollback-alarm.js';
import type { StructuredLog } from '../../src/telemetry/log.js';
import { withBroker } from '../helpers/with-broker.js';
import { tamper } from '../store/tamper.js';
import { NO_PARTS, onlyJson, portcullis } from './harness.js';

const ENTRIES = 300;

let root: string;
let whole: string;
/** Of the log when it had all its entries. */
let checkpoint: string;
/** The directory of the test at hand. */
let dir: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'portcullis-damaged-'));
  whole = join(root, 'whole');
  await initialise({ dataDir: whole, profile: 'production' });
  checkpoint = await withBroker(openBroker, whole, async ({ context, seal }) => {
    const records = Array.from({ length: ENTRIES - 2 }, (_, at) =>
      context.store.appendRecord('denial.summary', { counts: { 'request.malformed': at + 1 } }),
    );
    await Promise.all(records);
    return seal.seal((await context.store.logHead()).checkpoint);
  });
});

beforeEach(() => {
  dir = mkdtempSync(join(root, 'test-'));
  cpSync(whole, dir, { recursive: true });
  writeFileSync(join(dir, 'log.checkpoint'), checkpoint, { mode: 0o600 });
});

afterAll(() => rmSync(root, { recursive: true }));

const damage = (sql: string) =>
  tamper(join(dir, 'portcullis.db'), (db) => expect(db.prepare(sql).run().changes).toBeGreaterThan(0));
const accept = (...args: readonly string[]) => portcullis(['log', 'accept-rollback', ...args], { cwd: dir });
const logKey = () => withBroker(openBroker, dir, async ({ context }) => context.logKey);

const DAMAGES: Readonly<Record<string, readonly [string, string]>> = {
  'a leaf hash in the last partial tile': [
    'UPDATE log_entries SET leaf_hash = zeroblob(32) WHERE log_index = 290',
    'log_entries 290: ',
  ],
  'an entry': [
    `UPDATE log_entries SET entry = replace(entry, '"time":"2', '"time":"1') WHERE log_index = 4`,
    'log_entries 4: ',
  ],
  'a node': ['UPDATE log_nodes SET hash = zeroblob(32)', 'log_nodes 8/0: '],
  'an entry that is gone': ['DELETE FROM log_entries WHERE log_index = 4', 'log 4: '],
};

describe('a log whose rows were changed', () => {
  test.each(Object.entries(DAMAGES))(
    '(%s) cannot be accepted as rolled back, whatever is said',
    async (_, [sql, place]) => {
      const before = await logKey();
      damage(sql);
      for (const more of [[], ['--yes'], ['--yes', '--force', 'the disk was lost']]) {
        const { code, stdout, stderr } = await accept('--data-dir', '.', ...more);
        expect([code, stdout]).toEqual([1, '']);
        expect(stderr).toContain(place);
        expect(stderr).toContain('which is no rollback and cannot be accepted; restore a backup');
      }
      expect(await logKey()).toBe(before);
      expect(readFileSync(join(dir, 'log.checkpoint'), 'utf8')).toBe(checkpoint);
    },
  );

  test.each(Object.entries(DAMAGES))('(%s) is found by the doctor', async (_, [sql, place]) => {
    damage(sql);
    const { code, of } = await doctor();
    expect(code).toBe(1);
    expect(of('log')).toMatchObject({
      status: 'fail',
      detail: expect.stringMatching(new RegExp(`^${place}.*: rows of the log were changed$`)) as unknown,
    });
    expect(of('checkpoint file')).toBeUndefined();
  });

  test('is not called rolled back by the alarm', async () => {
    damage(DAMAGES['a leaf hash in the last partial tile']![0]);
    const said: unknown[][] = [];
    const log = {
      warn: () => undefined,
      error: (...what: readonly unknown[]) => said.push([...what]),
    } as unknown as StructuredLog;
    await withBroker(openBroker, dir, async ({ context: { store } }) => {
      const seen = { size: 295, root: Buffer.alloc(32, 1), where: 'a witness' };
      const outside = { heads: [seen], doubts: [], fileMissing: false };
      expect(await holdAgainst(outside, { store, log, dataDir: dir })).toBe(false);
      await expect(store.probe()).rejects.toThrow('log_entries 290');
    });
    expect(said).toEqual([
      [
        {
          damage: expect.stringContaining('log_entries 290: ') as unknown,
          ways_on: [expect.stringContaining('restore a backup')],
        },
        'rows of the log were changed in the database, so nothing is released or changed',
      ],
    ]);
  });
});

describe('the doctor', () => {
  test('finds a log that is whole, with the node that SQL has added to it, and what the checkpoint file has seen', async () => {
    expect((await doctor()).of('log')).toMatchObject({
      status: 'ok',
      detail: expect.stringContaining('300 entries') as unknown,
    });
    expect((await doctor()).of('checkpoint file')).toMatchObject({ status: 'ok' });
    damage('INSERT INTO log_nodes VALUES (8, 1, zeroblob(32))');
    expect((await doctor()).of('log')).toMatchObject({
      status: 'fail',
      detail: expect.stringContaining('log_nodes 8/1: ') as unknown,
    });
  });

  test('says of a checkpoint file with a bad signature that it proves nothing, not that the log has another name', async () => {
    const lines = checkpoint.split('\n');
    writeFileSync(join(dir, 'log.checkpoint'), [lines[0], '299', ...lines.slice(2)].join('\n'));
    const found = (await doctor()).of('checkpoint file');
    expect(found).toMatchObject({
      status: 'warn',
      detail: expect.stringMatching(/names this log, and proves nothing of it: /) as unknown,
    });
  });

  test('takes a checkpoint of another history of the same log for a rollback, though it is smaller', async () => {
    const twin = mkdtempSync(join(root, 'twin-'));
    cpSync(whole, twin, { recursive: true });
    const grown = async (dataDir: string, count: number) =>
      withBroker(openBroker, dataDir, async ({ context, seal }) => {
        for (let at = 0; at < count; at++) {
          await context.store.appendRecord('denial.summary', { counts: { 'quote.magic': count } });
        }
        return seal.seal((await context.store.logHead()).checkpoint);
      });
    const other = await grown(twin, 1);
    await grown(dir, 3);
    writeFileSync(join(dir, 'log.checkpoint'), other);
    expect((await doctor()).of('checkpoint file')).toMatchObject({
      status: 'fail',
      detail: expect.stringContaining('it was rolled back') as unknown,
    });
  });
});

test('a data directory that is not there is wrong usage, and what to do is said', async () => {
  const { code: missing, stdout, stderr } = await accept('--data-dir', join(dir, 'nothing'));
  expect([missing, stdout]).toEqual([2, '']);
  expect(stderr).toContain(`there is no data directory ${join(dir, 'nothing')}`);
  expect(stderr).toContain('portcullis init --data-dir');
  const { code } = await accept('--data-dir', join(dir, 'portcullis.db'));
  expect(code).toBe(2);
});

async function doctor() {
  const line = ['doctor', '--offline', '--data-dir', dir, '--json'];
  const { code, stdout } = await portcullis(line, { cwd: dir, parts: { ...NO_PARTS, now: () => Date.now() } });
  const { findings } = onlyJson(stdout) as unknown as {
    findings: { check: string; status: string; detail: string }[];
  };
  return { code, of: (check: string) => findings.find((each) => each.check === check) };
}
