import { hash as digestOnce } from 'node:crypto';

/** The hash algorithms that this product believes; SHA-1 stands beside them only to compute digests over mixed PCR banks. */
export type HashName = 'sha256' | 'sha384' | 'sha512';

/** Digest lengths in bytes. */
export const DIGEST_BYTES: Readonly<Record<HashName | 'sha1', number>> = {
  sha1: 20,
  sha256: 32,
  sha384: 48,
  sha512: 64,
};

/**
 * The digest of the concatenation of `parts`. Not for secrets: on its way it is a string, since Node makes one of those,
 * one character a byte, in half the time that a Buffer takes.
 */
export function digest(hash: HashName | 'sha1', ...parts: readonly Uint8Array[]): Buffer {
  return Buffer.from(digestOnce(hash, joined(parts), 'binary'), 'latin1');
}

/** SHA-256 of the concatenation of `parts`. Not for secrets. */
export function sha256(...parts: readonly Uint8Array[]): Buffer {
  return digest('sha256', ...parts);
}

/** SHA-256 of bytes, or of the UTF-8 of a string, in lower-case hex. */
export function sha256Hex(data: Uint8Array | string): string {
  return digestOnce('sha256', data, 'hex');
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}
