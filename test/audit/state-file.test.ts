import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { StateFile, StateFileError } from '../../src/audit/state-file.js';
import { verifyLog } from '../../src/audit/verify-log.js';
import { CheckpointSigner } from '../../src/translog/checkpoint.js';
import { parseVerifierKey } from '../../src/translog/note.js';
import { flipped, genuineEntries, LOG_KEY, logFiles, memorySource, ORIGIN, SIGNER } from './sample-log.js';

const root = mkdtempSync(join(tmpdir(), 'portcullis-audit-'));
afterAll(() => rmSync(root, { recursive: true }));
const PATH = join(root, 'deep', 'er', 'state.json');
const SIZE = 300;

async function audit(path: string, size: number): Promise<void> {
  const memory = await StateFile.open(path, LOG_KEY);
  const source = memorySource(logFiles(genuineEntries(size)));
  await verifyLog({ source, trust: { logKey: LOG_KEY }, memory, now: () => 0 });
}

let content: Buffer;
beforeAll(async () => {
  await audit(PATH, SIZE);
  content = readFileSync(PATH);
});

/** A file of this content, and what opening it comes to. */
async function opened(bytes: string | Uint8Array): Promise<string> {
  const path = join(root, 'other.json');
  writeFileSync(path, bytes);
  try {
    const file = await StateFile.open(path, LOG_KEY);
    return `size ${String(file.progress()?.frontier.size)}`;
  } catch (error) {
    if (!(error instanceof StateFileError)) throw error;
    return error.message.replace(path, 'F');
  }
}

/** The state with some of its members replaced, under a digest that fits. */
function edited(edit: (state: Record<string, unknown> & { progress: Record<string, unknown> }) => void): string {
  const { state } = JSON.parse(content.toString()) as { state: Parameters<typeof edit>[0] };
  edit(state);
  const text = JSON.stringify(state);
  return `{"sha256":"${createHash('sha256').update(text).digest('hex')}","state":${text}}\n`;
}

const DAMAGED = /^the state file F is damaged; restore it, or delete it/;

