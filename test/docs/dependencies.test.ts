import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';

interface PackageJson {
  readonly license?: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const ours = readJson('package.json');
const PAGE = readFileSync('docs/design/0002-dependencies.md', 'utf8');

function readJson(path: string): PackageJson {
  return JSON.parse(readFileSync(path, 'utf8')) as PackageJson;
}

/** Package and licence, in the table under a heading. */
function listed(heading: string): readonly (readonly [string, string])[] {
  const section = PAGE.split(`### ${heading}\n`)[1]?.split('\n#')[0] ?? '';
  return [...section.matchAll(/^\| `([^`]+)` \| ([^|]+) \|/gm)].map(([, name = '', licence = '']) => [name, licence]);
}

/** The licence that a package states, as the page writes it. */
function licenceOf(name: string): string {
  const stated = readJson(join('node_modules', name, 'package.json')).license ?? 'none';
  return stated.replace(/^\((.*)\)$/, '$1').replace(' OR ', ' or ');
}

describe('docs/design/0002-dependencies.md', () => {
  test.each([
    ['At run time', Object.keys(ours.dependencies)],
    ['For development', Object.keys(ours.devDependencies)],
  ])('lists the packages of package.json, with their licences: %s', (heading, names) => {
    expect(listed(heading)).toEqual([...names].sort().map((name) => [name, licenceOf(name)]));
  });
});

test('every package of the run time is imported in src', () => {
  const text = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join('src', name), 'utf8'))
    .join('\n');
  const imported = (name: string) => new RegExp(`(?:from |import\\()'${name}(?:/[^']*)?'`).test(text);
  expect(Object.keys(ours.dependencies).filter((name) => !imported(name))).toEqual([]);
});
