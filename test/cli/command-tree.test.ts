import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Argument, Command, Option } from 'commander';
import { buildProgram } from '../../src/cli/program.js';
import { fakeBroker, fakeIo, nobody, onlyJson, portcullis, problem, type FakeBroker } from './harness.js';

/** Every command that can be named, found in the tree, so that a new one is tested without a word here. */
function allCommands(): readonly { readonly words: readonly string[]; readonly command: Command }[] {
  const root = buildProgram(() => () => Promise.resolve(), fakeIo({ stdout: '', stderr: '' }));
  const found: { words: string[]; command: Command }[] = [];
  const visit = (command: Command, words: readonly string[]): void => {
    found.push({ words: [...words], command });
    for (const child of root.createHelp().visibleCommands(command)) {
      if (child.name() !== 'help') visit(child, [...words, child.name()]);
    }
  };
  visit(root, []);
  return found;
}

const COMMANDS = allCommands();
const LEAVES = COMMANDS.filter(({ command }) => command.commands.length === 0);
const NOUNS = COMMANDS.filter(({ command }) => command.commands.length > 0);

let dir: string;
let broker: FakeBroker;
let nowhere: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-cli-'));
  broker = await fakeBroker();
  nowhere = await nobody();
  writeFileSync(join(dir, 'file'), '{"a": 1}');
});
afterAll(async () => {
  await broker.close();
  rmSync(dir, { recursive: true });
});

/** A value that each required argument and option takes, by its name. */
const SAMPLES: Readonly<Record<string, string>> = {
  file: 'file',
  'file|spki': 'file',
  name: 'name',
  sha256: 'ab'.repeat(32),
  id: '0123456789abcdef',
  shell: 'bash',
  '--deployment': 'name',
  '--key': 'name',
  '--file': 'file',
  '--role': 'auditor',
  '--release': '0123456789abcdef0123456789abcdef',
  '--data-dir': 'new',
  '--quoted': 'file',
  '--signature': 'file',
  '--ak': 'file',
  '--pcrs': 'file',
  '--log-key': 'file',
  '--out': 'exported',
  '--log': 'file',
  '--name': 'witness.example/w1',
  '--tpm': 'swtpm:host=127.0.0.1,port=9',
};

function sample(name: string): string {
  const value = SAMPLES[name];
  if (value === undefined) throw new Error(`SAMPLES has no value for ${name}`);
  return value;
}

function minimalLine(words: readonly string[], command: Command): readonly string[] {
  const args = command.registeredArguments.filter((each: Argument) => each.required).map((each) => sample(each.name()));
  const options = command.options
    .filter((each: Option) => each.mandatory && each.defaultValue === undefined)
    .flatMap((each) => [each.long ?? '', sample(each.long ?? '')]);
  return [...words, ...args, ...options];
}

/** The demo starts a broker of its own, and is tested where it is written. */
const RUNNABLE = LEAVES.filter(({ words }) => words.join(' ') !== 'demo');
const STUBS = {
  initialise: () => Promise.resolve({ ok: false, reason: 'resource.exists', detail: 'taken' } as const),
  serve: () => Promise.resolve(0),
};

describe('every command', () => {
  test('of the contract is there', () => {
    const names = LEAVES.map(({ words }) => words.join(' '));
    expect(names).toEqual(
      expect.arrayContaining([
        ...['init', 'serve', 'policy hash', 'policy register', 'policy list', 'policy show', 'policy retire'],
        ...['deployment apply', 'deployment list', 'deployment show', 'deployment freeze', 'deployment unfreeze'],
        ...['key create', 'key import', 'key list', 'key show', 'key rotate', 'key disable', 'key enable'],
        ...['key freeze', 'key unfreeze', 'key delete', 'key recover', 'key link', 'key unlink'],
        ...['attester trust', 'attester list', 'attester show', 'attester revoke'],
        ...['attester quarantine', 'attester revocations'],
        ...['token create', 'token list', 'token revoke', 'kek rotate', 'entries', 'replay', 'quote verify'],
        ...['workload release', 'workload enrol', 'workload ak'],
        ...['doctor', 'completion', 'deployment lint', 'receipt verify'],
        ...['log verify', 'log tail', 'log query', 'log export', 'log schema'],
        ...['witness init', 'witness serve', 'witness show', 'evidence verify', 'evidence explain'],
      ]),
    );
  });

  test.each(COMMANDS.map(({ words }) => [words.join(' '), words] as const))(
    '`%s --help` explains it, gives an example and says where to go next',
    async (_name, words) => {
      const { code, stdout, stderr } = await portcullis([...words, '--help']);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/^Usage: portcullis/);
      expect(stdout).toMatch(/\nExamples?:\n {2}\$ [a-z]/);
      expect(stdout).toMatch(/\nNext: ./);
      for (const option of ['--url', '--token-file', '--ca', '--json']) expect(stdout).toContain(option);
    },
  );

  test.each(LEAVES.map(({ words, command }) => [words.join(' '), command] as const))(
    '`%s` describes each of its options and arguments',
    (_name, command) => {
      for (const option of command.options) expect(option.description).not.toBe('');
      for (const argument of command.registeredArguments) expect(argument.description).not.toBe('');
      expect(command.description()).toMatch(/\.$/);
    },
  );

  test.each(COMMANDS.map(({ words }) => [words.join(' '), words] as const))(
    '`%s --no-such-option` is wrong usage, on one line of stderr',
    async (_name, words) => {
      const { code, stdout, stderr } = await portcullis([...words, '--no-such-option']);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toMatch(
        /^portcullis: .*(?:unknown option|required option|missing required).*; see `portcullis.* --help`\n$/,
      );
    },
  );
});

