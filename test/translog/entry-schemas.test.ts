import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from '@jest/globals';
import type { Json } from '../../src/bytes/canonical-json.js';
import { REASONS } from '../../src/reason/reason.js';
import { MAX_COUNTS } from '../../src/translog/entry-members.js';
import { ENTRY_SCHEMAS, entryFault, entryJsonSchema } from '../../src/translog/entry-schemas.js';
import { type EntryType, RECORD_TYPES } from '../../src/translog/entry-types.js';
import { composeEntry, MAX_ENTRY_BYTES, type Members, parseEntry } from '../../src/translog/entry.js';
import { Pseudonyms } from '../../src/translog/names.js';
import { AT, EXAMPLES, without } from './entry-examples.js';

interface Schema {
  readonly type?: string;
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly maxProperties?: number;
  readonly additionalProperties?: boolean;
  readonly required?: readonly string[];
  readonly description?: string;
}

const TYPES = Object.keys(ENTRY_SCHEMAS) as readonly EntryType[];
const schemaOf = (type: EntryType) => JSON.parse(JSON.stringify(ENTRY_SCHEMAS[type])) as Schema;
const exampleOf = (type: EntryType) => parseEntry(composeEntry(type, EXAMPLES[type], AT).text);
const published = new Ajv2020({ strict: true, strictRequired: false })
  .addVocabulary(['x-name'])
  .compile(entryJsonSchema());

/** The bytes of JSON that a value of the schema takes at most: no string of an entry needs an escape. */
function largest(schema: Schema): number {
  if (schema.const !== undefined) return JSON.stringify(schema.const).length;
  if (schema.enum !== undefined) return Math.max(...schema.enum.map((value) => JSON.stringify(value).length));
  switch (schema.type) {
    case 'string':
      return 2 + (schema.maxLength ?? Infinity);
    case 'boolean':
      return 5;
    case 'integer':
      return Math.max(String(schema.minimum).length, String(schema.maximum ?? Infinity).length);
    case 'array':
      return 2 + (schema.maxItems ?? Infinity) * (1 + largest(schema.items ?? {}));
    case 'object': {
      const members = Object.entries(schema.properties ?? {}).map(([name, value]) => name.length + 4 + largest(value));
      const counted = Object.values(schema.patternProperties ?? {}).map(
        (value) => (schema.maxProperties ?? Infinity) * (65 + 4 + largest(value)),
      );
      return 2 + [...members, ...counted].reduce((sum, bytes) => sum + bytes, 0);
    }
    default:
      return Infinity;
  }
}

/** Every schema inside a schema, itself included. */
function within(schema: Schema): readonly Schema[] {
  const children = [
    ...Object.values(schema.properties ?? {}),
    ...Object.values(schema.patternProperties ?? {}),
    ...(schema.items === undefined ? [] : [schema.items]),
  ];
  return [schema, ...children.flatMap(within)];
}

describe.each(TYPES)('the schema of %s', (type) => {
  const schema = schemaOf(type);
  const example = exampleOf(type);
  const fault = (change: Readonly<Record<string, Json | undefined>>) => {
    const changed = Object.entries({ ...example, ...change }).filter(([, value]) => value !== undefined);
    return entryFault(type, Object.fromEntries(changed));
  };

  test('lets no entry be larger than an entry may be', () => {
    expect(largest(schema)).toBeLessThanOrEqual(MAX_ENTRY_BYTES);
  });

  test('bounds every string, in ASCII that JSON writes as it is, and describes every member', () => {
    for (const each of within(schema)) {
      if (each.type === 'object') expect(each.additionalProperties).toBe(false);
      if (each.type !== 'string' || each.const !== undefined || each.enum !== undefined) continue;
      expect(each.maxLength).toBeLessThanOrEqual(256);
      expect(each.pattern).toMatch(/^\^[ -~]+\$$/);
      for (const letter of ['"', '\\', '\n', '\u007f', 'é', '😀']) {
        expect(new RegExp(each.pattern ?? '', 'u').test(letter)).toBe(false);
      }
    }
    for (const member of Object.values(schema.properties ?? {})) expect(member.description).toMatch(/\S.*[.)]$/);
    expect(schema.description).toMatch(/\.$/);
  });

  test('accepts an entry with all its members, and is published so', () => {
    const members = Object.keys(schema.properties ?? {}).filter((member) => member !== 'names' && member !== 'frozen');
    expect(Object.keys(example)).toEqual(expect.arrayContaining(members));
    expect(fault({})).toBeUndefined();
    expect(published(example)).toBe(true);
  });

  test('needs the members that it needs, and has no others', () => {
    for (const member of Object.keys(example)) {
      const needed = schema.required?.includes(member) === true || (type === 'key.state' && member === 'state');
      expect([member, fault({ [member]: undefined }) === undefined]).toEqual([member, !needed]);
    }
    expect(fault({ extra: 'x' })).toBe('the entry: unknown member "extra"');
    expect(fault({ ['__proto__x']: 'x' })).toMatch(/unknown member/);
    const inherited = JSON.parse(`{"__proto__":1,${JSON.stringify(example).slice(1)}`) as Members;
    expect(entryFault(type, inherited)).toMatch(/unknown member/);
  });

  test('takes no value of another kind', () => {
    for (const member of Object.keys(example)) {
      for (const wrong of [null, 1.5, '', ' ', 'x\n', [1], { a: 'x' }, '\u0000', 'x'.repeat(257)]) {
        expect([member, wrong, fault({ [member]: wrong })]).not.toEqual([member, wrong, undefined]);
      }
    }
  });

  test('takes strings up to their length and no longer', () => {
    for (const [member, { maxLength, pattern }] of Object.entries(schema.properties ?? {})) {
      if (maxLength === undefined || pattern === undefined) continue;
      for (const filler of ['a', 'f', '1', 'A']) {
        expect(fault({ [member]: filler.repeat(maxLength + 1) })).toBeDefined();
      }
    }
  });
});

