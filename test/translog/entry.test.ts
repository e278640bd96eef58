import fc from 'fast-check';
import { describe, expect, test } from '@jest/globals';
import { canonicalJson, type Json } from '../../src/bytes/canonical-json.js';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { entryFault, nameMembers } from '../../src/translog/entry-schemas.js';
import type { EntryType } from '../../src/translog/entry-types.js';
import { composeEntry, MAX_ENTRY_BYTES, type Members, parseEntry } from '../../src/translog/entry.js';
import { Pseudonyms, verifyPseudonym } from '../../src/translog/names.js';
import { AT, EXAMPLES, without } from './entry-examples.js';

const TYPES = Object.keys(EXAMPLES) as readonly EntryType[];
const pseudonyms = new Pseudonyms(Buffer.alloc(32, 7));
const release = EXAMPLES.release;

describe('composing an entry', () => {
  test.each(TYPES)('of type %s adds what every entry has, in canonical form', (type) => {
    const { text, ...rest } = composeEntry(type, EXAMPLES[type], AT);
    expect(rest).toEqual({});
    const expected = { ...EXAMPLES[type], type, time: '2026-11-20T12:00:00.123Z', state_generation: '42' };
    expect(text).toBe(canonicalJson(expected).toString('utf8'));
    expect(parseEntry(text)).toEqual(expected);
    expect(entryFault(type, parseEntry(text))).toBeUndefined();
  });

  test('leaves out members that are undefined', () => {
    const { text } = composeEntry('key.purged', { key: 'k', version: undefined }, AT);
    expect(Object.keys(parseEntry(text)).sort()).toEqual(['key', 'state_generation', 'time', 'type']);
  });

  test('that is not valid is an error', () => {
    const compose = (type: string, body: Readonly<Record<string, Json>>) => () => composeEntry(type, body, AT);
    expect(compose('key.lent', {})).toThrow('key.lent is not valid: the type of the entry is not known');
    expect(compose('toString', {})).toThrow('not known');
    expect(compose('key.rotated', { key: 'k' })).toThrow('must have required property');
    expect(compose('token.revoked', { actor: 'a', token: 'f'.repeat(16), secret: 'x' })).toThrow(
      'unknown member "secret"',
    );
    expect(compose('deployment.frozen', { actor: 'a', deployment: 'Upper' })).toThrow(
      '/deployment: must match pattern',
    );
    expect(compose('deployment.frozen', { actor: 'a', deployment: 'x', names: 'salted' })).toThrow(
      'sets the member names',
    );
    expect(compose('denial.summary', { counts: { internal: 0.5 } })).toThrow(MalformedError);
    expect(compose('deployment.frozen', { actor: '\ud800', deployment: 'x' })).toThrow(MalformedError);
    expect(() => composeEntry('token.revoked', EXAMPLES['token.revoked'], { ...AT, generation: -1 })).toThrow(
      '/state_generation',
    );
    expect(() => composeEntry('token.revoked', EXAMPLES['token.revoked'], { ...AT, timeMs: 8e15 })).toThrow('/time');
  });

  test('that is too large is a RangeError', () => {
    const empty = composeEntry('token.revoked', EXAMPLES['token.revoked'], AT).text.length;
    const padded = (bytes: number) => () =>
      composeEntry('token.revoked', { ...EXAMPLES['token.revoked'], actor: 'x'.repeat(bytes - empty + 16) }, AT);
    expect(padded(MAX_ENTRY_BYTES + 1)).toThrow(RangeError);
    expect(padded(MAX_ENTRY_BYTES)).toThrow('/actor');
  });
});

