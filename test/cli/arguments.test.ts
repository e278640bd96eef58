import { describe, expect, test } from '@jest/globals';
import { rfc3339 } from '../../src/cli/arguments.js';

describe('times', () => {
  test.each(['2026-11-01T00:00:00Z', '2024-02-29T23:59:59.5+02:30'])('%s is one', (text) => {
    expect(rfc3339(text)).toBe(text);
  });

  test('may have small letters, which come out large', () => {
    expect(rfc3339('2026-11-01t00:00:00z')).toBe('2026-11-01T00:00:00Z');
  });

  test.each([
    '2026-02-30T00:00:00Z',
    '2026-11-01T24:00:00Z',
    '2026-11-01T00:00:60Z',
    '2026-11-01T00:00:00+24:00',
    '2026-11-01T00:00:00',
    '2026-11-01',
    '',
  ])('%p is none', (text) => {
    expect(() => rfc3339(text)).toThrow('Times are RFC 3339');
  });
});
