import { MalformedError } from './malformed-error.js';

/** base64 with padding (RFC 4648 section 4) of bytes. */
export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** Decodes canonical base64: padded, no other alphabet, no white space, unused bits zero. Anything else throws MalformedError. */
export function fromBase64(text: string, field: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new MalformedError(`${field}: not canonical base64 with padding`);
  return bytes;
}