describe('an entry with salted names', () => {
  const named = TYPES.filter((type) => nameMembers(type).length > 0);

  test.each(named)('of type %s holds none of its names, and each can be shown by its salt', (type) => {
    const plain = parseEntry(composeEntry(type, EXAMPLES[type], AT).text);
    const { text, names = {}, salts = {} } = composeEntry(type, EXAMPLES[type], AT, pseudonyms);
    const entry = parseEntry(text);
    expect(entryFault(type, entry)).toBeUndefined();
    expect(entry['names']).toBe('salted');
    expect(Object.keys(names)).toEqual(Object.keys(salts));
    const expected: Record<string, Json> = { ...plain, names: 'salted' };
    for (const [member, kind] of nameMembers(type)) {
      const value = plain[member]!;
      expected[member] = Array.isArray(value)
        ? value.map((name: string) => pseudonyms.of(kind, name).value)
        : pseudonyms.of(kind, value as string).value;
    }
    expect(entry).toEqual(expected);
    for (const [at, name] of Object.entries(names)) {
      const [member = '', position] = at.split('/');
      const of = (members: Members) =>
        position === undefined ? members[member] : (members[member] as Json[])[Number(position)];
      expect(of(plain)).toBe(name);
      expect(verifyPseudonym(of(entry) as string, name, Buffer.from(salts[at]!, 'base64url'))).toBe(true);
      if (name.length > 2) expect(text).not.toContain(`"${name}"`);
    }
  });

  test.each(TYPES.filter((type) => !named.includes(type)))('does not exist for type %s, which has no names', (type) => {
    expect(composeEntry(type, EXAMPLES[type], AT, pseudonyms)).toEqual(composeEntry(type, EXAMPLES[type], AT));
  });

  test('is a plain one where no name stands in it', () => {
    const revoked = without(EXAMPLES['attester.revoked'], 'attester');
    expect(composeEntry('attester.revoked', revoked, AT, pseudonyms)).toEqual(
      composeEntry('attester.revoked', revoked, AT),
    );
  });

  test('keeps the names of a release apart by their members', () => {
    const { names, salts } = composeEntry('release', release, AT, pseudonyms);
    expect(names).toEqual({ deployment: 'llm-inference', key: 'Weights-1' });
    expect(Object.keys(salts ?? {})).toEqual(['deployment', 'key']);
  });

  test('names lists by position', () => {
    const { names } = composeEntry('key.linked', EXAMPLES['key.linked'], AT, pseudonyms);
    expect(names).toEqual({
      key: 'Weights-1',
      'linked/0': 'llm-inference',
      'unlinked/0': 'training',
      'unlinked/1': 'x',
    });
  });

  test('is not made of what is no name', () => {
    const broken = { ...release, key: 7 };
    expect(() => composeEntry('release', broken, AT, pseudonyms)).toThrow('has no name at key');
  });
});

