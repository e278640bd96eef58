import { MalformedError } from './malformed-error.js';

const LOWER_HEX = /^(?:[0-9a-f]{2})*$/;

/** Lower-case hex of bytes. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Decodes lower-case hex, whole bytes; anything else throws MalformedError. One spelling per value: for wire formats. */
export function fromHex(text: string, field: string): Buffer {
  if (!LOWER_HEX.test(text)) throw new MalformedError(`${field}: not lower-case hex of whole bytes`);
  return Buffer.from(text, 'hex');
}
