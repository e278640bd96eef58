/** Quotes signed by software keys: genuine bytes that no TPM made, to be bent in any way a test needs. */
import {
  createHash,
  createPrivateKey,
  constants,
  createECDH,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto';
import * as C from '../../../src/evidence/tpm/constants.js';
import type { BankName, PcrValues, TpmEvidence } from '../../../src/evidence/tpm/evidence.js';
import type { PcrSelection, PublicArea, QuoteAttest, TpmSignature } from '../../../src/evidence/tpm/structures.js';
import { encodeAttest, encodePublicArea, encodeSignature, type Header } from './encode.js';

const A = C.TPMA_OBJECT;
/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign: 00050072, as tpm2_createak sets them. */
export const AK_ATTRIBUTES =
  A.fixedTPM | A.fixedParent | A.sensitiveDataOrigin | A.userWithAuth | A.restricted | A.sign;

export type Scheme = 'rsassa' | 'rsapss' | 'ecdsa';
export type CurveName = 'P-256' | 'P-384' | 'P-521';
const SCHEME_ALG = { rsassa: C.TPM_ALG_RSASSA, rsapss: C.TPM_ALG_RSAPSS, ecdsa: C.TPM_ALG_ECDSA };
const CURVES = {
  'P-256': { openssl: 'prime256v1', id: C.TPM_ECC_NIST_P256, field: 32 },
  'P-384': { openssl: 'secp384r1', id: C.TPM_ECC_NIST_P384, field: 48 },
  'P-521': { openssl: 'secp521r1', id: C.TPM_ECC_NIST_P521, field: 66 },
};

export interface SoftwareAk {
  readonly area: PublicArea;
  readonly privateKey: KeyObject;
  readonly scheme: Scheme;
  readonly hash: BankName;
}

/** An RSA AK with a fresh key. */
export function rsaAk(scheme: 'rsassa' | 'rsapss' = 'rsassa', hash: BankName = 'sha256', bits = 2048): SoftwareAk {
  const pair = generateKeyPairSync('rsa', {
    modulusLength: bits,
    publicKeyEncoding: { format: 'der', type: 'spki' },
    privateKeyEncoding: { format: 'der', type: 'pkcs8' },
  });
  // SPKI up to the modulus is 33 bytes for every size from 2048 bits.
  const n = pair.publicKey.subarray(33, 33 + bits / 8);
  const privateKey = createPrivateKey({ key: pair.privateKey, format: 'der', type: 'pkcs8' });
  return { area: akArea({ kind: 'rsa', keyBits: bits, exponent: 0, n }, scheme, hash), privateKey, scheme, hash };
}

/** An ECC AK; the same seed gives the same key. */
export function eccAk(curve: CurveName = 'P-256', hash: BankName = 'sha256', seed = 'a test key'): SoftwareAk {
  const { openssl, id, field } = CURVES[curve];
  const d = Buffer.alloc(field);
  // Well below the order of each curve.
  createHash('sha256')
    .update(seed)
    .digest()
    .copy(d, field - 31, 1);
  const ecdh = createECDH(openssl);
  ecdh.setPrivateKey(d);
  const point = ecdh.getPublicKey();
  const [x, y] = [point.subarray(1, 1 + field), point.subarray(1 + field)];
  const base64url = (bytes: Buffer) => bytes.toString('base64url');
  const jwk = { kty: 'EC', crv: curve, x: base64url(x), y: base64url(y), d: base64url(d) };
  const privateKey = createPrivateKey({ key: jwk, format: 'jwk' });
  const area = akArea({ kind: 'ecc', curve: id, kdf: undefined, x, y }, 'ecdsa', hash);
  return { area, privateKey, scheme: 'ecdsa', hash };
}

function akArea(key: PublicArea['key'], scheme: Scheme, hash: BankName): PublicArea {
  return {
    nameAlg: C.TPM_ALG_SHA256,
    objectAttributes: AK_ATTRIBUTES,
    authPolicy: Buffer.alloc(0),
    symmetric: undefined,
    scheme: { scheme: SCHEME_ALG[scheme], hash: C.ALG_OF_BANK[hash] },
    key,
  };
}

/** Signs bytes as a TPM would, with the AK's scheme or another one. */
export function signBytes(ak: SoftwareAk, message: Buffer, scheme = ak.scheme, hash = ak.hash): TpmSignature {
  const sigAlg = SCHEME_ALG[scheme];
  const hashAlg = C.ALG_OF_BANK[hash];
  const key = ak.privateKey;
  if (scheme === 'ecdsa') {
    const raw = sign(hash, message, { key, dsaEncoding: 'ieee-p1363' });
    const half = raw.length / 2;
    return { kind: 'ecdsa', sigAlg, hash: hashAlg, r: raw.subarray(0, half), s: raw.subarray(half) };
  }
  const padding = scheme === 'rsapss' ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING;
  return { kind: 'rsa', sigAlg, hash: hashAlg, sig: sign(hash, message, { key, padding }) };
}

/** A PCR value that is different for each bank and number. */
export function pcrValue(bank: BankName, pcr: number): string {
  return createHash(bank)
    .update(`PCR ${String(pcr)}`)
    .digest('hex');
}

export interface QuoteParts {
  /** In order; by default PCR 0, 4 and 8 of the SHA-256 bank. */
  readonly pcrSelect?: readonly PcrSelection[];
  readonly extraData?: Buffer;
  readonly header?: Header;
  readonly body?: Partial<QuoteAttest>;
}

export function selection(bank: BankName, ...pcrs: readonly number[]): PcrSelection {
  return { hashAlg: C.ALG_OF_BANK[bank], pcrs };
}

/** Values for every selected PCR, as pcrValue gives them. */
export function valuesFor(pcrSelect: readonly PcrSelection[]): PcrValues {
  const values: Partial<Record<BankName, Record<string, string>>> = {};
  for (const { hashAlg, pcrs } of pcrSelect) {
    const bank = C.BANK_OF_ALG.get(hashAlg);
    if (bank === undefined) continue;
    const members = (values[bank] ??= {});
    for (const pcr of pcrs) members[String(pcr)] = pcrValue(bank, pcr);
  }
  return values;
}

/** The digest that a TPM would make over pcrValue of the selected PCRs. */
export function digestOf(pcrSelect: readonly PcrSelection[], hash: BankName): Buffer {
  const state = createHash(hash);
  for (const { hashAlg, pcrs } of pcrSelect) {
    const bank = C.BANK_OF_ALG.get(hashAlg);
    if (bank === undefined) continue;
    for (const pcr of [...pcrs].sort((a, b) => a - b)) state.update(Buffer.from(pcrValue(bank, pcr), 'hex'));
  }
  return state.digest();
}

/** The extraData of quotes made here, unless a test says otherwise. */
export const BINDING = createHash('sha256').update('binding').digest();

/** TPMS_ATTEST. */
export function attestBytes(hash: BankName, parts: QuoteParts = {}): Buffer {
  const pcrSelect = parts.pcrSelect ?? [selection('sha256', 0, 4, 8)];
  const quote: QuoteAttest = {
    qualifiedSigner: Buffer.concat([Buffer.of(0, 0x0b), Buffer.alloc(32, 7)]),
    extraData: parts.extraData ?? BINDING,
    clockInfo: { clock: 0x1_0000_0001n, resetCount: 3, restartCount: 5, safe: true },
    firmwareVersion: 0x2019_1023_0016_3636n,
    pcrSelect,
    pcrDigest: digestOf(pcrSelect, hash),
    ...parts.body,
  };
  return encodeAttest(quote, parts.header);
}

/** Evidence with the public area of its AK. */
export type WithPublicArea = TpmEvidence & { readonly ak: Buffer };

/** Evidence that verifies, unless `parts` spoil it; the signature is always genuine. */
export function softwareQuote(ak: SoftwareAk, parts: QuoteParts = {}): WithPublicArea {
  const quoted = attestBytes(ak.hash, parts);
  return {
    quoted,
    signature: encodeSignature(signBytes(ak, quoted)),
    ak: encodePublicArea(ak.area),
    pcrs: valuesFor(parts.pcrSelect ?? [selection('sha256', 0, 4, 8)]),
    akCertificates: [],
  };
}
