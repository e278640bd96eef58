import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseJson } from '../../src/bytes/json.js';
import { MalformedError } from '../../src/bytes/malformed-error.js';

const parse = (text: string, depth?: number) => parseJson(Buffer.from(text, 'utf8'), depth);

describe('JSON from outside', () => {
  test('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        const value = JSON.parse(text) as unknown;
        // fast-check may repeat no member, since it starts from a value.
        expect(parse(JSON.stringify(value))).toEqual(value);
      }),
    );
  });

  test.each([
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '[{"x":{"b":0,"c":[{}],"b":1}}]',
    '{"":1,"":2}',
    '{ "a" : 1 , "b" : [ "a" , "a" ] , "a" : 3 }',
    '{"a\\"":1,"a\\"":2}',
  ])('refuses a member twice: %s', (text) => {
    expect(() => parse(text)).toThrow(/same member twice/);
  });

  test('takes the same name in different objects, and strings that look like names', () => {
    const text = '{"a":{"a":[{"a":"a"},{"a":","}]},"b":"{\\"a\\":1,\\"a\\":2}"}';
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  test('is nested 32 deep at most', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    expect(parse(nested(32))).toBeInstanceOf(Array);
    expect(() => parse(nested(33))).toThrow(/deeper than 32/);
    expect(() => parse('['.repeat(1_000_000))).toThrow(MalformedError);
    expect(parse('{"s":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}')).toBeDefined();
  });

  test.each([
    '',
    ' ',
    '{',
    '{"a"',
    '"',
    '"\\',
    '{"a":1,}',
    'undefined',
    'NaN',
    "{'a':1}",
    '\ufeff{}',
    '1 2',
    '{"a\\x":1}',
  ])('refuses %j', (text) => {
    expect(() => parse(text)).toThrow(MalformedError);
  });

  test('refuses bytes that are not UTF-8', () => {
    expect(() => parseJson(Buffer.from([0x22, 0xc3, 0x28, 0x22]))).toThrow(MalformedError);
  });

  test('throws nothing but its own error, whatever comes', () => {
    const pieces = fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', 'a', '1', ' ', 'null', '"a"', '\\u0061');
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
        const text = parts.join('');
        try {
          parse(text);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
