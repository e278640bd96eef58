import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CheckpointFile, CheckpointFileError } from '../../src/store/checkpoint-file/checkpoint-file.js';

let directory: string;
let file: CheckpointFile;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'portcullis-kept-'));
  file = new CheckpointFile(join(directory, 'log.checkpoint'));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const always = () => true;

describe('the checkpoint file', () => {
  test('is nothing before it is written, and then what was written, for its owner alone whatever the umask', async () => {
    const umask = process.umask(0);
    try {
      expect([await file.read(), await file.writtenAtMs()]).toEqual([undefined, undefined]);
      expect(await file.replace('the first', always)).toBe(true);
    } finally {
      process.umask(umask);
    }
    expect(await file.read()).toBe('the first');
    expect((statSync(file.path).mode & 0o777).toString(8)).toBe('600');
    expect(Math.abs(((await file.writtenAtMs()) ?? 0) - Date.now())).toBeLessThan(60_000);
    expect(readdirSync(directory)).toEqual(['log.checkpoint']);
  });

  test('is replaced only by who has seen what it holds', async () => {
    await file.replace('the first', always);
    const seen: (string | undefined)[] = [];
    const look = (current: string | undefined): boolean => seen.push(current) < 2;
    expect([await file.replace('the second', look), await file.replace('the third', look)]).toEqual([true, false]);
    expect(seen).toEqual(['the first', 'the second']);
    expect(await file.read()).toBe('the second');
    expect(readdirSync(directory)).toEqual(['log.checkpoint']);
  });

  test('stays as it is where the look fails, and nothing is left beside it', async () => {
    await file.replace('the first', always);
    const failing = file.replace('the second', () => {
      throw new CheckpointFileError('not that one');
    });
    await expect(failing).rejects.toThrow('not that one');
    expect(await file.read()).toBe('the first');
    expect(readdirSync(directory)).toEqual(['log.checkpoint']);
  });

  test('is one or the other for whoever reads while it is replaced', async () => {
    const texts = ['a', 'b'].map((letter) => letter.repeat(60_000));
    await file.replace(texts[0]!, always);
    const writer = async () => {
      for (let round = 0; round < 40; round++) await file.replace(texts[round % 2]!, always);
    };
    const reader = async () => {
      for (let round = 0; round < 200; round++) {
        expect(texts).toContain(await file.read());
        expect(texts).toContain(readFileSync(file.path, 'utf8'));
      }
    };
    await Promise.all([writer(), reader(), reader()]);
  });

  test.each([
    ['a directory', () => mkdirSync(file.path), /not a regular file/],
    ['a link', () => symlinkSync('/etc/passwd', file.path), /ELOOP/],
    ['a FIFO', () => execFileSync('mkfifo', [file.path]), /not a regular file/],
    ['too large', () => writeFileSync(file.path, 'x'.repeat(65_537)), /larger than/],
  ])('that is %s is refused, and left as it is', async (_, make, message) => {
    make();
    await expect(file.read()).rejects.toThrow(CheckpointFileError);
    await expect(file.read()).rejects.toThrow(message);
    await expect(file.replace('x', always)).rejects.toThrow(CheckpointFileError);
  });

  test('in a directory that is not there is nothing to read, and a failure to write that says what to do', async () => {
    file = new CheckpointFile(join(directory, 'none', 'log.checkpoint'));
    expect(await file.read()).toBeUndefined();
    await expect(file.replace('x', always)).rejects.toThrow(/ENOENT.*check that its directory is there/);
    writeFileSync(join(directory, 'none'), '');
    await expect(file.read()).rejects.toThrow(/ENOTDIR/);
    await expect(file.replace('x', always)).rejects.toThrow(/ENOTDIR/);
  });

  (process.getuid?.() === 0 ? test.skip : test)(
    'in a directory that cannot be written fails (not as root)',
    async () => {
      chmodSync(directory, 0o500);
      await expect(file.replace('x', always)).rejects.toThrow(/EACCES/);
      chmodSync(directory, 0o700);
    },
  );

  test('is tidied of what killed writers left, and of nothing else', async () => {
    await file.replace('kept', always);
    for (const name of ['log.checkpoint.new-1', 'log.checkpoint.new-2', 'log.checkpoint.old', 'other']) {
      writeFileSync(join(directory, name), '');
    }
    const nowMs = Date.now();
    utimesSync(join(directory, 'log.checkpoint.new-1'), 0, nowMs / 1000 - 120);
    await file.tidy(nowMs);
    expect(readdirSync(directory).sort()).toEqual([
      'log.checkpoint',
      'log.checkpoint.new-2',
      'log.checkpoint.old',
      'other',
    ]);
    await new CheckpointFile(join(directory, 'none', 'x')).tidy(nowMs);
    expect(existsSync(join(directory, 'none'))).toBe(false);
  });
});
