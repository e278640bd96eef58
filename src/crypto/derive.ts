import { createHmac, hkdfSync } from 'node:crypto';

/** What the keys derived from the broker's root secret are for. One key, one purpose. */
export type KeyPurpose =
  'nonce' | 'row-mac' | 'token' | 'enrolment' | 'archive' | 'names' | 'kept-checkpoint' | 'simulated-hardware';

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
  const sizes = fields.map((field) => (typeof field === 'string' ? Buffer.byteLength(field, 'utf8') : field.length));
  const input = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + 4 + size, 4));
  let at = input.writeUInt32BE(fields.length);
  fields.forEach((field, index) => {
    at = input.writeUInt32BE(sizes[index] ?? 0, at);
    if (typeof field === 'string') input.write(field, at, 'utf8');
    else input.set(field, at);
    at += sizes[index] ?? 0;
  });
  const mac = createHmac('sha256', key).update(input).digest();
  // A field may be a secret, and the memory is shared.
  input.fill(0);
  return mac;
}
