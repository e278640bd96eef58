import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { statusOf } from '../../src/http/problem.js';
import { isReasonCode, REASONS } from '../../src/reason/reason.js';

const CODES = Object.keys(REASONS);

/** Rows of the tables of docs/REASONS.md that start with a code. */
const ROWS = readFileSync('docs/REASONS.md', 'utf8')
  .split('\n')
  .map((line) => /^\| `([a-z_.]+)` \| (\d{3}) \| (.+) \| (.+) \|$/.exec(line))
  .filter((row) => row !== null)
  .map(([, code = '', status = '']) => ({ code, status: Number(status) }));

function sources(folder: string): readonly { readonly path: string; readonly text: string }[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({ path: join(folder, name), text: readFileSync(join(folder, name), 'utf8') }));
}

describe('docs/REASONS.md', () => {
  test('lists every code of the registry, once, and no other', () => {
    expect(ROWS.map((row) => row.code).sort()).toEqual([...CODES].sort());
  });

  test('gives each code the status that the native face answers with', () => {
    const answered = ROWS.filter(({ code }) => isReasonCode(code)).map(({ code }) => ({
      code,
      status: statusOf(code as keyof typeof REASONS),
    }));
    expect(ROWS).toEqual(answered);
  });
});

describe('a reason code', () => {
  const emitting = sources('src').filter(({ path }) => !path.endsWith(join('reason', 'reason.ts')));
  const testing = sources('test').filter(({ path }) => !path.startsWith(join('test', 'docs')));

  test('is emitted somewhere outside of the registry', () => {
    const emits = (code: string) =>
      new RegExp(`(?:\\b(?:reject|refuse|refusal)\\(\\s*|\\breason: )'${code.replace('.', '\\.')}'`);
    expect(CODES.filter((code) => !emitting.some(({ text }) => emits(code).test(text)))).toEqual([]);
  });

  test('appears in at least one test', () => {
    // As a word of its own, or before its detail.
    const forms = (code: string) => [`'${code}'`, `'${code}: `, `/^${code.replace('.', '\\.')}: `];
    expect(
      CODES.filter((code) => !testing.some(({ text }) => forms(code).some((form) => text.includes(form)))),
    ).toEqual([]);
  });
});
