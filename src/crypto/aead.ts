import { createCipheriv, createDecipheriv } from 'node:crypto';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** An AES-256-GCM box that did not open: wrong key, wrong associated data, or changed bytes. Which of them is not known. */
export class SealedBoxError extends Error {
  override readonly name = 'SealedBoxError';
}

/**
 * Seals with AES-256-GCM (NIST SP 800-38D): 12 bytes nonce, then ciphertext, then 16 bytes tag.
 * `nonce` must be 12 fresh random bytes: under one key a nonce may never be used twice.
 */
export function seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, associatedData: Uint8Array): Buffer {
  if (nonce.length !== NONCE_BYTES) throw new RangeError('AES-GCM nonce must be 12 bytes');
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associatedData);
  const body = cipher.update(plaintext);
  cipher.final();
  return Buffer.concat([nonce, body, cipher.getAuthTag()]);
}

/** Opens what `seal` made. The caller owns the returned plaintext and zeroises it after use. Throws SealedBoxError. */
export function open(key: Uint8Array, box: Uint8Array, associatedData: Uint8Array): Buffer {
  if (box.length < NONCE_BYTES + TAG_BYTES) throw new SealedBoxError('sealed box is too short');
  const decipher = createDecipheriv('aes-256-gcm', key, box.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(associatedData);
  decipher.setAuthTag(box.subarray(box.length - TAG_BYTES));
  const plaintext = decipher.update(box.subarray(NONCE_BYTES, box.length - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    plaintext.fill(0);
    throw new SealedBoxError('sealed box does not open under this key and associated data');
  }
  return plaintext;
}
