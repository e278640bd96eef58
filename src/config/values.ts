import { accept, reject, type Result } from '../reason/reason.js';

/** How the text of one setting becomes a value. The same for a flag, a variable and a scalar of the file. Refusals say what is expected and never repeat the text. */
export type Parse<T> = (text: string) => Result<T>;

export interface Address {
  /** Without brackets. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

const bad = (detail: string) => reject('request.malformed', detail);

/** Any text of one line. */
export const line: Parse<string> = (text) =>
  text !== '' && text.length <= 4096 && !/\p{Cc}/u.test(text) ? accept(text) : bad('needs a text of one line');

export function oneOf<T extends string>(...words: readonly T[]): Parse<T> {
  return (text) => {
    const word = words.find((known) => known === text);
    return word === undefined ? bad(`needs one of: ${words.join(', ')}`) : accept(word);
  };
}

export function integer(minimum: number, maximum: number): Parse<number> {
  return (text) => {
    const value = /^(?:0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : NaN;
    if (value >= minimum && value <= maximum) return accept(value);
    return bad(`needs a whole number from ${String(minimum)} to ${String(maximum)}`);
  };
}

const SIZE_UNITS = { B: 1, KiB: 1024, MiB: 1024 * 1024 } as const;

/** Bytes: `65536`, `512KiB`, `1MiB`. */
export function size(minimum: string, maximum: string): Parse<number> {
  const [least, most] = [bytesOf(minimum), bytesOf(maximum)];
  return (text) => {
    const bytes = bytesOf(text);
    if (bytes >= least && bytes <= most) return accept(bytes);
    return bad(`needs a size from ${minimum} to ${maximum}, such as 512KiB or 1MiB`);
  };
}

function bytesOf(text: string): number {
  const [, digits, unit = 'B'] = /^([1-9][0-9]{0,9})(B|KiB|MiB)?$/.exec(text) ?? [];
  return digits === undefined ? NaN : Number(digits) * SIZE_UNITS[unit as keyof typeof SIZE_UNITS];
}

const TIME_UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** Milliseconds: `500ms`, `120s`, `2m`, `1h`. The unit must be there. */
export function duration(minimum: string, maximum: string): Parse<number> {
  const [least, most] = [millisecondsOf(minimum), millisecondsOf(maximum)];
  return (text) => {
    const milliseconds = millisecondsOf(text);
    if (milliseconds >= least && milliseconds <= most) return accept(milliseconds);
    return bad(`needs a duration from ${minimum} to ${maximum} with its unit, such as 120s or 2m`);
  };
}

function millisecondsOf(text: string): number {
  const [, digits, unit] = /^([1-9][0-9]{0,9})(ms|s|m|h)$/.exec(text) ?? [];
  return digits === undefined ? NaN : Number(digits) * TIME_UNITS[unit as keyof typeof TIME_UNITS];
}

/** `H:P`: a name or IPv4 address, or an IPv6 address in brackets, and a decimal port. */
export const address: Parse<Address> = (text) => {
  const [, ipv6, name, digits] =
    /^(?:\[([0-9A-Fa-f:.%a-z]{2,64})\]|([0-9A-Za-z.-]{1,253})):(0|[1-9][0-9]{0,4})$/.exec(text) ?? [];
  const host = ipv6 ?? name;
  const port = Number(digits);
  if (host === undefined || !(port <= 65_535)) {
    return bad('needs HOST:PORT, such as 127.0.0.1:8440 or [::1]:8440; port 0 takes any free one');
  }
  return accept({ host, port });
};

/** Whether only this machine can reach a host: 127.0.0.0/8, ::1 and localhost. Other names are not resolved: they do not count. */
export function isLoopback(host: string): boolean {
  return (
    /^127(?:\.(?:[0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|25[0-5])){3}$/.test(host) ||
    host === '::1' ||
    host.toLowerCase() === 'localhost'
  );
}
