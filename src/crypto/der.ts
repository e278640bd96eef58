import { MalformedError } from '../bytes/malformed-error.js';

/** The deepest nesting of constructed values that is entered. Certificates need about ten. */
export const MAX_DER_DEPTH = 16;

/** Identifier octets of the universal types that are read here (X.690 section 8.1.2; constructed ones with bit 6 set). */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const;

/** Identifier octet of a context-specific constructed tag: EXPLICIT n, or IMPLICIT n of a constructed type. */
export function contextTag(number: number): number {
  return 0xa0 | number;
}

/** Identifier octet of a context-specific primitive tag: IMPLICIT n of a primitive type. */
export function primitiveTag(number: number): number {
  return 0x80 | number;
}

/** One value: its identifier octet, its content, and all its bytes with identifier and length; views, no copies. */
export interface DerValue {
  readonly tag: number;
  readonly content: Buffer;
  readonly full: Buffer;
}

/**
 * Reads DER (X.690) that comes from outside: single-byte tags, definite lengths in their shortest form and never more than
 * what is left, nesting of at most MAX_DER_DEPTH. Every read names its field. The caller bounds the whole size and calls
 * `end` on each reader. Throws only MalformedError. Not checked: that values with a DEFAULT are left out and that a SET OF
 * is sorted, since signatures are verified over the bytes received and nothing is compared after being encoded anew.
 */
export class DerReader {
  readonly #bytes: Buffer;
  readonly #depth: number;
  #offset = 0;

  constructor(bytes: Uint8Array, depth = 0) {
    if (depth > MAX_DER_DEPTH) throw new MalformedError('DER is nested too deeply');
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#depth = depth;
  }

  /** Whether something is left to be read. */
  get more(): boolean {
    return this.#offset < this.#bytes.length;
  }

  /** The identifier octet of the next value; undefined at the end. */
  get nextTag(): number | undefined {
    return this.#bytes[this.#offset];
  }

  /** The next value, whatever it is. */
  any(field: string): DerValue {
    const start = this.#offset;
    const tag = this.#u8(field);
    if ((tag & 0x1f) === 0x1f) throw new MalformedError(`${field}: a tag number of more than one byte`);
    const length = this.#length(field);
    if (length > this.#bytes.length - this.#offset) {
      throw new MalformedError(`${field}: longer than what is left`);
    }
    const content = this.#bytes.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return { tag, content, full: this.#bytes.subarray(start, this.#offset) };
  }

  /** The next value, which must have this tag. */
  value(tag: number, field: string): DerValue {
    if (this.nextTag !== tag) throw new MalformedError(`${field}: missing, or of another type`);
    return this.any(field);
  }

  /** The content of the next value, which must have this tag. */
  content(tag: number, field: string): Buffer {
    return this.value(tag, field).content;
  }

  /** The content of the next value if it has this tag, else nothing is read. */
  optional(tag: number, field: string): Buffer | undefined {
    return this.nextTag === tag ? this.any(field).content : undefined;
  }

  /** A reader of the values inside the next one, which must have this (constructed) tag. */
  enter(tag: number, field: string): DerReader {
    return new DerReader(this.content(tag, field), this.#depth + 1);
  }

  /** The same if the next value has this tag, else nothing is read. */
  optionalEnter(tag: number, field: string): DerReader | undefined {
    return this.nextTag === tag ? this.enter(tag, field) : undefined;
  }

  /** Demands that everything has been read. */
  end(structure: string): void {
    if (this.more) throw new MalformedError(`${structure}: trailing bytes`);
  }

  #u8(field: string): number {
    const byte = this.#bytes[this.#offset];
    if (byte === undefined) throw new MalformedError(`${field}: cut short`);
    this.#offset += 1;
    return byte;
  }

  /** X.690 sections 8.1.3 and 10.1. */
  #length(field: string): number {
    const first = this.#u8(field);
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw new MalformedError(`${field}: length is indefinite or out of range`);
    let length = 0;
    for (let read = 0; read < count; read++) length = length * 0x100 + this.#u8(field);
    if (length < 0x80 || length < 0x100 ** (count - 1)) throw new MalformedError(`${field}: length is not minimal`);
    return length;
  }
}
