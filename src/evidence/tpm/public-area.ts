import { MalformedError } from '../../bytes/malformed-error.js';
import { Reader } from '../../bytes/reader.js';
import {
  MAX_DIGEST_BYTES,
  MAX_ECC_BYTES,
  MAX_RSA_BYTES,
  TPM_ALG_AES,
  TPM_ALG_CAMELLIA,
  TPM_ALG_ECC,
  TPM_ALG_ECDH,
  TPM_ALG_ECDSA,
  TPM_ALG_ECMQV,
  TPM_ALG_ECSCHNORR,
  TPM_ALG_NULL,
  TPM_ALG_OAEP,
  TPM_ALG_RSA,
  TPM_ALG_RSAES,
  TPM_ALG_RSAPSS,
  TPM_ALG_RSASSA,
  TPM_ALG_SM2,
  TPM_ALG_SM4,
  TPM_ALG_TDES,
} from './constants.js';
import type { EccPublic, PublicArea, RsaPublic, SchemeWithHash, SymDefObject } from './structures.js';

const BLOCK_CIPHERS: ReadonlySet<number> = new Set([TPM_ALG_AES, TPM_ALG_TDES, TPM_ALG_SM4, TPM_ALG_CAMELLIA]);
const SCHEMES_WITH_HASH: ReadonlySet<number> = new Set([
  TPM_ALG_RSASSA,
  TPM_ALG_RSAPSS,
  TPM_ALG_OAEP,
  TPM_ALG_ECDSA,
  TPM_ALG_ECDH,
  TPM_ALG_SM2,
  TPM_ALG_ECSCHNORR,
  TPM_ALG_ECMQV,
]);

/** The bytes of TPMT_PUBLIC in what may be a TPM2B_PUBLIC: when the first u16 is the length of all that follows, it is a size. */
export function tpmtPublic(bytes: Buffer): Buffer {
  const sized = bytes.length >= 2 && bytes.readUInt16BE(0) === bytes.length - 2;
  return sized ? bytes.subarray(2) : bytes;
}

/**
 * TPMT_PUBLIC of an RSA or ECC key; nothing is verified but the form: an RSA modulus is odd and has exactly keyBits bits
 * (at most 4096), coordinates are at most 66 bytes. Whether a point is on its curve is not known here. Throws
 * MalformedError, also for the key types and the schemes (ECDAA) that no AK of ours can have.
 */
export function parsePublicArea(publicArea: Buffer): PublicArea {
  const r = new Reader(publicArea);
  const type = r.u16be('public.type');
  if (type !== TPM_ALG_RSA && type !== TPM_ALG_ECC) throw new MalformedError('public.type: neither RSA nor ECC');
  const nameAlg = r.u16be('public.nameAlg');
  const objectAttributes = r.u32be('public.objectAttributes');
  const authPolicy = r.sized16(MAX_DIGEST_BYTES, 'public.authPolicy');
  const symmetric = parseSymmetric(r);
  const scheme = parseScheme(r);
  const key = type === TPM_ALG_RSA ? parseRsa(r) : parseEcc(r);
  r.end('TPMT_PUBLIC');
  return { nameAlg, objectAttributes, authPolicy, symmetric, scheme, key };
}

function parseSymmetric(r: Reader): SymDefObject | undefined {
  const algorithm = r.u16be('public.symmetric.algorithm');
  if (algorithm === TPM_ALG_NULL) return undefined;
  if (!BLOCK_CIPHERS.has(algorithm)) throw new MalformedError('public.symmetric.algorithm: unknown');
  return { algorithm, keyBits: r.u16be('public.symmetric.keyBits'), mode: r.u16be('public.symmetric.mode') };
}

function parseScheme(r: Reader): SchemeWithHash | undefined {
  const scheme = r.u16be('public.scheme');
  if (scheme === TPM_ALG_NULL) return undefined;
  if (scheme === TPM_ALG_RSAES) return { scheme, hash: undefined };
  if (!SCHEMES_WITH_HASH.has(scheme)) throw new MalformedError('public.scheme: unknown');
  return { scheme, hash: r.u16be('public.scheme.hash') };
}

function parseRsa(r: Reader): RsaPublic {
  const keyBits = r.u16be('public.keyBits');
  const exponent = r.u32be('public.exponent');
  const n = r.sized16(MAX_RSA_BYTES, 'public.unique.rsa');
  if (n.length * 8 !== keyBits || ((n[0] ?? 0) & 0x80) === 0) {
    throw new MalformedError('public.unique.rsa: the modulus does not have keyBits bits');
  }
  if (((n.at(-1) ?? 0) & 1) === 0) throw new MalformedError('public.unique.rsa: the modulus is even');
  return { kind: 'rsa', keyBits, exponent, n };
}

function parseEcc(r: Reader): EccPublic {
  const curve = r.u16be('public.curveID');
  const kdfScheme = r.u16be('public.kdf');
  const kdf = kdfScheme === TPM_ALG_NULL ? undefined : { scheme: kdfScheme, hash: r.u16be('public.kdf.hash') };
  const x = r.sized16(MAX_ECC_BYTES, 'public.unique.x');
  const y = r.sized16(MAX_ECC_BYTES, 'public.unique.y');
  return { kind: 'ecc', curve, kdf, x, y };
}
