import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseDateTime } from '../../src/policy/date-time.js';

test.each([
  ['2026-11-01T00:00:00Z', Date.UTC(2026, 10, 1)],
  ['2026-11-01T02:30:00+02:30', Date.UTC(2026, 10, 1)],
  ['2026-10-31T23:00:00-01:00', Date.UTC(2026, 10, 1)],
  ['2026-11-01T00:00:00.1239Z', Date.UTC(2026, 10, 1) + 123],
  ['2024-02-29T23:59:59Z', Date.UTC(2024, 1, 29, 23, 59, 59)],
  ['2000-02-29T00:00:00Z', Date.UTC(2000, 1, 29)],
])('%s is read', (text, expected) => {
  expect(parseDateTime(text)).toBe(expected);
});

test.each([
  '2026-02-30T00:00:00Z',
  '2026-02-29T00:00:00Z',
  '2100-02-29T00:00:00Z',
  '2026-04-31T00:00:00Z',
  '2026-13-01T00:00:00Z',
  '2026-00-01T00:00:00Z',
  '2026-01-00T00:00:00Z',
  '2026-01-32T00:00:00Z',
  '2026-11-01T24:00:00Z',
  '2026-11-01T00:60:00Z',
  '2026-11-01T00:00:60Z',
  '2026-11-01T00:00:00',
  '2026-11-01T00:00:00+24:00',
  '2026-11-01T00:00:00.Z',
  '2026-11-01T00:00:00.0000000000Z',
  '2026-11-01t00:00:00z',
  '2026-11-01 00:00:00Z',
  '2026-11-01',
  '9999-12-31T23:59:59-01:00',
  '0000-01-01T00:00:00+01:00',
  '+002026-11-01T00:00:00Z',
  ' 2026-11-01T00:00:00Z',
  '2026-11-01T00:00:00Z\n',
  '',
])('%j is refused', (text) => {
  expect(parseDateTime(text)).toBeUndefined();
});

test('every time of the years 0 to 9999 that toISOString writes is read back', () => {
  const time = fc.date({
    min: new Date('0000-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59.999Z'),
    noInvalidDate: true,
  });
  fc.assert(fc.property(time, (date) => expect(parseDateTime(date.toISOString())).toBe(date.getTime())));
});
