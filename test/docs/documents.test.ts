import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { Readable } from 'node:stream';
import type { Command } from 'commander';
import { describe, expect, test } from '@jest/globals';
import { buildProgram } from '../../src/cli/program.js';

const DOCUMENTS = [
  ...readdirSync('.').filter((name) => name.endsWith('.md')),
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

function read(path: string): string {
  return readFileSync(path, 'utf8');
}

/** Anchors as GitHub makes them of headings. */
function anchorsOf(path: string): readonly string[] {
  return [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );
}

function brokenLinks(document: string): readonly string[] {
  const links = [...read(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return links.filter((target) => {
    if (/^https?:/.test(target)) return false;
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? document : normalize(join(dirname(document), path));
    return !existsSync(file) || (anchor !== undefined && !anchorsOf(file).includes(anchor));
  });
}

/** The command lines of the fenced blocks marked `sh`, continuation lines joined, comments and prompts left out. */
function commandLines(document: string): readonly string[] {
  return [...read(document).matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) =>
    block
      .replaceAll('\\\n', ' ')
      .split('\n')
      .map((line) => line.replace(/\s+#.*$/, '').trim()),
  );
}

const program = buildProgram(() => async () => undefined, {
  stdout: { write: () => undefined, isTerminal: false },
  stderr: { write: () => undefined, isTerminal: false },
  stdin: Readable.from([]),
  env: {},
  cwd: process.cwd(),
});

/** What is wrong with a line `portcullis …`: the first command or option that the program does not have. */
function unknownWord(line: string): string | undefined {
  let command: Command = program;
  for (const word of line.split(/\s+/).slice(1)) {
    if (word === '|' || word === '>' || word === '&' || word === '&&') return undefined;
    const child = command.commands.find((each) => each.name() === word);
    if (child !== undefined) {
      command = child;
      continue;
    }
    if (command.commands.length > 0 && /^[a-z]/.test(word) && command !== program) return word;
    if (word.startsWith('--') && !knowsOption(command, word)) return word;
  }
  return command === program ? line : undefined;
}

function knowsOption(command: Command, word: string): boolean {
  const name = word.split('=')[0];
  for (let each: Command | null = command; each !== null; each = each.parent) {
    if (each.options.some((option) => option.long === name) || name === '--help') return true;
  }
  return false;
}

describe.each(DOCUMENTS)('%s', (document) => {
  test('links to files and headings that exist', () => {
    expect(brokenLinks(document)).toEqual([]);
  });

  test('names files that exist, in the root or below src', () => {
    const named = [...read(document).matchAll(/`([\w.-]+\/[\w./-]+\.(?:ts|js|cjs|sh))`/g)].map(([, path = '']) => path);
    const written = named.filter((path) => !/NNNN|^(?:dist|node_modules)\//.test(path));
    expect(written.filter((path) => !existsSync(path) && !existsSync(join('src', path)))).toEqual([]);
  });

  test('names scripts that package.json has', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = [...read(document).matchAll(/npm run (?:--silent )?([a-z:-]+)/g)].map(([, name = '']) => name);
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });

  test('shows commands and options that the program has', () => {
    const lines = commandLines(document).filter((line) => line.startsWith('portcullis '));
    expect(lines.flatMap((line) => unknownWord(line)?.concat(' in: ', line) ?? [])).toEqual([]);
  });
});
