import { createHash } from 'node:crypto';

/** The hash algorithms that this product believes; SHA-1 stands beside them only to compute digests over mixed PCR banks. */
export type HashName = 'sha256' | 'sha384' | 'sha512';

/** Digest lengths in bytes. */
export const DIGEST_BYTES: Readonly<Record<HashName | 'sha1', number>> = {
  sha1: 20,
  sha256: 32,
  sha384: 48,
  sha512: 64,
};

/** The digest of the concatenation of `parts`. */
export function digest(hash: HashName | 'sha1', ...parts: readonly Uint8Array[]): Buffer {
  const state = createHash(hash);
  for (const part of parts) state.update(part);
  return state.digest();
}

/** SHA-256 of the concatenation of `parts`. */
export function sha256(...parts: readonly Uint8Array[]): Buffer {
  return digest('sha256', ...parts);
}
