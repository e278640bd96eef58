/** RFC 3339 in UTC with milliseconds, of ms since the Unix epoch. */
export function rfc3339(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
