import { MalformedError } from './malformed-error.js';

/** base64url without padding (RFC 4648 section 5) of bytes. */
export function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/**
 * Decodes canonical base64url: no padding, no other alphabet, no white space, unused bits zero, so that each value has
 * one spelling. Anything else throws MalformedError.
 */
export function fromBase64url(text: string, field: string): Buffer {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.toString('base64url') !== text)
    throw new MalformedError(`${field}: not canonical base64url without padding`);
  return bytes;
}