describe('reading an entry', () => {
  const text = composeEntry('release', release, AT).text;

  test('refuses every proper prefix, and anything behind it', () => {
    for (let length = 0; length < text.length; length++) {
      expect(() => parseEntry(text.slice(0, length))).toThrow(MalformedError);
    }
    for (const more of [' ', '\n', '}', '\0']) expect(() => parseEntry(text + more)).toThrow(MalformedError);
  });

  test.each([
    ['white space', '{"a": 1}'],
    ['members out of order', '{"b":1,"a":2}'],
    ['nested members out of order', '{"a":[{"c":1,"b":2}]}'],
    ['a member twice', '{"a":1,"a":1}'],
    ['a member twice, once spelled with escapes', '{"a":1,"\\u0061":1}'],
    ['an escape that is not needed', '{"a":"\\u0041"}'],
    ['an escaped slash', '{"a":"\\/"}'],
    ['an upper-case escape', '{"a":"\\u001F"}'],
    ['a fraction', '{"a":0.5}'],
    ['an exponent', '{"a":1e3}'],
    ['minus zero', '{"a":-0}'],
    ['a number over 2^53-1', '{"a":9007199254740992}'],
    ['half of a surrogate pair', '{"a":"\\ud800"}'],
    ['half of a surrogate pair as it is', '{"a":"\ud800"}'],
    ['half of a surrogate pair in a name', '{"\\udc00":1}'],
    ['a byte order mark', '\ufeff{}'],
    ['names like array indexes out of order', '{"9":1,"10":2}'],
    ['an array', '[]'],
    ['null', 'null'],
    ['a string', '"a"'],
    ['nothing', ''],
    ['what nests deeper than canonical JSON may', `{"a":${'['.repeat(100)}${']'.repeat(100)}}`],
    ['what nests very deep', `{"a":${'['.repeat(8000)}${']'.repeat(8000)}}`],
  ])('refuses %s', (_what, bad) => {
    expect(() => parseEntry(bad)).toThrow(MalformedError);
  });

  test.each([
    '{}',
    '{"":0,"a":[null,true,false,-1,9007199254740991],"b":{"c":{},"d":[]}}',
    '{"10":1,"9":2}',
    '{"a":"\\\\ud800"}',
    '{"a":"\\u001f\\n\\"€😀"}',
    '{"\\ufb33":1}'.replace('\\ufb33', '\ufb33'),
    '{"__proto__":1,"a":2}',
    `{"a":${'['.repeat(50)}${']'.repeat(50)}}`,
  ])('takes %s', (good) => {
    expect(JSON.stringify(parseEntry(good)).length).toBeGreaterThan(1);
    expect(canonicalJson(parseEntry(good)).toString('utf8')).toBe(good);
  });

  test('sorts by UTF-16 code units, as RFC 8785 does', () => {
    expect(() => parseEntry('{"\ufb33":1,"😀":2}')).toThrow(MalformedError);
    expect(parseEntry('{"😀":2,"\ufb33":1}')).toEqual({ '😀': 2, '\ufb33': 1 });
  });

  test('takes no more than 16 KiB, counted in bytes', () => {
    const of = (bytes: number, letter: string) => `{"a":"${letter.repeat((bytes - 8) / Buffer.byteLength(letter))}"}`;
    for (const letter of ['x', 'é', '😀']) {
      const fits = of(MAX_ENTRY_BYTES, letter);
      expect(Buffer.byteLength(fits)).toBe(MAX_ENTRY_BYTES);
      expect(parseEntry(fits)).toHaveProperty('a');
      expect(() => parseEntry(fits.replace('a', 'ab'))).toThrow('too long');
    }
  });

  const object = fc.dictionary(
    fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom('1', '10', '9')),
    fc.jsonValue({ maxDepth: 4 }),
  );

  /** Canonical text with something put into it, or taken out: what differs by little, often by no character's length. */
  const spoilt = fc
    .tuple(object, fc.nat(), fc.nat(2), fc.constantFrom(' ', '"a":1,', ',', 'e1', '.0', '0', '-', 'true', '\ud800', ''))
    .map(([value, at, removed, added]) => {
      const text = JSON.stringify(Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))));
      const position = at % (text.length + 1);
      return text.slice(0, position) + added + text.slice(position + removed);
    });

  test('accepts exactly what is canonical', () => {
    const isCanonical = (candidate: string): boolean => {
      try {
        const value: unknown = JSON.parse(candidate);
        return (
          typeof value === 'object' &&
          value !== null &&
          !Array.isArray(value) &&
          canonicalJson(value as Json).toString('utf8') === candidate
        );
      } catch {
        return false;
      }
    };
    const accepts = (candidate: string): boolean => {
      try {
        parseEntry(candidate);
        return true;
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedError);
        return false;
      }
    };
    const candidates = fc.oneof(
      fc.json(),
      object.map((value) => JSON.stringify(value)),
      spoilt,
      fc.string(),
    );
    fc.assert(
      fc.property(candidates, (candidate) => {
        expect(accepts(candidate)).toBe(isCanonical(candidate));
      }),
      { numRuns: 4000 },
    );
  });

  test('gives back what was written', () => {
    fc.assert(
      fc.property(object, (value) => {
        let written: string;
        try {
          written = canonicalJson(value).toString('utf8');
        } catch {
          return;
        }
        expect(canonicalJson(parseEntry(written)).toString('utf8')).toBe(written);
      }),
      { numRuns: 1000 },
    );
  });

  test('finds any single changed character, or reads another entry', () => {
    const genuine = parseEntry(text);
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, letter) => {
        fc.pre(text[at] !== letter);
        const forged = text.slice(0, at) + letter + text.slice(at + 1);
        let read: Members;
        try {
          read = parseEntry(forged);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
          return;
        }
        expect(read).not.toEqual(genuine);
      }),
      { numRuns: 1000 },
    );
  });
});
