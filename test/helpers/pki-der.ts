/** A DER writer for tests, written apart from the reader, so that neither hides a mistake of the other. */

/** One value: identifier octet, length in its shortest form, content. */
export function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(tag), derLength(content.length), content]);
}

function derLength(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  const hex = length.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Buffer.of(0x80 | bytes.length), bytes]);
}

export const seq = (...parts: readonly Uint8Array[]) => tlv(0x30, ...parts);
export const set = (...parts: readonly Uint8Array[]) => tlv(0x31, ...parts);
/** EXPLICIT n, or IMPLICIT n of a constructed type. */
export const context = (number: number, ...parts: readonly Uint8Array[]) => tlv(0xa0 | number, ...parts);
/** IMPLICIT n of a primitive type. */
export const primitive = (number: number, ...parts: readonly Uint8Array[]) => tlv(0x80 | number, ...parts);
export const octets = (...parts: readonly Uint8Array[]) => tlv(0x04, ...parts);
export const bits = (bytes: Uint8Array, unused = 0) => tlv(0x03, Buffer.of(unused), bytes);
export const bool = (value: boolean) => tlv(0x01, Buffer.of(value ? 0xff : 0x00));
export const nil = () => tlv(0x05);
export const utf8String = (text: string) => tlv(0x0c, Buffer.from(text, 'utf8'));
export const printable = (text: string) => tlv(0x13, Buffer.from(text, 'latin1'));

/** A non-negative INTEGER. */
export function int(value: bigint | number): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return (bytes[0] ?? 0) >= 0x80 ? tlv(0x02, Buffer.of(0), bytes) : tlv(0x02, bytes);
}

export function oid(dotted: string): Buffer {
  const [first = 0n, second = 0n, ...others] = dotted.split('.').map(BigInt);
  return tlv(0x06, ...[first * 40n + second, ...others].map(arc));
}

function arc(value: bigint): Buffer {
  const bytes = [Number(value & 0x7fn)];
  for (let left = value >> 7n; left > 0n; left >>= 7n) bytes.unshift(Number(left & 0x7fn) | 0x80);
  return Buffer.from(bytes);
}

/** Time of RFC 5280: UTCTime to 2049, GeneralizedTime from there. */
export function time(ms: number): Buffer {
  const digits = new Date(ms)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:T]/g, '');
  const year = Number(digits.slice(0, 4));
  return year >= 1950 && year < 2050 ? tlv(0x17, Buffer.from(digits.slice(2))) : tlv(0x18, Buffer.from(digits));
}

/** A name of common name alone; an empty one for ''. */
export function nameOf(commonName: string): Buffer {
  return commonName === '' ? seq() : seq(set(seq(oid('2.5.4.3'), utf8String(commonName))));
}
