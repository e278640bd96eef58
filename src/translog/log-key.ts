/** The transparency log's identity. This room may assume nothing of who reads the log; what stands here is public. */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { sha256 } from '../crypto/digest.js';

const ALGORITHM_ED25519 = 0x01;
/** DER of a PKCS#8 Ed25519 private key up to its 32-byte seed (RFC 8410). */
const PKCS8_ED25519_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The Ed25519 public key (32 bytes) of a 32-byte seed. */
export function logPublicKey(seed: Uint8Array): Buffer {
  const der = Buffer.concat([PKCS8_ED25519_PREFIX, seed]);
  const publicKey = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  der.fill(0);
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
}

/**
 * The vkey string of C2SP signed-note: `<name>+<key id>+<base64 key>`, where key is the algorithm byte 01 and the
 * 32-byte public key, and key id the first 4 bytes, in hex, of SHA-256(name || "\n" || key).
 */
export function verifierKey(origin: string, publicKey: Uint8Array): string {
  const key = Buffer.concat([Buffer.from([ALGORITHM_ED25519]), publicKey]);
  const keyId = sha256(Buffer.from(`${origin}\n`, 'utf8'), key).subarray(0, 4);
  return `${origin}+${keyId.toString('hex')}+${key.toString('base64')}`;
}
