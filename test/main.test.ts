import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { PROGRAM } from './helpers/served-broker.js';

/** Runs the program with a stdout that takes nothing, as on a full disk. */
function withoutStdout(env: Readonly<Record<string, string>>) {
  const dir = mkdtempSync(join(tmpdir(), 'portcullis-main-'));
  writeFileSync(join(dir, 'file'), '');
  const readable = openSync(join(dir, 'file'), 'r');
  try {
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, '--version'], {
      stdio: ['ignore', readable, 'pipe'],
      env: { ...process.env, ...env },
      encoding: 'utf8',
      timeout: 60_000,
    });
    return { status, stderr };
  } finally {
    closeSync(readable);
    rmSync(dir, { recursive: true });
  }
}

test('a stdout that takes nothing is one line on stderr and exit code 1', () => {
  const { status, stderr } = withoutStdout({ PORTCULLIS_DEBUG: '' });
  expect(stderr).toMatch(/^portcullis: cannot write to standard output: EBADF[^\n]*\n$/);
  expect(status).toBe(1);
});

test('and with PORTCULLIS_DEBUG=1 where it happened', () => {
  expect(withoutStdout({ PORTCULLIS_DEBUG: '1' }).stderr).toMatch(/^Error: EBADF[^\n]*\n +at /);
});
