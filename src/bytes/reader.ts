import { MalformedError } from './malformed-error.js';

/**
 * A bounded reader over bytes that come from outside. Every read names its field, so that an error says what was cut
 * short. Sizes are checked against the caller's maximum before anything is allocated; what is returned are views, no copies.
 * Throws only MalformedError.
 */
export class Reader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  /** One unsigned byte. */
  u8(field: string): number {
    return this.#bytes.readUInt8(this.#take(1, field));
  }

  /** Unsigned, 16 bits, big-endian. */
  u16be(field: string): number {
    return this.#bytes.readUInt16BE(this.#take(2, field));
  }

  /** Unsigned, 32 bits, big-endian. */
  u32be(field: string): number {
    return this.#bytes.readUInt32BE(this.#take(4, field));
  }

  /** Unsigned, 64 bits, big-endian. */
  u64be(field: string): bigint {
    return this.#bytes.readBigUInt64BE(this.#take(8, field));
  }

  /** Unsigned, 16 bits, little-endian. */
  u16le(field: string): number {
    return this.#bytes.readUInt16LE(this.#take(2, field));
  }

  /** Unsigned, 32 bits, little-endian. */
  u32le(field: string): number {
    return this.#bytes.readUInt32LE(this.#take(4, field));
  }

  /** Unsigned, 64 bits, little-endian. */
  u64le(field: string): bigint {
    return this.#bytes.readBigUInt64LE(this.#take(8, field));
  }

  /** Exactly `length` bytes, as a view. */
  take(length: number, field: string): Buffer {
    const start = this.#take(length, field);
    return this.#bytes.subarray(start, start + length);
  }

  /** A u16 big-endian size of at most `maxBytes`, then that many bytes, as a view: the shape of every TPM2B. */
  sized16(maxBytes: number, field: string): Buffer {
    const size = this.u16be(`${field}.size`);
    if (size > maxBytes) {
      throw new MalformedError(`${field}: size ${String(size)} is over the maximum of ${String(maxBytes)}`);
    }
    return this.take(size, field);
  }

  /** Demands that everything has been read. */
  end(structure: string): void {
    if (this.remaining !== 0) {
      throw new MalformedError(`${structure}: ${String(this.remaining)} trailing bytes`);
    }
  }

  #take(length: number, field: string): number {
    if (length > this.remaining) {
      throw new MalformedError(`${field}: needs ${String(length)} bytes, ${String(this.remaining)} are left`);
    }
    const start = this.#offset;
    this.#offset += length;
    return start;
  }
}
