/** Values of arguments and options, checked when the command line is read: a bad one is wrong usage. */
import { InvalidArgumentError } from 'commander';
import { parseDateTime } from '../policy/date-time.js';

const DEPLOYMENT_NAME = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const KEY_NAME = /^[0-9A-Za-z-]{1,127}$/;
const DURATION_UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** One of the values of a parser for commander's `.argument` and `.option`. */
type Parser<T> = (text: string) => T;

export function deploymentName(text: string): string {
  if (DEPLOYMENT_NAME.test(text)) return text;
  throw new InvalidArgumentError('Deployment names are 1 to 63 of a-z, 0-9 and -, with no - at either end.');
}

export function keyName(text: string): string {
  if (KEY_NAME.test(text)) return text;
  throw new InvalidArgumentError('Key names are 1 to 127 of letters, digits and -.');
}

/** 32 hex digits, lower-cased. */
export function versionId(text: string): string {
  if (/^[0-9a-f]{32}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('Version ids are 32 hex digits, as `portcullis key show NAME` lists them.');
}

/** 32 hex digits, lower-cased. */
export function releaseId(text: string): string {
  if (/^[0-9a-f]{32}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('Release ids are 32 hex digits, as answers and receipts have them in release_id.');
}

/** A SHA-256 in hex of either case, lower-cased. */
export function sha256Hex(text: string): string {
  if (/^[0-9a-f]{64}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('A SHA-256 is 64 hex digits.');
}

/** A time with its zone, as RFC 3339 has it, which lets `t` and `z` be small: here they come out large, as documents have them. */
export function rfc3339(text: string): string {
  const time = text.toUpperCase();
  if (parseDateTime(time) !== undefined) return time;
  throw new InvalidArgumentError('Times are RFC 3339, such as 2026-11-01T00:00:00Z.');
}

/** `30d`, `12h`, `15m`, `90s` in milliseconds. */
export function durationMs(text: string): number {
  const match = /^([1-9]\d{0,5})([smhd])$/.exec(text);
  if (match === null) throw new InvalidArgumentError('Durations are a number with s, m, h or d, such as 90d.');
  return Number(match[1]) * DURATION_UNITS_MS[match[2] as keyof typeof DURATION_UNITS_MS];
}

/** A whole number from `min` to `max`, in decimal. */
export function integer(min: number, max: number): Parser<number> {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${String(min)} to ${String(max)}.`);
  };
}

/** Collects an option that may be repeated; each value through `parse`. */
export function repeated<T>(parse: Parser<T>): (text: string, before: readonly T[] | undefined) => readonly T[] {
  return (text, before) => [...(before ?? []), parse(text)];
}

/** Bytes in hex of either case; none for the empty text. */
export function hexBytes(text: string): Buffer {
  if (/^(?:[0-9a-fA-F]{2})*$/.test(text)) return Buffer.from(text, 'hex');
  throw new InvalidArgumentError('It must be hex, two digits a byte.');
}
