/** Numbers and names of the TPM 2.0 Library specification, part 2 (Structures). Spelling as there; no logic here. */
import type { BankName } from './evidence.js';

/** TPM_GENERATED: "\xffTCG", the first word of everything that a restricted key attests. */
export const TPM_GENERATED_VALUE = 0xff544347;

export const TPM_ST_ATTEST_NV = 0x8014;
export const TPM_ST_ATTEST_COMMAND_AUDIT = 0x8015;
export const TPM_ST_ATTEST_SESSION_AUDIT = 0x8016;
export const TPM_ST_ATTEST_CERTIFY = 0x8017;
export const TPM_ST_ATTEST_QUOTE = 0x8018;
export const TPM_ST_ATTEST_TIME = 0x8019;
export const TPM_ST_ATTEST_CREATION = 0x801a;
export const TPM_ST_ATTEST_NV_DIGEST = 0x801c;

/** For people: what kind of attestation a TPM_ST_ATTEST value is. */
export const ATTEST_NAMES: ReadonlyMap<number, string> = new Map([
  [TPM_ST_ATTEST_NV, 'nv'],
  [TPM_ST_ATTEST_COMMAND_AUDIT, 'command audit'],
  [TPM_ST_ATTEST_SESSION_AUDIT, 'session audit'],
  [TPM_ST_ATTEST_CERTIFY, 'certify'],
  [TPM_ST_ATTEST_QUOTE, 'quote'],
  [TPM_ST_ATTEST_TIME, 'time'],
  [TPM_ST_ATTEST_CREATION, 'creation'],
  [TPM_ST_ATTEST_NV_DIGEST, 'nv digest'],
]);

export const TPM_ALG_RSA = 0x0001;
export const TPM_ALG_TDES = 0x0003;
export const TPM_ALG_SHA1 = 0x0004;
export const TPM_ALG_AES = 0x0006;
export const TPM_ALG_SHA256 = 0x000b;
export const TPM_ALG_SHA384 = 0x000c;
export const TPM_ALG_SHA512 = 0x000d;
export const TPM_ALG_NULL = 0x0010;
export const TPM_ALG_SM4 = 0x0013;
export const TPM_ALG_RSASSA = 0x0014;
export const TPM_ALG_RSAES = 0x0015;
export const TPM_ALG_RSAPSS = 0x0016;
export const TPM_ALG_OAEP = 0x0017;
export const TPM_ALG_ECDSA = 0x0018;
export const TPM_ALG_ECDH = 0x0019;
export const TPM_ALG_SM2 = 0x001b;
export const TPM_ALG_ECSCHNORR = 0x001c;
export const TPM_ALG_ECMQV = 0x001d;
export const TPM_ALG_ECC = 0x0023;
export const TPM_ALG_CAMELLIA = 0x0026;
export const TPM_ALG_CFB = 0x0043;

export const TPM_ECC_NIST_P256 = 0x0003;
export const TPM_ECC_NIST_P384 = 0x0004;
export const TPM_ECC_NIST_P521 = 0x0005;

/** Masks of TPMA_OBJECT. */
export const TPMA_OBJECT = {
  fixedTPM: 0x0000_0002,
  stClear: 0x0000_0004,
  fixedParent: 0x0000_0010,
  sensitiveDataOrigin: 0x0000_0020,
  userWithAuth: 0x0000_0040,
  adminWithPolicy: 0x0000_0080,
  noDA: 0x0000_0400,
  encryptedDuplication: 0x0000_0800,
  restricted: 0x0001_0000,
  decrypt: 0x0002_0000,
  sign: 0x0004_0000,
} as const;

/** The PCR banks by their hash algorithm. */
export const BANK_OF_ALG: ReadonlyMap<number, BankName> = new Map([
  [TPM_ALG_SHA1, 'sha1'],
  [TPM_ALG_SHA256, 'sha256'],
  [TPM_ALG_SHA384, 'sha384'],
  [TPM_ALG_SHA512, 'sha512'],
]);

/** The hash algorithm of each PCR bank. */
export const ALG_OF_BANK: Readonly<Record<BankName, number>> = {
  sha1: TPM_ALG_SHA1,
  sha256: TPM_ALG_SHA256,
  sha384: TPM_ALG_SHA384,
  sha512: TPM_ALG_SHA512,
};

/** PCRs of a PC Client TPM: 0 to 23. */
export const PCR_COUNT = 24;
/** sizeofSelect of a PC Client TPM: 24 bits. */
export const PCR_SELECT_BYTES = 3;
/** The most entries of a TPML_PCR_SELECTION: HASH_COUNT of tpm2-tss. */
export const MAX_PCR_SELECTIONS = 16;

/** The longest TPM2B_DIGEST: SHA-512. */
export const MAX_DIGEST_BYTES = 64;
/** The longest TPM2B_NAME and TPM2B_DATA: an algorithm and a SHA-512 digest. */
export const MAX_TPMT_HA_BYTES = 66;
/** RSA 4096. */
export const MAX_RSA_BYTES = 512;
/** P-521. */
export const MAX_ECC_BYTES = 66;
