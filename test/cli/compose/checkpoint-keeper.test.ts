import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CheckpointKeeper } from '../../../src/cli/compose/checkpoint-keeper.js';
import { CheckpointSeal, type KeptBy } from '../../../src/release/kept-checkpoint.js';
import { type LogHead, RolledBackError, type SeenHead, StoreIntegrityError } from '../../../src/release/store.js';
import { CheckpointFile } from '../../../src/store/checkpoint-file/checkpoint-file.js';
import { CheckpointSigner } from '../../../src/translog/checkpoint.js';
import { parseVerifierKey } from '../../../src/translog/note.js';

const signer = new CheckpointSigner('broker/1111111111111111', Buffer.alloc(32, 1));
const former = new CheckpointSigner('broker/0000000000000000', Buffer.alloc(32, 2));
const ROOT = Buffer.alloc(32, 5);
const keptBy: KeptBy = {
  logKey: parseVerifierKey(signer.verifierKey),
  seal: new CheckpointSeal('broker', Buffer.alloc(32, 9)),
  settled: ({ origin }) => origin === former.origin,
};

let directory: string;
let path: string;
let size: number;
let failures: number;
let errors: string[];
let newest: LogHead | undefined;
let expectLog: (seen: SeenHead) => Promise<boolean>;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'portcullis-keeper-'));
  path = join(directory, 'log.checkpoint');
  [size, failures, errors, newest] = [1, 0, [], undefined];
  expectLog = async () => true;
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const logHead = async (): Promise<LogHead> => ({
  origin: signer.origin,
  size,
  root: ROOT,
  checkpoint: signer.sign(size, ROOT),
});

function keeper(head: () => Promise<LogHead> = logHead): CheckpointKeeper {
  const say = (_: unknown, message: string) => void errors.push(message);
  return new CheckpointKeeper({
    file: new CheckpointFile(path),
    store: { logHead: head, newestCheckpoint: () => newest, expectLog },
    keptBy,
    log: { info: say, warn: say, error: say, flush: () => undefined },
    onFailure: () => failures++,
  });
}

const keptSize = () => Number(readFileSync(path, 'utf8').split('\n')[1]);

describe('the keeper of the checkpoint file', () => {
  test('writes the newest checkpoint at the end, as it was signed, with a mark of the broker', async () => {
    size = 7;
    await keeper().stop();
    expect(readFileSync(path, 'utf8')).toBe(keptBy.seal.seal(signer.sign(7, ROOT)));
    expect([failures, errors]).toEqual([0, []]);
  });

  test('never goes back: a process that knows less leaves the file as it is', async () => {
    size = 9;
    await keeper().stop();
    size = 8;
    await keeper().stop();
    expect(keptSize()).toBe(9);
    size = 10;
    await keeper().stop();
    expect([keptSize(), failures]).toEqual([10, 0]);
  });

  test('writes while the log grows, and what another one took back is noticed', async () => {
    const running = keeper();
    running.start();
    for (const next of [3, 4]) {
      size = next;
      while ((await new CheckpointFile(path).read())?.includes(`\n${String(next)}\n`) !== true);
    }
    writeFileSync(path, keptBy.seal.seal(signer.sign(2, ROOT)));
    utimesSync(path, 0, 0);
    while (keptSize() !== 4) await new Promise((resolve) => setImmediate(resolve));
    await running.stop();
    expect([keptSize(), failures]).toEqual([4, 0]);
  }, 30_000);

  test('replaces the file of the log that this one continues', async () => {
    writeFileSync(path, keptBy.seal.seal(former.sign(500, ROOT)));
    await keeper().stop();
    expect([keptSize(), readFileSync(path, 'utf8').startsWith(signer.origin)]).toEqual([1, true]);
  });

  test.each([
    ['is no checkpoint', 'notes of somebody'],
    ['is empty', ''],
    ['is of another broker', new CheckpointSigner('b/2', Buffer.alloc(32, 3)).sign(1, ROOT)],
    ['is of the log under another key', new CheckpointSigner(signer.origin, Buffer.alloc(32, 3)).sign(1, ROOT)],
    [
      'is of a log that nobody has accepted',
      keptBy.seal.seal(new CheckpointSigner('broker/3', Buffer.alloc(32, 3)).sign(1, ROOT)),
    ],
  ])('leaves a file alone that %s, and says so once', async (_, text) => {
    writeFileSync(path, text);
    const running = keeper();
    await running.stop();
    await running.stop();
    expect(readFileSync(path, 'utf8')).toBe(text);
    expect([failures, errors]).toEqual([2, ['the checkpoint file cannot be written']]);
    rmSync(path);
    await running.stop();
    expect([keptSize(), errors.at(-1)]).toEqual([1, 'the checkpoint file is written again']);
  });

  test('goes on without a directory to write to, and without a store that answers', async () => {
    path = join(directory, 'gone', 'log.checkpoint');
    await keeper().stop();
    expect(failures).toBe(1);
    await keeper(() => Promise.reject(new RolledBackError('seen elsewhere'))).stop();
    expect(failures).toBe(1);
  });

  test('keeps what this process saw of a log that was cut short while it ran', async () => {
    size = 6;
    await keeper().stop();
    newest = { ...(await logHead()), size: 7, checkpoint: signer.sign(7, ROOT) };
    await keeper(() => Promise.reject(new StoreIntegrityError('the row is older'))).stop();
    expect([keptSize(), failures]).toEqual([7, 0]);
  });

  test('leaves the file as the proof where the log lacks what it holds, and says so once', async () => {
    size = 6;
    await keeper().stop();
    size = 9;
    expectLog = async ({ size: kept, where }) => {
      expect([kept, where]).toEqual([6, path]);
      return false;
    };
    const running = keeper();
    await running.stop();
    await running.stop();
    expect([keptSize(), errors.length]).toEqual([6, 1]);
    expect(errors[0]).toContain('lacks what another process has seen');
    expectLog = () => Promise.reject(new StoreIntegrityError('rows of the tree are missing'));
    await keeper().stop();
    expect([keptSize(), errors.length]).toEqual([6, 2]);
  });

  test('is one of several: the largest is left in the end', async () => {
    const sizes = [5, 12, 7, 30, 2, 29];
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        sizes.map((own) =>
          keeper(async () => ({ ...(await logHead()), size: own, checkpoint: signer.sign(own, ROOT) })).stop(),
        ),
      );
    }
    expect([keptSize(), failures]).toEqual([30, 0]);
  });
});
