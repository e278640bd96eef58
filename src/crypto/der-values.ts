import { MalformedError } from '../bytes/malformed-error.js';

const MAX_OID_BYTES = 64;

/** BOOLEAN: 00 or ff (X.690 section 11.1). */
export function derBoolean(content: Buffer, field: string): boolean {
  if (content.length === 1 && content[0] === 0xff) return true;
  if (content.length === 1 && content[0] === 0x00) return false;
  throw new MalformedError(`${field}: not a BOOLEAN`);
}

/** Non-negative INTEGER in its shortest form, big-endian without the sign byte; at most `maxBytes` of those. Zero is one byte. */
export function derUnsigned(content: Buffer, maxBytes: number, field: string): Buffer {
  const [first, second] = content;
  if (first === undefined) throw new MalformedError(`${field}: INTEGER is empty`);
  if (first >= 0x80) throw new MalformedError(`${field}: INTEGER is negative`);
  if (first === 0 && second !== undefined && second < 0x80) {
    throw new MalformedError(`${field}: INTEGER is not minimal`);
  }
  const magnitude = content.length > 1 && first === 0 ? content.subarray(1) : content;
  if (magnitude.length > maxBytes) throw new MalformedError(`${field}: INTEGER is too large`);
  return magnitude;
}

/** Non-negative INTEGER of at most 32 bits. */
export function derSmallUnsigned(content: Buffer, field: string): number {
  const magnitude = derUnsigned(content, 4, field);
  return magnitude.readUIntBE(0, magnitude.length);
}

/** Non-negative INTEGER of at most 64 bits. */
export function derUnsigned64(content: Buffer, field: string): bigint {
  return BigInt(`0x${derUnsigned(content, 8, field).toString('hex')}`);
}

/** NULL has no content. */
export function derNull(content: Buffer, field: string): void {
  if (content.length !== 0) throw new MalformedError(`${field}: not NULL`);
}

/** OBJECT IDENTIFIER in dotted decimal (X.690 section 8.19): arcs in their shortest form, at most 64 bytes in all. */
export function derOid(content: Buffer, field: string): string {
  if (content.length === 0 || content.length > MAX_OID_BYTES) throw new MalformedError(`${field}: OID of this length`);
  const arcs: bigint[] = [];
  let arc = 0n;
  let fresh = true;
  for (const byte of content) {
    if (fresh && byte === 0x80) throw new MalformedError(`${field}: OID arc is not minimal`);
    arc = (arc << 7n) | BigInt(byte & 0x7f);
    fresh = (byte & 0x80) === 0;
    if (!fresh) continue;
    if (arcs.length === 0) {
      const top = arc < 80n ? arc / 40n : 2n;
      arcs.push(top, arc - top * 40n);
    } else {
      arcs.push(arc);
    }
    arc = 0n;
  }
  if (!fresh) throw new MalformedError(`${field}: OID is cut short`);
  return arcs.join('.');
}

/** BIT STRING of whole bytes: keys and signatures. */
export function derWholeBits(content: Buffer, field: string): Buffer {
  if (content.length === 0 || content[0] !== 0) throw new MalformedError(`${field}: not a BIT STRING of whole bytes`);
  return content.subarray(1);
}

/**
 * BIT STRING of named bits, the first one first; at most `maxBits` of them. DER cuts trailing zeros (X.690 section
 * 11.2.2); makers do not always, so those are accepted, but the unused bits must be zero.
 */
export function derNamedBits(content: Buffer, maxBits: number, field: string): readonly boolean[] {
  const unused = content[0];
  const bytes = content.subarray(1);
  const last = bytes.at(-1) ?? 0;
  if (
    unused === undefined ||
    unused > 7 ||
    (bytes.length === 0 && unused !== 0) ||
    (last & ((1 << unused) - 1)) !== 0
  ) {
    throw new MalformedError(`${field}: not a BIT STRING`);
  }
  const count = bytes.length * 8 - unused;
  if (count > Math.ceil(maxBits / 8) * 8) throw new MalformedError(`${field}: too many bits`);
  return Array.from({ length: count }, (_, bit) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0);
}

const UTC_TIME = /^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/;
const GENERALIZED_TIME = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/;

/** UTCTime YYMMDDHHMMSSZ in Unix milliseconds; years 1950 to 2049 (RFC 5280 section 4.1.2.5.1). */
export function derUtcTime(content: Buffer, field: string): number {
  const match = UTC_TIME.exec(content.toString('latin1'));
  if (match === null) throw new MalformedError(`${field}: not a UTCTime`);
  const year = Number(match[1]);
  return instant(year < 50 ? 2000 + year : 1900 + year, match, field);
}

/** GeneralizedTime YYYYMMDDHHMMSSZ in Unix milliseconds, without fractions (RFC 5280 section 4.1.2.5.2). */
export function derGeneralizedTime(content: Buffer, field: string): number {
  const match = GENERALIZED_TIME.exec(content.toString('latin1'));
  if (match === null) throw new MalformedError(`${field}: not a GeneralizedTime`);
  return instant(Number(match[1]), match, field);
}

function instant(year: number, match: RegExpExecArray, field: string): number {
  const [month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(2).map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  // A day that does not exist has rolled over into another month.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59) {
    throw new MalformedError(`${field}: no such time`);
  }
  date.setUTCHours(hour, minute, second);
  return date.getTime();
}
