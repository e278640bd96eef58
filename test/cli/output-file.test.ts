import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createOutputFile } from '../../src/cli/output-file.js';
import { fakeIo } from './harness.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-output-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

async function write(name: string, replace = true, content = 'new'): Promise<void> {
  const file = await createOutputFile(fakeIo({ stdout: '', stderr: '' }, { cwd: dir }), name, replace);
  try {
    await file.write(content);
  } finally {
    await file.discard();
  }
}

const at = (name: string) => join(dir, name);
const text = (name: string) => readFileSync(at(name), 'utf8');

test('a file is made, or replaced, and is its owner’s alone', async () => {
  await write('made');
  writeFileSync(at('there'), 'old', { mode: 0o644 });
  await write('there');
  for (const name of ['made', 'there']) {
    expect([text(name), statSync(at(name)).mode & 0o777]).toEqual(['new', 0o600]);
  }
  expect(readdirSync(dir).sort()).toEqual(['made', 'there']);
});

test('without replacing, nothing that is there is touched, no link either', async () => {
  writeFileSync(at('there'), 'old');
  symlinkSync('nowhere', at('link'));
  for (const name of ['there', 'link'])
    await expect(write(name, false)).rejects.toThrow(`cannot write ${name}: it exists already`);
  expect(text('there')).toBe('old');
  expect(readdirSync(dir).sort()).toEqual(['link', 'there']);
});

test('a file that nothing was written into leaves no trace', async () => {
  writeFileSync(at('there'), 'old');
  for (const name of ['there', 'other']) {
    await (await createOutputFile(fakeIo({ stdout: '', stderr: '' }, { cwd: dir }), name, true)).discard();
  }
  expect(text('there')).toBe('old');
  expect(readdirSync(dir)).toEqual(['there']);
});

test('a link stays one, and what it leads to is replaced or made', async () => {
  mkdirSync(at('far'));
  writeFileSync(at('far/real'), 'old');
  symlinkSync('far/real', at('link'));
  symlinkSync('link', at('link-to-link'));
  symlinkSync('far/made', at('dangling'));
  await write('link-to-link');
  await write('dangling');
  expect([text('far/real'), text('far/made')]).toEqual(['new', 'new']);
  expect(['link', 'link-to-link', 'dangling'].every((name) => lstatSync(at(name)).isSymbolicLink())).toBe(true);
  expect(readdirSync(at('far')).sort()).toEqual(['made', 'real']);
});

test('a link in a folder that is a link leads where the system says', async () => {
  mkdirSync(at('b/c'), { recursive: true });
  symlinkSync('b/c', at('linked'));
  symlinkSync('../made', at('b/c/link'));
  await write('linked/link');
  expect(text('b/made')).toBe('new');
  expect(readdirSync(dir).sort()).toEqual(['b', 'linked']);
});

test('a pipe without a name is written into', () => {
  const program = `
    const { createOutputFile } = await import(${JSON.stringify(new URL('../../dist/cli/output-file.js', import.meta.url).href)});
    const file = await createOutputFile({ cwd: '/' }, '/proc/self/fd/1', true);
    await file.write('through');
    await file.discard();`;
  const script = '"$0" --input-type=module -e "$1" | cat';
  const said = execFileSync('sh', ['-c', script, process.execPath, program], { encoding: 'utf8' });
  expect(said).toBe('through');
});

test('links that lead nowhere are wrong usage', async () => {
  symlinkSync('b', at('a'));
  symlinkSync('a', at('b'));
  symlinkSync('none/../c', at('c'));
  symlinkSync('none/file', at('d'));
  for (const name of ['a', 'c', 'd']) await expect(write(name)).rejects.toThrow(`cannot write ${name}: `);
});

test('a pipe is written into, and stays a pipe of its mode', async () => {
  execFileSync('mkfifo', ['-m', '640', at('pipe')]);
  symlinkSync('pipe', at('link'));
  for (const name of ['pipe', 'link']) {
    const content = 'x'.repeat(200_000);
    const [read] = await Promise.all([readFile(at('pipe'), 'utf8'), write(name, true, content)]);
    expect(read).toBe(content);
    expect([lstatSync(at('pipe')).isFIFO(), lstatSync(at('pipe')).mode & 0o777]).toEqual([true, 0o640]);
  }
  expect(readdirSync(dir).sort()).toEqual(['link', 'pipe']);
});

test('a directory, and stdout, are no place for it', async () => {
  mkdirSync(at('folder'));
  await expect(write('folder')).rejects.toThrow('cannot write folder: it is a directory');
  await expect(write('-')).rejects.toThrow('stdout is for the answer of the command');
  expect(readdirSync(dir)).toEqual(['folder']);
});