describe('a state file', () => {
  test('is JSON, for its owner alone, in a directory that is made for it', () => {
    expect(JSON.parse(content.toString())).toMatchObject({
      state: { version: 1, origin: ORIGIN, progress: { size: SIZE } },
    });
    expect(statSync(PATH).mode & 0o777).toBe(0o600);
    expect(statSync(join(root, 'deep', 'er')).mode & 0o777).toBe(0o700);
  });

  test('comes back as it was written', async () => {
    expect(await opened(content)).toBe(`size ${String(SIZE)}`);
    expect(await opened(edited(() => undefined))).toBe(`size ${String(SIZE)}`);
    expect((await StateFile.open(PATH, LOG_KEY)).seen?.head).toMatchObject({ origin: ORIGIN, size: SIZE });
  });

  test('that is not there remembers nothing', async () => {
    const file = await StateFile.open(join(root, 'none.json'), LOG_KEY);
    expect([file.seen, file.progress()]).toEqual([undefined, undefined]);
  });

  test('is damaged where it was cut, or one of its bytes is another', async () => {
    for (let at = 0; at < content.length; at += 97) {
      expect([at, await opened(content.subarray(0, at))]).toEqual([at, expect.stringMatching(DAMAGED)]);
      expect([at, await opened(flipped(content, at))]).toEqual([at, expect.stringMatching(DAMAGED)]);
    }
    expect(await opened(Buffer.concat([content, Buffer.from(' ')]))).toMatch(DAMAGED);
    expect(await opened('{}')).toMatch(DAMAGED);
  });

  test('of another log, of another key of the same name, or of another version is not used', async () => {
    const others = [
      new CheckpointSigner('broker-2/0123456789abcdef', Buffer.alloc(32, 7)),
      new CheckpointSigner(ORIGIN, Buffer.alloc(32, 9)),
    ];
    for (const { verifierKey } of others) {
      await expect(StateFile.open(PATH, parseVerifierKey(verifierKey))).rejects.toThrow(
        'is of another log, or of another key',
      );
    }
    expect(await opened(edited((state) => (state['version'] = 2)))).toMatch(/is of another version/);
  });

  test('whose parts do not belong together is damaged, even under a digest that fits', async () => {
    const edits: readonly ((state: Parameters<Parameters<typeof edited>[0]>[0]) => void)[] = [
      (state) => (state['checkpoint'] = SIGNER.sign(SIZE, Buffer.alloc(32))),
      (state) => (state['checkpoint'] = SIGNER.sign(SIZE - 1, Buffer.alloc(32))),
      (state) => (state['checkpoint'] = new CheckpointSigner(ORIGIN, Buffer.alloc(32, 9)).sign(SIZE, Buffer.alloc(32))),
      (state) => (state.progress['size'] = SIZE - 1),
      (state) => (state.progress['size'] = 'x'),
      (state) => (state.progress['tiles'] = []),
      (state) => (state.progress['tiles'] = undefined),
      (state) => ((state.progress['tiles'] as string[])[0] = Buffer.alloc(44 * 32).toString('base64')),
      (state) => (state.progress['history'] = null),
      (state) => ((state.progress['history'] as Record<string, unknown>)['next'] = SIZE - 1),
      (state) => (state.progress['findings'] = [null]),
      (state) => (state.progress['finding_count'] = -1),
    ];
    for (const [at, edit] of edits.entries())
      expect([at, await opened(edited(edit))]).toEqual([at, expect.stringMatching(DAMAGED)]);
  });

  test('that another run has written in the meantime is not overwritten: what that one saw is kept', async () => {
    const path = join(root, 'shared.json');
    const slow = await StateFile.open(path, LOG_KEY);
    await audit(path, 300);
    const older = memorySource(logFiles(genuineEntries(200)));
    const run = verifyLog({ source: older, trust: { logKey: LOG_KEY }, memory: slow, now: () => 0 });
    await expect(run).rejects.toThrow('was written by another run in the meantime; run this again');
    expect((await StateFile.open(path, LOG_KEY)).seen?.head.size).toBe(300);
  });

  test('that cannot be written or read says so', async () => {
    mkdirSync(join(root, 'directory.json'));
    await expect(StateFile.open(join(root, 'directory.json'), LOG_KEY)).rejects.toThrow('is not a regular file');
    writeFileSync(join(root, 'file'), '');
    await expect(audit(join(root, 'file', 'state.json'), 7)).rejects.toThrow(StateFileError);
    if (process.geteuid?.() === 0) return;
    mkdirSync(join(root, 'closed'));
    chmodSync(join(root, 'closed'), 0o500);
    await expect(audit(join(root, 'closed', 'state.json'), 7)).rejects.toThrow('cannot be written');
  });
});

describe('accepted rollbacks in a state file', () => {
  test.each([undefined, {}, { kept: [], count: -1 }, { kept: [{ index: 3, entry: { type: 'release' } }], count: 1 }])(
    'that read %j are damage',
    async (rollbacks) => {
      expect(await opened(edited(({ progress }) => (progress['rollbacks'] = rollbacks)))).toMatch(DAMAGED);
    },
  );
});

describe('the checkpoint of a log whose key is not at hand', () => {
  test('is read under the key in its file, and of that log alone', async () => {
    expect((await StateFile.remembered(PATH, ORIGIN))?.head.size).toBe(SIZE);
    expect(await StateFile.remembered(join(root, 'none.json'), ORIGIN)).toBeUndefined();
    await expect(StateFile.remembered(PATH, 'broker-1/fedcba9876543210')).rejects.toThrow('is of another log');
  });

  test('must be signed by that key', async () => {
    const path = join(root, 'former.json');
    writeFileSync(
      path,
      edited((state) => (state['log_key'] = Buffer.alloc(32, 9).toString('base64url'))),
    );
    await expect(StateFile.remembered(path, ORIGIN)).rejects.toThrow(/is damaged/);
  });
});
