import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { makeDirectory } from '../../src/audit/make-directory.js';

const root = mkdtempSync(join(tmpdir(), 'portcullis-directory-'));
afterAll(() => rmSync(root, { recursive: true }));

/** Takes no directories, and says that the one above is missing. */
const procTest = existsSync('/proc/self') ? test : test.skip;

describe('a directory', () => {
  test('is made with those above it, all of the mode that is asked for', async () => {
    await makeDirectory(join(root, 'a', 'b', 'c'), 0o700);
    for (const path of ['a', 'a/b', 'a/b/c']) expect(statSync(join(root, path)).mode & 0o777).toBe(0o700);
  });

  test('may be there already, and several may make it at once', async () => {
    await makeDirectory(root);
    await makeDirectory(join(root, 'a'));
    await Promise.all(Array.from({ length: 8 }, () => makeDirectory(join(root, 'x', 'y', 'z'))));
    expect(statSync(join(root, 'x', 'y', 'z')).isDirectory()).toBe(true);
  });

  test('is not made where a file is in the way', async () => {
    writeFileSync(join(root, 'file'), '');
    await expect(makeDirectory(join(root, 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(makeDirectory(join(root, 'file', 'below', 'it'))).rejects.toMatchObject({ code: 'ENOTDIR' });
  });

  procTest('is not tried for ever in a file system that takes none', async () => {
    await expect(makeDirectory('/proc/portcullis/deeper/still')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
