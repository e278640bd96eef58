/** Builds wire structures; the mirror of Reader. Throws RangeError for a value that does not fit its field: a bug of the caller. */
export class Writer {
  readonly #parts: Buffer[] = [];

  u8(value: number): this {
    const part = Buffer.alloc(1);
    part.writeUInt8(value);
    return this.bytes(part);
  }

  u16be(value: number): this {
    const part = Buffer.alloc(2);
    part.writeUInt16BE(value);
    return this.bytes(part);
  }

  u32be(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32BE(value);
    return this.bytes(part);
  }

  u64be(value: bigint): this {
    const part = Buffer.alloc(8);
    part.writeBigUInt64BE(value);
    return this.bytes(part);
  }

  u16le(value: number): this {
    const part = Buffer.alloc(2);
    part.writeUInt16LE(value);
    return this.bytes(part);
  }

  u32le(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    return this.bytes(part);
  }

  u64le(value: bigint): this {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(value);
    return this.bytes(part);
  }

  bytes(value: Uint8Array): this {
    this.#parts.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    return this;
  }

  /** A u16 big-endian size, then the bytes: the shape of every TPM2B. */
  sized16(value: Uint8Array): this {
    return this.u16be(value.length).bytes(value);
  }

  /** A u32 big-endian size, then the bytes. */
  sized32(value: Uint8Array): this {
    return this.u32be(value.length).bytes(value);
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
