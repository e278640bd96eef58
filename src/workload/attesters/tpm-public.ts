import { MalformedError } from '../../bytes/malformed-error.js';
import { Reader } from '../../bytes/reader.js';
import type { HashName } from '../../crypto/digest.js';
import type { AkScheme } from '../../simulator/ak.js';
import { AttesterError } from '../errors.js';

/** How tpm2_quote is to sign with an AK: names as its options --scheme and -g take them. */
export interface AkSigning {
  readonly scheme: 'rsassa' | 'rsapss' | 'ecdsa';
  readonly hash: HashName;
}

/** How tpm2_createak makes an AK of a scheme. */
export const AK_TEMPLATES: Readonly<Record<AkScheme, AkSigning & { readonly algorithm: string }>> = {
  rsassa: { algorithm: 'rsa2048', scheme: 'rsassa', hash: 'sha256' },
  rsapss: { algorithm: 'rsa2048', scheme: 'rsapss', hash: 'sha256' },
  'ecdsa-p256': { algorithm: 'ecc256', scheme: 'ecdsa', hash: 'sha256' },
  'ecdsa-p384': { algorithm: 'ecc384', scheme: 'ecdsa', hash: 'sha384' },
};

const TPM_ALG_NULL = 0x0010;
const SCHEMES: ReadonlyMap<number, AkSigning['scheme']> = new Map([
  [0x0014, 'rsassa'],
  [0x0016, 'rsapss'],
  [0x0018, 'ecdsa'],
]);
const HASHES: ReadonlyMap<number, HashName> = new Map([
  [0x000b, 'sha256'],
  [0x000c, 'sha384'],
  [0x000d, 'sha512'],
]);
const ATTRIBUTE_RESTRICTED = 1 << 16;
const ATTRIBUTE_SIGN = 1 << 18;
const MAX_DIGEST_BYTES = 64;

/**
 * The signing scheme that a TPM2B_PUBLIC (TPM 2.0 Library part 2) fixes. Throws AttesterError for a key that no broker
 * would accept as an AK: not restricted and signing, or without a scheme of its own.
 */
export function akSigning(tpm2bPublic: Buffer): AkSigning {
  try {
    const r = new Reader(tpm2bPublic);
    r.u16be('size');
    r.u16be('type');
    r.u16be('nameAlg');
    const attributes = r.u32be('objectAttributes');
    r.sized16(MAX_DIGEST_BYTES, 'authPolicy');
    const symmetric = r.u16be('symmetric');
    const scheme = SCHEMES.get(r.u16be('scheme'));
    const hash = HASHES.get(r.u16be('scheme.hash'));
    const isAk = (attributes & ATTRIBUTE_RESTRICTED) !== 0 && (attributes & ATTRIBUTE_SIGN) !== 0;
    if (isAk && symmetric === TPM_ALG_NULL && scheme !== undefined && hash !== undefined) return { scheme, hash };
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
  }
  throw new AttesterError('the key at the handle is no attestation key: restricted, signing, with a scheme of its own');
}
