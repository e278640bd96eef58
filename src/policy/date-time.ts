const DATE_TIME =
  /^(\d{4})-(\d{2})-(\d{2})T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

const EARLIEST_MS = Date.parse('0000-01-01T00:00:00Z');
const LATEST_MS = Date.parse('9999-12-31T23:59:59.999Z');

/** What a date must look like, for schemas. */
export const DATE_TIME_PATTERN = DATE_TIME.source;

/**
 * A date-time of RFC 3339 in ms since the Unix epoch, fractions cut to ms. The offset from UTC must be given; days that
 * the month does not have and leap seconds are refused, and so are times whose year in UTC has not four digits. Undefined
 * for anything else.
 */
export function parseDateTime(text: string): number | undefined {
  const [, year, month, day] = DATE_TIME.exec(text) ?? [];
  if (year === undefined) return undefined;
  const monthNumber = Number(month);
  const dayNumber = Number(day);
  if (monthNumber < 1 || monthNumber > 12) return undefined;
  if (dayNumber < 1 || dayNumber > daysIn(Number(year), monthNumber)) return undefined;
  const atMs = Date.parse(text);
  return atMs >= EARLIEST_MS && atMs <= LATEST_MS ? atMs : undefined;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}
