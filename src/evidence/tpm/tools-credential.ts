import { MalformedError } from '../../bytes/malformed-error.js';
import { Reader } from '../../bytes/reader.js';
import { Writer } from '../../bytes/writer.js';
import { MAX_DIGEST_BYTES, MAX_ECC_BYTES, MAX_RSA_BYTES } from './constants.js';
import type { ProtectedCredential } from './credential.js';

/** The first words of a tpm2-tools file, and the version that follows. */
const MAGIC = 0xbadcc0de;
const VERSION = 1;

/** TPMS_ID_OBJECT: a sized HMAC, then a sized credential encrypted. */
const MIN_ID_OBJECT_BYTES = 2 + 2 + 1;
const MAX_ID_OBJECT_BYTES = 2 + MAX_DIGEST_BYTES + 2 + MAX_DIGEST_BYTES;
/** An RSA ciphertext, or two sized coordinates. */
const MAX_SECRET_BYTES = Math.max(MAX_RSA_BYTES, 2 * (2 + MAX_ECC_BYTES));

/**
 * The file that `tpm2_makecredential -o` writes and `tpm2_activatecredential -i` reads (tpm2-tools 5.4): u32 badcc0de, u32
 * 1, TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET, all big-endian.
 */
export function encodeToolsCredential({ credentialBlob, encryptedSecret }: ProtectedCredential): Buffer {
  return new Writer().u32be(MAGIC).u32be(VERSION).bytes(credentialBlob).bytes(encryptedSecret).finish();
}

/**
 * Reads such a file. Throws MalformedError for another magic or version, what is cut short or left over, and sizes that
 * no credential has. What is inside is opaque here: nothing is decrypted or verified.
 */
export function parseToolsCredential(file: Buffer): ProtectedCredential {
  const r = new Reader(file);
  if (r.u32be('credential.magic') !== MAGIC) throw new MalformedError('credential: not a file of tpm2-tools');
  if (r.u32be('credential.version') !== VERSION) throw new MalformedError('credential.version: not 1');
  const idObject = r.sized16(MAX_ID_OBJECT_BYTES, 'credentialBlob');
  if (idObject.length < MIN_ID_OBJECT_BYTES) throw new MalformedError('credentialBlob: too short');
  const secret = r.sized16(MAX_SECRET_BYTES, 'encryptedSecret');
  if (secret.length === 0) throw new MalformedError('encryptedSecret: empty');
  r.end('credential');
  return {
    credentialBlob: new Writer().sized16(idObject).finish(),
    encryptedSecret: new Writer().sized16(secret).finish(),
  };
}
