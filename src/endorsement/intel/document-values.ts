import { MalformedError } from '../../bytes/malformed-error.js';

/** Reads members of parsed JSON by type and range. Each throws only MalformedError, which names the field. */
export type JsonObject = Readonly<Record<string, unknown>>;

const DATE = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})Z$/;

export function objectOf(value: unknown, field: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MalformedError(`${field}: no object`);
  return value as JsonObject;
}

export function listOf<T>(value: unknown, max: number, field: string, read: (item: unknown) => T): readonly T[] {
  if (!Array.isArray(value)) throw new MalformedError(`${field}: no list`);
  if (value.length > max) throw new MalformedError(`${field}: more than ${String(max)}`);
  return value.map(read);
}

export function textOf(value: unknown, max: number, field: string): string {
  if (typeof value !== 'string' || value.length > max)
    throw new MalformedError(`${field}: no text of at most ${String(max)}`);
  return value;
}

/** A whole number from 0 to `max`. */
export function numberOf(value: unknown, max: number, field: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
    throw new MalformedError(`${field}: no number from 0 to ${String(max)}`);
  }
  return value;
}

/** Hex in either case, of exactly so many bytes. */
export function hexOf(value: unknown, bytes: number, field: string): Buffer {
  const text = textOf(value, bytes * 2, field);
  if (text.length !== bytes * 2 || !/^[0-9a-fA-F]*$/.test(text)) {
    throw new MalformedError(`${field}: not ${String(bytes)} bytes in hex`);
  }
  return Buffer.from(text, 'hex');
}

/** A moment in UTC to the second, as `2026-02-01T14:49:26Z`, in Unix milliseconds. */
export function dateOf(value: unknown, field: string): number {
  const text = textOf(value, 20, field);
  const ms = DATE.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms) || !new Date(ms).toISOString().startsWith(text.slice(0, 19))) {
    throw new MalformedError(`${field}: no date`);
  }
  return ms;
}
