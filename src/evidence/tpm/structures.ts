/**
 * TPM 2.0 structures as parsed: shape only, nothing verified. Names as in part 2 (Structures) of the specification;
 * algorithm ids and attributes are the numbers of constants.ts. Buffers are views of what was received.
 */

/** TPMS_CLOCK_INFO. `clock` is milliseconds. */
export interface ClockInfo {
  readonly clock: bigint;
  readonly resetCount: number;
  readonly restartCount: number;
  readonly safe: boolean;
}

/** TPMS_PCR_SELECTION. `pcrs` are the numbers whose bits are set, ascending; it may be empty. */
export interface PcrSelection {
  readonly hashAlg: number;
  readonly pcrs: readonly number[];
}

/** TPMS_ATTEST of type TPM_ST_ATTEST_QUOTE, magic and type left out since they have one value. */
export interface QuoteAttest {
  /** The Name of the key in its hierarchy; says nothing by itself. */
  readonly qualifiedSigner: Buffer;
  readonly extraData: Buffer;
  readonly clockInfo: ClockInfo;
  readonly firmwareVersion: bigint;
  readonly pcrSelect: readonly PcrSelection[];
  readonly pcrDigest: Buffer;
}

/** TPMT_SIGNATURE of RSASSA or RSAPSS. */
export interface RsaSignature {
  readonly kind: 'rsa';
  readonly sigAlg: number;
  readonly hash: number;
  readonly sig: Buffer;
}

/** TPMT_SIGNATURE of ECDSA; r and s are big-endian numbers that may be shorter than the field. */
export interface EcdsaSignature {
  readonly kind: 'ecdsa';
  readonly sigAlg: number;
  readonly hash: number;
  readonly r: Buffer;
  readonly s: Buffer;
}

/** A TPMT_SIGNATURE of a scheme whose shape is not known here. */
export interface UnknownSignature {
  readonly kind: 'unknown';
  readonly sigAlg: number;
}

export type TpmSignature = RsaSignature | EcdsaSignature | UnknownSignature;

/** TPMT_SYM_DEF_OBJECT other than TPM_ALG_NULL. */
export interface SymDefObject {
  readonly algorithm: number;
  readonly keyBits: number;
  readonly mode: number;
}

/** TPMT_ASYM_SCHEME or TPMT_KDF_SCHEME other than TPM_ALG_NULL; RSAES alone has no hash. */
export interface SchemeWithHash {
  readonly scheme: number;
  readonly hash: number | undefined;
}

/** TPMS_RSA_PARMS and TPM2B_PUBLIC_KEY_RSA. An exponent of 0 means 65537. */
export interface RsaPublic {
  readonly kind: 'rsa';
  readonly keyBits: number;
  readonly exponent: number;
  readonly n: Buffer;
}

/** TPMS_ECC_PARMS and TPMS_ECC_POINT. Coordinates may be shorter than the field. */
export interface EccPublic {
  readonly kind: 'ecc';
  readonly curve: number;
  readonly kdf: SchemeWithHash | undefined;
  readonly x: Buffer;
  readonly y: Buffer;
}

/** TPMT_PUBLIC of an asymmetric key. `symmetric`, `scheme`, `kdf`: undefined is TPM_ALG_NULL. */
export interface PublicArea {
  readonly nameAlg: number;
  readonly objectAttributes: number;
  readonly authPolicy: Buffer;
  readonly symmetric: SymDefObject | undefined;
  readonly scheme: SchemeWithHash | undefined;
  readonly key: RsaPublic | EccPublic;
}
