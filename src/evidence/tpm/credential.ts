import { constants, createCipheriv, createECDH, createHmac, publicEncrypt, type ECDH } from 'node:crypto';
import { Writer } from '../../bytes/writer.js';
import { DIGEST_BYTES } from '../../crypto/digest.js';
import type { Random } from '../../crypto/random.js';
import { FIELD_BYTES, leftPad } from '../../crypto/signature.js';
import { MAX_TPMT_HA_BYTES } from './constants.js';
import type { EkKey, EkPublic } from './ek.js';
import { kdfa, kdfe, labelBytes } from './kdf.js';

/** The longest credential that every EK of ours takes: the digest of SHA-256. */
export const MAX_CREDENTIAL_BYTES = 32;

/** A credential that only the TPM of the EK gives out, and only where it holds the object of the Name too. */
export interface ProtectedCredential {
  /** TPM2B_ID_OBJECT. */
  readonly credentialBlob: Buffer;
  /** TPM2B_ENCRYPTED_SECRET. */
  readonly encryptedSecret: Buffer;
}

/** What TPM2_MakeCredential takes. */
export interface CredentialInput {
  readonly ek: EkPublic;
  /** The TPM Name of the AK: nameAlg, then the digest of its public area. */
  readonly akName: Buffer;
  /** 1 to 32 bytes; the caller's to keep secret and to zeroise. */
  readonly credential: Uint8Array;
}

const IDENTITY = 'IDENTITY';
const ECC_OPENSSL = { 'P-256': 'prime256v1', 'P-384': 'secp384r1' } as const;
const NO_CONTEXT = Buffer.alloc(0);
const AES_BLOCK_BYTES = 16;
/** Of 32 and 48 random bytes all but one in 2^32 and 2^192 are private keys: twice in a row says that the source is broken. */
const MAX_DRAWS = 2;

/**
 * TPM2_MakeCredential in software (TPM 2.0 Library part 1, credential protection). A TPM that opens it with
 * TPM2_ActivateCredential has both the EK and an object of this Name. Whether that object is an AK, and whether the EK is
 * a TPM's, is for the caller to know: from the public area under the Name, and from the EK's certificate. The seed of an
 * RSA EK and the ephemeral key of an ECC EK come from `random`; the padding of OAEP is OpenSSL's own. RangeError for a Name
 * or a credential of impossible length: a bug of the caller.
 */
export function makeCredential({ ek, akName, credential }: CredentialInput, random: Random): ProtectedCredential {
  if (akName.length === 0 || akName.length > MAX_TPMT_HA_BYTES) throw new RangeError('not the Name of an object');
  if (credential.length === 0 || credential.length > MAX_CREDENTIAL_BYTES) {
    throw new RangeError('a credential has 1 to 32 bytes');
  }
  const { seed, secret } = ek.key.kind === 'rsa' ? encryptSeed(ek, random) : agreeOnSeed(ek, ek.key, random);
  const credentialBlob = protect(ek, seed, akName, credential);
  seed.fill(0);
  return { credentialBlob, encryptedSecret: new Writer().sized16(secret).finish() };
}

/** The seed, and what brings it to the TPM: the content of TPM2B_ENCRYPTED_SECRET. */
interface SharedSeed {
  readonly seed: Buffer;
  readonly secret: Buffer;
}

/** RSA: a random seed, under OAEP. */
function encryptSeed({ keyObject, nameHash }: EkPublic, random: Random): SharedSeed {
  const seed = random(DIGEST_BYTES[nameHash]);
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const oaep = { padding, oaepHash: nameHash, oaepLabel: labelBytes(IDENTITY) };
  return { seed, secret: publicEncrypt({ key: keyObject, ...oaep }, seed) };
}

/** ECC: the seed derived from one-pass Diffie-Hellman; what is sent is the ephemeral point, a TPMS_ECC_POINT. */
function agreeOnSeed({ nameHash }: EkPublic, key: EkKey & { readonly kind: 'ecc' }, random: Random): SharedSeed {
  const fieldBytes = FIELD_BYTES[key.curve];
  const ephemeral = ephemeralKey(ECC_OPENSSL[key.curve], fieldBytes, random);
  const point = ephemeral.getPublicKey();
  const x = point.subarray(1, 1 + fieldBytes);
  const y = point.subarray(1 + fieldBytes);
  const z = leftPad(ephemeral.computeSecret(Buffer.concat([Buffer.of(4), key.x, key.y])), fieldBytes);
  const seed = kdfe(nameHash, z, IDENTITY, x, key.x, 8 * DIGEST_BYTES[nameHash]);
  z.fill(0);
  return { seed, secret: new Writer().sized16(x).sized16(y).finish() };
}

function ephemeralKey(curve: string, fieldBytes: number, random: Random): ECDH {
  const ephemeral = createECDH(curve);
  for (let draw = 1; ; draw++) {
    const scalar = random(fieldBytes);
    try {
      ephemeral.setPrivateKey(scalar);
      return ephemeral;
    } catch (cause) {
      if (draw === MAX_DRAWS) throw new Error('the random source gives no private key', { cause });
    } finally {
      scalar.fill(0);
    }
  }
}

/** The outer wrap: encrypted and bound to the Name under keys derived from the seed. */
function protect(ek: EkPublic, seed: Buffer, akName: Buffer, credential: Uint8Array): Buffer {
  const { nameHash, aesBits } = ek;
  const symKey = kdfa(nameHash, seed, 'STORAGE', akName, NO_CONTEXT, aesBits);
  const hmacKey = kdfa(nameHash, seed, 'INTEGRITY', NO_CONTEXT, NO_CONTEXT, 8 * DIGEST_BYTES[nameHash]);
  // An IV of zeros: the key is used once.
  const cipher = createCipheriv(aesBits === 128 ? 'aes-128-cfb' : 'aes-256-cfb', symKey, Buffer.alloc(AES_BLOCK_BYTES));
  const sized = new Writer().sized16(credential).finish();
  const encIdentity = Buffer.concat([cipher.update(sized), cipher.final()]);
  const integrity = createHmac(nameHash, hmacKey).update(encIdentity).update(akName).digest();
  for (const secret of [symKey, hmacKey, sized]) secret.fill(0);
  return new Writer().sized16(new Writer().sized16(integrity).bytes(encIdentity).finish()).finish();
}