describe('the check of an entry', () => {
  test('goes by the type that it is told', () => {
    expect(entryFault('release', exampleOf('denial'))).toBe("the entry: must have required property 'release_id'");
    for (const type of ['', 'Release', 'constructor', '__proto__', 'toString']) {
      expect(entryFault(type, { type })).toBe('the type of the entry is not known');
    }
  });

  test('never quotes a value', () => {
    const secret = 'hunter2-hunter2';
    for (const member of Object.keys(exampleOf('release'))) {
      expect(entryFault('release', { ...exampleOf('release'), [member]: `${secret}\n` })).not.toContain(secret);
    }
  });

  test('tells salted names from plain ones', () => {
    const pseudonyms = new Pseudonyms(Buffer.alloc(32, 7));
    const salted = parseEntry(composeEntry('release', EXAMPLES.release, AT, pseudonyms).text);
    const unsaid = without(salted, 'names');
    expect(entryFault('release', salted)).toBeUndefined();
    expect(entryFault('release', unsaid)).toBe('/deployment: is no name');
    expect(entryFault('release', { ...salted, deployment: 'llm' })).toBe(
      '/deployment: is no pseudonym, though the entry says that names are salted',
    );
    expect(entryFault('release', { ...salted, names: 'plain' })).toMatch(/^\/names: /);
    const linked = parseEntry(composeEntry('key.linked', EXAMPLES['key.linked'], AT, pseudonyms).text);
    expect(entryFault('key.linked', { ...linked, linked: ['llm'] })).toMatch(/^\/linked: is no pseudonym/);
    const revoked = without(exampleOf('attester.revoked'), 'attester');
    expect(entryFault('attester.revoked', { ...revoked, names: 'salted' })).toBe(
      '/names: nothing in the entry is salted',
    );
  });

  test('lets a key be either frozen or given a state', () => {
    const rest = without(exampleOf('key.state'), 'state', 'version', 'purge_at');
    expect(entryFault('key.state', { ...rest, frozen: true })).toBeUndefined();
    expect(entryFault('key.state', { ...rest, frozen: true, state: 'enabled' })).toBeDefined();
    expect(entryFault('key.state', { ...rest, frozen: true, version: 'cd'.repeat(16) })).toBeDefined();
    expect(entryFault('key.state', rest)).toBeDefined();
  });

  test('has room for every reason code in a summary', () => {
    const counts = Object.fromEntries(Object.keys(REASONS).map((reason) => [reason, Number.MAX_SAFE_INTEGER]));
    expect(Object.keys(counts).length).toBeLessThan(MAX_COUNTS - 60);
    expect(() => composeEntry('denial.summary', { counts }, AT)).not.toThrow();
  });

  test('knows a time only of days and hours that there are', () => {
    const at = (time: string) => entryFault('denial.summary', { ...exampleOf('denial.summary'), time });
    expect(at('2026-12-31T23:59:59.999Z')).toBeUndefined();
    for (const time of [
      '2026-13-01T00:00:00.000Z',
      '2026-00-01T00:00:00.000Z',
      '2026-01-32T00:00:00.000Z',
      '2026-01-01T24:00:00.000Z',
      '2026-01-01T00:60:00.000Z',
      '2026-01-01T00:00:00Z',
      '2026-01-01T00:00:00.000+00:00',
      '2026-01-01 00:00:00.000Z',
    ]) {
      expect(at(time)).toMatch(/^\/time: /);
    }
  });
});

describe('the published schema', () => {
  test('has every type once, and refuses what is none', () => {
    const { oneOf } = entryJsonSchema() as { readonly oneOf: readonly { readonly title: string }[] };
    expect(oneOf.map(({ title }) => title)).toEqual(TYPES);
    expect(published({ ...exampleOf('release'), extra: 1 })).toBe(false);
    expect(published({})).toBe(false);
  });

  test('is a copy that cannot change what is checked', () => {
    const copy = entryJsonSchema() as { oneOf: { properties: Record<string, unknown> }[] };
    copy.oneOf[0]!.properties = {};
    expect(ENTRY_SCHEMAS['broker.initialised'].properties).toHaveProperty('broker');
  });
});

test('records are types of entries', () => {
  for (const type of RECORD_TYPES) expect(TYPES).toContain(type);
});
