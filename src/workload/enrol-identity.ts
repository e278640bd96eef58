import { toHex } from '../bytes/hex.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { Reader } from '../bytes/reader.js';
import { digest, sha256Hex, type HashName } from '../crypto/digest.js';
import { ecSpki, FIELD_BYTES, leftPad, rsaSpki, type CurveName } from '../crypto/signature.js';
import { AttesterError } from './errors.js';

/** What a broker knows an AK by; lower-case hex. */
export interface AkHashes {
  /** The TPM Name: nameAlg, then the digest of the public area. */
  readonly name: string;
  /** SHA-256 of the SubjectPublicKeyInfo (DER). */
  readonly spkiSha256: string;
}

const TPM_ALG_RSA = 0x0001;
const TPM_ALG_ECC = 0x0023;
const TPM_ALG_NULL = 0x0010;
const HASHES: ReadonlyMap<number, HashName> = new Map([
  [0x000b, 'sha256'],
  [0x000c, 'sha384'],
  [0x000d, 'sha512'],
]);
const CURVES: ReadonlyMap<number, CurveName> = new Map([
  [0x0003, 'P-256'],
  [0x0004, 'P-384'],
  [0x0005, 'P-521'],
]);
const MAX_DIGEST_BYTES = 64;
const MIN_MODULUS_BYTES = 256;
const MAX_MODULUS_BYTES = 512;

/**
 * The hashes of an AK by its TPM2B_PUBLIC (TPM 2.0 Library part 2), so that the broker's word for them can be compared.
 * Throws AttesterError for bytes that are no public area of a signing key with a scheme, of RSA with exponent 65537, P-256, P-384
 * or P-521. Whether the key is fit to be an AK is for the broker to say.
 */
export function akHashes(tpm2bPublic: Buffer): AkHashes {
  try {
    const outer = new Reader(tpm2bPublic);
    const area = outer.take(outer.u16be('size'), 'publicArea');
    outer.end('TPM2B_PUBLIC');
    const r = new Reader(area);
    const type = r.u16be('type');
    const nameAlg = HASHES.get(r.u16be('nameAlg'));
    r.u32be('objectAttributes');
    r.sized16(MAX_DIGEST_BYTES, 'authPolicy');
    const isPlain = r.u16be('symmetric') === TPM_ALG_NULL && r.u16be('scheme') !== TPM_ALG_NULL;
    if (nameAlg === undefined || !isPlain) throw new MalformedError('not a signing key with a scheme of its own');
    r.u16be('scheme.hash');
    const spki = type === TPM_ALG_RSA ? rsa(r) : ecc(r, type);
    r.end('TPMT_PUBLIC');
    return { name: toHex(area.subarray(2, 4)) + toHex(digest(nameAlg, area)), spkiSha256: sha256Hex(spki) };
  } catch (cause) {
    if (!(cause instanceof MalformedError)) throw cause;
    throw new AttesterError(`the AK has no public area that can be enrolled: ${cause.message}`, { cause });
  }
}

function rsa(r: Reader): Buffer {
  r.u16be('keyBits');
  const exponent = r.u32be('exponent');
  if (exponent !== 0 && exponent !== 65537) throw new MalformedError('exponent: not 65537');
  const n = r.sized16(MAX_MODULUS_BYTES, 'unique');
  if (n.length < MIN_MODULUS_BYTES || ((n[0] ?? 0) & 0x80) === 0) throw new MalformedError('unique: too short');
  return rsaSpki(n);
}

function ecc(r: Reader, type: number): Buffer {
  const curve = CURVES.get(r.u16be('curveID'));
  if (type !== TPM_ALG_ECC || curve === undefined || r.u16be('kdf') !== TPM_ALG_NULL) {
    throw new MalformedError('type: neither RSA nor ECC on a known curve');
  }
  const coordinate = (name: string) => leftPad(r.sized16(FIELD_BYTES[curve], name), FIELD_BYTES[curve]);
  return ecSpki(curve, coordinate('unique.x'), coordinate('unique.y'));
}
