import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { onlyJson, portcullis } from './harness.js';

async function complete(...words: readonly string[]): Promise<readonly string[]> {
  const { code, stdout } = await portcullis(['complete', '--', ...words]);
  expect(code).toBe(0);
  return stdout
    .split('\n')
    .filter((line) => line !== '' && !/^:\d+$/.test(line))
    .map((line) => line.split('\t')[0] ?? '');
}

describe('complete', () => {
  test('knows commands, options and their values', async () => {
    expect(await complete('')).toEqual(expect.arrayContaining(['serve', 'policy', 'key', 'completion']));
    expect(await complete('')).not.toContain('complete');
    expect(await complete('key', 'cr')).toEqual(['create']);
    expect(await complete('key', 'create', '--ty')).toEqual(['--type']);
    expect(await complete('key', 'create', 'x', '--type', '')).toEqual(['oct', 'RSA', 'EC', 'OKP']);
    expect(await complete('quote', 'verify', '--')).toEqual(expect.arrayContaining(['--quoted', '--pcr', '--json']));
    expect(await complete('completion', 'z')).toEqual(['zsh']);
  });
});

describe('completion', () => {
  test.each(['bash', 'zsh', 'fish', 'powershell'])('%s prints a script that calls the program', async (shell) => {
    const { code, stdout } = await portcullis(['completion', shell]);
    expect(code).toBe(0);
    expect(stdout).toContain('portcullis complete ');
    const json = onlyJson((await portcullis(['completion', shell, '--json'])).stdout);
    expect(json).toMatchObject({ shell });
    expect(`${(json['script'] as string).trimEnd()}\n`).toBe(stdout);
  });
});

const hasBash = spawnSync('bash', ['--version']).status === 0;
(hasBash ? describe : describe.skip)('the bash script, in bash', () => {
  let dir: string;
  let script: string;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'portcullis-bash-'));
    script = (await portcullis(['completion', 'bash'])).stdout;
  });
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });

  /** Completes in bash, with a program that prints its words and then two candidates. */
  function press(words: readonly string[]): string {
    const program = 'portcullis() { shift 2; printf "[%s]" "$@" >&3; printf "one\\tthe first\\ntwo\\n:4\\n"; }';
    const line = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
    const body = [program, script, script, `COMP_WORDS=(portcullis ${line})`, `COMP_CWORD=${String(words.length)}`];
    writeFileSync(
      join(dir, 'run.sh'),
      [...body, '__portcullis_complete', 'echo "${COMPREPLY[*]}"', 'complete -p portcullis'].join('\n'),
    );
    const ran = spawnSync('bash', ['-c', `exec 3>&1; cd ${dir}; . ./run.sh`], { encoding: 'utf8' });
    expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: '' });
    return ran.stdout;
  }

  test('hands the words over, the empty one included, and offers the candidates', () => {
    expect(press(['key', ''])).toBe('[key][]one two\ncomplete -o default -F __portcullis_complete portcullis\n');
  });

  test('runs nothing that stands on the line', () => {
    const words = ['key', `$(touch ${dir}/ran)`, '`touch ran`', '; touch ran', '*', ''];
    expect(press(words)).toContain(`[key][$(touch ${dir}/ran)][\`touch ran\`][; touch ran][*][]`);
    expect(existsSync(join(dir, 'ran'))).toBe(false);
  });
});
