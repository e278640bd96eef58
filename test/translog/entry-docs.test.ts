import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { ENTRY_SCHEMAS } from '../../src/translog/entry-schemas.js';
import { type EntryType, RECORD_TYPES } from '../../src/translog/entry-types.js';

interface Member {
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly items?: Member;
  readonly 'x-name'?: string;
}

const TYPES = Object.keys(ENTRY_SCHEMAS) as readonly EntryType[];
const COMMON = ['type', 'time', 'state_generation', 'names'];

/** The part of docs/LOG.md on entries. */
const SECTION = /\n## Entries\n([\s\S]*?)(?=\n## |$)/.exec(readFileSync('docs/LOG.md', 'utf8'))?.[1] ?? '';

function membersOf(type: EntryType): readonly [string, Member][] {
  return Object.entries(ENTRY_SCHEMAS[type].properties as Readonly<Record<string, Member>>);
}

function row(type: EntryType, [name, member]: readonly [string, Member]): string {
  const required: readonly string[] = ENTRY_SCHEMAS[type].required;
  const form = [
    ...(required.includes(name) ? [] : ['optional']),
    ...((member['x-name'] ?? member.items?.['x-name']) === undefined ? [] : ['salted']),
  ].join(', ');
  const values = member.enum ?? member.items?.enum;
  const listed = values === undefined ? '' : ` ${values.map((value) => `\`${value}\``).join(', ')}.`;
  return `| \`${name}\` | ${form} | ${member.description ?? ''}${listed} |`;
}

/** What the document has to say of one type. */
function documented(type: EntryType): string {
  const { description } = ENTRY_SCHEMAS[type] as { readonly description?: string };
  const rows = membersOf(type).filter(([name]) => !COMMON.includes(name));
  return [
    `### \`${type}\``,
    '',
    `${description ?? ''}${RECORD_TYPES.has(type) ? ' A record: it changes no state.' : ''}`,
    '',
    '| Member | | Meaning |',
    '|---|---|---|',
    ...rows.map((member) => row(type, member)),
    '',
  ].join('\n');
}

describe('docs/LOG.md', () => {
  test('has a part for every type of entry, in order, and for no other', () => {
    expect([...SECTION.matchAll(/^### `(.+)`$/gm)].map(([, type]) => type)).toEqual(TYPES);
  });

  test.each(TYPES)('describes %s as its schema does', (type) => {
    expect(SECTION).toContain(documented(type));
  });

  test('describes what every entry has', () => {
    const common = membersOf('release').filter(([name]) => COMMON.includes(name));
    expect(common).toHaveLength(COMMON.length);
    for (const [name, { description = '' }] of common) expect(SECTION).toContain(`| \`${name}\` | ${description} |`);
  });
});
