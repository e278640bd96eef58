import { describe, expect, test } from '@jest/globals';
import { address, duration, integer, line, oneOf, type Parse, size } from '../../src/config/values.js';

function valueOf<T>(parse: Parse<T>, text: string): T | undefined {
  const result = parse(text);
  return result.ok ? result.value : undefined;
}

describe('a size', () => {
  const parse = size('1KiB', '16MiB');
  test.each([
    ['1KiB', 1024],
    ['1024', 1024],
    ['1024B', 1024],
    ['1MiB', 1_048_576],
    ['16MiB', 16_777_216],
    ['16777216', 16_777_216],
  ])('%s is %d bytes', (text, bytes) => expect(valueOf(parse, text)).toBe(bytes));
  test.each([
    '1023',
    '16777217',
    '17MiB',
    '0',
    '01KiB',
    '1kib',
    '1KB',
    '1M',
    '1 MiB',
    '1.5MiB',
    '-1MiB',
    '',
    'MiB',
    '1e6',
    '1MiB\n',
  ])('%j is refused', (text) => expect(parse(text)).toMatchObject({ ok: false, reason: 'request.malformed' }));
});

describe('a duration', () => {
  const parse = duration('1s', '1h');
  test.each([
    ['1s', 1000],
    ['1000ms', 1000],
    ['120s', 120_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
  ])('%s is %d ms', (text, milliseconds) => expect(valueOf(parse, text)).toBe(milliseconds));
  test.each(['999ms', '3601s', '2h', '120', '0s', '01s', '1.5m', '-1s', '1d', '', 's', '1S', '1s '])(
    '%j is refused',
    (text) => expect(valueOf(parse, text)).toBeUndefined(),
  );
});

describe('an address', () => {
  test.each([
    ['127.0.0.1:8440', { host: '127.0.0.1', port: 8440 }],
    ['[::1]:8440', { host: '::1', port: 8440 }],
    ['[fe80::1%eth0]:1', { host: 'fe80::1%eth0', port: 1 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['broker.example.com:65535', { host: 'broker.example.com', port: 65_535 }],
  ])('%s', (text, expected) => expect(valueOf(address, text)).toEqual(expected));
  test.each([
    '8440',
    ':8440',
    'a',
    'a:',
    'a:65536',
    'a:08',
    'a:-1',
    'a:1:2',
    '::1:8440',
    '[::1]',
    '[]:1',
    'http://a:1',
    'a b:1',
    'a:1\n',
    '*:1',
    'a:99999',
  ])('%j is refused', (text) => expect(valueOf(address, text)).toBeUndefined());
});

test('an integer has no sign, no zeros in front, and stays in its range', () => {
  const parse = integer(0, 100);
  expect(['0', '7', '100'].map((text) => valueOf(parse, text))).toEqual([0, 7, 100]);
  for (const text of ['101', '-1', '+1', '01', '1.0', '1e1', '', ' 1', '0x1', '9'.repeat(20)]) {
    expect(valueOf(parse, text)).toBeUndefined();
  }
});

test('a word is one of those known, as it is written', () => {
  const parse = oneOf('full', 'codes');
  expect(valueOf(parse, 'codes')).toBe('codes');
  for (const text of ['Full', '', 'full ', 'toString']) expect(valueOf(parse, text)).toBeUndefined();
});

test('a line has something in it, and no control characters', () => {
  expect(valueOf(line, 'a b/ü.pem')).toBe('a b/ü.pem');
  for (const text of ['', 'a\nb', 'a\0b', 'a\u007f', 'x'.repeat(4097)]) expect(valueOf(line, text)).toBeUndefined();
});
