import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { writeFiles } from '../../src/collateral/write-files.js';

let path: string;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'portcullis-write-'));
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

test('files are written whole, for their owner alone, and nothing else stays', async () => {
  const directory = join(path, 'new');
  await writeFiles(directory, new Map([['amd/a.crl', Buffer.from('1')]]));
  await writeFiles(directory, new Map([['amd/a.crl', Buffer.from('2')]]));
  expect(readFileSync(join(directory, 'amd/a.crl'), 'utf8')).toBe('2');
  expect(statSync(join(directory, 'amd/a.crl')).mode & 0o777).toBe(0o600);
  expect(readdirSync(join(directory, 'amd'))).toEqual(['a.crl']);
});

test('where a file cannot take its place, no draft of it stays', async () => {
  mkdirSync(join(path, 'a.crl/taken'), { recursive: true });
  await expect(writeFiles(path, new Map([['a.crl', Buffer.from('1')]]))).rejects.toMatchObject({ code: 'EISDIR' });
  expect(readdirSync(path)).toEqual(['a.crl']);
});

test('a link that somebody put where a draft could be, or in place of the file, is not followed', async () => {
  const victim = join(path, 'victim');
  writeFileSync(victim, 'untouched');
  for (const name of [`.a.crl.${String(process.pid)}.new`, 'a.crl']) symlinkSync(victim, join(path, name));
  await writeFiles(path, new Map([['a.crl', Buffer.from('content')]]));
  expect(readFileSync(victim, 'utf8')).toBe('untouched');
  expect(readFileSync(join(path, 'a.crl'), 'utf8')).toBe('content');
});
