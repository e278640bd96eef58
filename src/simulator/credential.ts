import { createDecipheriv, createHash, createHmac } from 'node:crypto';
import { equalBytes } from '../bytes/equal.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { Reader } from '../bytes/reader.js';
import { Writer } from '../bytes/writer.js';
import { DIGEST_BYTES, type HashName } from '../crypto/digest.js';
import { MAX_DIGEST_BYTES } from '../evidence/tpm/constants.js';
import { SimulatedTpmError } from './pcr-banks.js';

/** The label of credential protection, with the zero that ends it. */
export const IDENTITY_LABEL = Buffer.from('IDENTITY\0', 'ascii');
const AES_BLOCK_BYTES = 16;
const MAX_ID_OBJECT_BYTES = 2 * (2 + MAX_DIGEST_BYTES);

/** How an EK protects credentials: the hash of its nameAlg, and its symmetric key length. */
export interface Protection {
  readonly hash: HashName;
  readonly aesBits: 128 | 256;
}

/**
 * Opens a TPM2B_ID_OBJECT with its seed (TPM 2.0 Library part 1, credential protection), for an object of this Name. The
 * HMAC is checked before anything is decrypted. Throws SimulatedTpmError: TPM_RC_INTEGRITY for another seed, another Name or a
 * changed blob; TPM_RC_SIZE for one that does not parse.
 */
export function openCredential(blob: Uint8Array, seed: Uint8Array, name: Uint8Array, protection: Protection): Buffer {
  const { hash, aesBits } = protection;
  const { integrity, encIdentity } = parseTpm(() => {
    const outer = new Reader(blob);
    const r = new Reader(outer.sized16(MAX_ID_OBJECT_BYTES, 'credentialBlob'));
    outer.end('TPM2B_ID_OBJECT');
    const sized = r.sized16(MAX_DIGEST_BYTES, 'integrityHMAC');
    return { integrity: sized, encIdentity: r.take(r.remaining, 'encIdentity') };
  });
  const hmacKey = kdfa(hash, seed, 'INTEGRITY', Buffer.alloc(0), 8 * DIGEST_BYTES[hash]);
  const expected = createHmac(hash, hmacKey).update(encIdentity).update(name).digest();
  if (!equalBytes(expected, integrity)) {
    throw new SimulatedTpmError('TPM_RC_INTEGRITY: the credential is for another object or EK, or was changed');
  }
  const symKey = kdfa(hash, seed, 'STORAGE', name, aesBits);
  const decipher = createDecipheriv(
    aesBits === 128 ? 'aes-128-cfb' : 'aes-256-cfb',
    symKey,
    Buffer.alloc(AES_BLOCK_BYTES),
  );
  const sized = Buffer.concat([decipher.update(encIdentity), decipher.final()]);
  return parseTpm(() => {
    const r = new Reader(sized);
    const credential = r.sized16(DIGEST_BYTES[hash], 'credential');
    r.end('TPM2B_DIGEST');
    return credential;
  });
}

/** What `parse` reads from bytes that were handed to the TPM; TPM_RC_SIZE where they are malformed. */
export function parseTpm<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof MalformedError) throw new SimulatedTpmError(`TPM_RC_SIZE: ${cause.message}`);
    throw cause;
  }
}

/** KDFa (TPM 2.0 Library part 1) without contextV, in one block: what an EK derives is never longer than its hash. */
function kdfa(hash: HashName, key: Uint8Array, label: string, contextU: Uint8Array, bits: number): Buffer {
  const input = new Writer()
    .u32be(1)
    .bytes(Buffer.from(`${label}\0`, 'ascii'))
    .bytes(contextU)
    .u32be(bits)
    .finish();
  return createHmac(hash, key)
    .update(input)
    .digest()
    .subarray(0, bits / 8);
}

/** KDFe (TPM 2.0 Library part 1) in one block, with as many bits as the hash has; the inputs are x-coordinates of full field length. */
export function seedFromAgreement(hash: HashName, z: Uint8Array, ephemeralX: Uint8Array, ekX: Uint8Array): Buffer {
  const input = new Writer().u32be(1).bytes(z).bytes(IDENTITY_LABEL).bytes(ephemeralX).bytes(ekX).finish();
  return createHash(hash).update(input).digest();
}