describe('--json prints one document', () => {
  test.each(LEAVES.map(({ words }) => [words.join(' '), words] as const))(
    '`%s`, on wrong usage',
    async (_name, words) => {
      const { code, stdout } = await portcullis([...words, '--json', '--no-such-option']);
      expect(code).toBe(2);
      expect(onlyJson(stdout)).toMatchObject({ ok: false, reason: 'usage' });
    },
  );

  test.each(RUNNABLE.map(({ words, command }) => [words.join(' '), words, command] as const))(
    '`%s`, when the broker refuses',
    async (_name, words, command) => {
      broker.answer(problem(403, 'auth.role'));
      const line = [...minimalLine(words, command), '--json', '--url', broker.url];
      const { code, stdout } = await portcullis(line, {
        cwd: dir,
        parts: STUBS,
        env: process.env as Record<string, string>,
      });
      expect(typeof onlyJson(stdout)).toBe('object');
      if (broker.received.length > 0 && words[0] !== 'doctor') {
        expect(code).toBe(1);
        expect(onlyJson(stdout)).toMatchObject({ ok: false, reason: 'auth.role', detail: 'why auth.role' });
      }
    },
  );

  test.each(RUNNABLE.map(({ words, command }) => [words.join(' '), words, command] as const))(
    '`%s`, when nobody answers',
    async (name, words, command) => {
      broker.answer(problem(403, 'auth.role'));
      const line = minimalLine(words, command);
      await portcullis([...line, '--url', broker.url], { cwd: dir, parts: STUBS });
      const needsBroker = broker.received.length > 0 && name !== 'doctor';
      const { code, stdout, stderr } = await portcullis([...line, '--json', '--url', nowhere], {
        cwd: dir,
        parts: STUBS,
      });
      if (!needsBroker) return;
      expect(code).toBe(3);
      expect(onlyJson(stdout)).toMatchObject({ ok: false, reason: 'unreachable' });
      expect(stderr).toMatch(/^portcullis: cannot reach the broker at .*\n$/);
    },
  );
});

describe('the command line', () => {
  test.each(NOUNS.map(({ words }) => [words.join(' '), words] as const))(
    '`portcullis %s` alone shows help on stderr, exit 2',
    async (_name, words) => {
      const { code, stdout, stderr } = await portcullis(words);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toContain('Usage: portcullis');
      const asJson = await portcullis([...words, '--json']);
      expect(onlyJson(asJson.stdout)).toMatchObject({ ok: false, reason: 'usage' });
    },
  );

  test('an unknown command suggests the nearest', async () => {
    const { code, stderr } = await portcullis(['polcy']);
    expect(code).toBe(2);
    expect(stderr).toBe("portcullis: unknown command 'polcy' (Did you mean policy?); see `portcullis --help`\n");
    expect((await portcullis(['key', 'rotat'])).stderr).toContain('Did you mean rotate?');
  });

  test('--version prints the version of the package, and is an option of key show', async () => {
    expect(await portcullis(['--version'])).toEqual({ code: 0, stdout: '0.1.0\n', stderr: '' });
    expect((await portcullis(['key', 'show', 'weights', '--version', 'x'])).stderr).toContain('32 hex digits');
  });

  test('too many arguments are wrong usage', async () => {
    expect((await portcullis(['key', 'list', 'weights'])).code).toBe(2);
    expect((await portcullis(['policy', 'hash'])).code).toBe(2);
  });
});
