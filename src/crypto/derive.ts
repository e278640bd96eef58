import { createHmac, hkdfSync } from 'node:crypto';

/** What the keys derived from the broker's root secret are for. One key, one purpose. */
export type KeyPurpose = 'nonce' | 'row-mac' | 'token' | 'enrolment' | 'archive' | 'names' | 'kept-checkpoint';

/** The 32-byte key for one purpose and epoch: HKDF-SHA-256 (RFC 5869) of the root secret, no salt, info `portcullis/<purpose>/v1/<epoch>`. */
export function deriveKey(rootSecret: Uint8Array, purpose: KeyPurpose, epoch: number): Buffer {
  const info = `portcullis/${purpose}/v1/${String(epoch)}`;
  return Buffer.from(hkdfSync('sha256', rootSecret, Buffer.alloc(0), info, 32));
}

/**
 * HMAC-SHA-256 over the fields, each behind its length as u32 big-endian and the list behind its count, so that no two
 * lists of fields share an input.
 */
export function macOfFields(key: Uint8Array, fields: readonly (Uint8Array | string)[]): Buffer {
  const mac = createHmac('sha256', key);
  mac.update(u32(fields.length));
  for (const field of fields) {
    const bytes = typeof field === 'string' ? Buffer.from(field, 'utf8') : field;
    mac.update(u32(bytes.length)).update(bytes);
  }
  return mac.digest();
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
