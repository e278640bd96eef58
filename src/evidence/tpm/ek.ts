import type { KeyObject } from 'node:crypto';
import { MalformedError } from '../../bytes/malformed-error.js';
import { equalBytes } from '../../bytes/equal.js';
import { sha256Hex } from '../../crypto/digest.js';
import { FIELD_BYTES, ecKey, ecSpki, leftPad, rsaKey, rsaSpki } from '../../crypto/signature.js';
import { reject, type Finding, type Result } from '../../reason/reason.js';
import {
  BANK_OF_ALG,
  TPMA_OBJECT,
  TPM_ALG_AES,
  TPM_ALG_CFB,
  TPM_ECC_NIST_P256,
  TPM_ECC_NIST_P384,
} from './constants.js';
import { orMalformed } from './malformed.js';
import { parsePublicArea, tpmtPublic } from './public-area.js';
import type { PublicArea } from './structures.js';

/** The keys of EKs for which credentials are made; named as `tpm2_createek -G` names them. */
export type EkAlgorithm = 'rsa2048' | 'rsa3072' | 'ecc256' | 'ecc384';

/** An RSA EK, or the curve and point of an ECC EK with coordinates of full field length. */
export type EkKey =
  | { readonly kind: 'rsa'; readonly n: Buffer }
  | { readonly kind: 'ecc'; readonly curve: 'P-256' | 'P-384'; readonly x: Buffer; readonly y: Buffer };

/** The public area of a key that can be nothing but an EK, if a TPM holds it: nothing here vouches for that. */
export interface EkPublic {
  readonly algorithm: EkAlgorithm;
  /** TPMT_PUBLIC. */
  readonly publicArea: Buffer;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  /** SHA-256 of `spki`, hex: the identity of the EK, whatever its attributes. */
  readonly spkiSha256: string;
  readonly key: EkKey;
  readonly keyObject: KeyObject;
  /** The hash of nameAlg: that of OAEP, of the derivations and of the HMAC of a credential. */
  readonly nameHash: 'sha256' | 'sha384';
  /** Of the symmetric definition: the key length of the AES-CFB that encrypts a credential. */
  readonly aesBits: 128 | 256;
}

const MUST_BE_SET = ['restricted', 'decrypt', 'fixedTPM', 'fixedParent', 'sensitiveDataOrigin'] as const;
const MUST_BE_CLEAR = ['sign', 'stClear', 'encryptedDuplication'] as const;

interface EkCurve {
  readonly curve: 'P-256' | 'P-384';
  readonly algorithm: EkAlgorithm;
}

const CURVES: ReadonlyMap<number, EkCurve> = new Map([
  [TPM_ECC_NIST_P256, { curve: 'P-256', algorithm: 'ecc256' }],
  [TPM_ECC_NIST_P384, { curve: 'P-384', algorithm: 'ecc384' }],
]);
const RSA_SIZES: ReadonlyMap<number, EkAlgorithm> = new Map([
  [2048, 'rsa2048'],
  [3072, 'rsa3072'],
]);

/**
 * The EK in a TPM2B_PUBLIC or TPMT_PUBLIC. evidence.malformed: it does not parse, a point is off its curve, or it is no
 * restricted decryption key fixed to its TPM and made in it, not signing, with AES-128 or AES-256 in CFB mode, nameAlg
 * SHA-256 or SHA-384, no schemes, RSA of 2048 or 3072 bits with exponent 65537, P-256 or P-384. authPolicy may be any.
 * NOT verified: that the key is in a TPM, and that its TPM gave it these attributes: a certificate vouches for the key
 * (`hasKey`), and by its maker's word for all else. Where the area says something else than the TPM, no credential for
 * it opens.
 */
export function parseEk(bytes: Buffer): Result<EkPublic> {
  // A copy, of its own memory: it may be kept long after the request.
  const publicArea = Buffer.from(new Uint8Array(tpmtPublic(bytes)).buffer);
  const parsed = orMalformed(() => parsePublicArea(publicArea));
  if (!parsed.ok) return parsed;
  const area = parsed.value;
  const findings = unsuitable(area);
  const nameHash = BANK_OF_ALG.get(area.nameAlg);
  const algorithm = algorithmOf(area);
  if (findings.length > 0 || algorithm === undefined || (nameHash !== 'sha256' && nameHash !== 'sha384')) {
    const names = findings.map(({ claim }) => claim.replace('ek.', '')).join(', ');
    return reject('evidence.malformed', `the public area is not that of an endorsement key: ${names}`, ...findings);
  }
  const aesBits = area.symmetric?.keyBits === 256 ? 256 : 128;
  return orMalformed(() => {
    const key = keyOf(area);
    const spki = key.kind === 'rsa' ? rsaSpki(key.n) : ecSpki(key.curve, key.x, key.y);
    const keyObject = key.kind === 'rsa' ? rsaKey(key.n) : ecKey(key.curve, key.x, key.y);
    return { algorithm, publicArea, spki, spkiSha256: sha256Hex(spki), key, keyObject, nameHash, aesBits };
  });
}

/** Whether an EK has the key of a certificate: `spki` is the certificate's SubjectPublicKeyInfo as OpenSSL exports it (DER). */
export function hasKey(ek: EkPublic, spki: Uint8Array): boolean {
  return equalBytes(ek.spki, spki);
}

function algorithmOf({ key }: PublicArea): EkAlgorithm | undefined {
  return key.kind === 'rsa' ? RSA_SIZES.get(key.keyBits) : CURVES.get(key.curve)?.algorithm;
}

/** Everything that keeps this area from being that of an EK for which we make credentials. */
function unsuitable(area: PublicArea): readonly Finding[] {
  const found: Finding[] = [];
  const expect = (claim: string, expected: Finding['expected'], value: string | number | boolean) => {
    const operator = Array.isArray(expected) ? 'in' : 'equals';
    found.push({ claim: `ek.${claim}`, operator, expected, found: value });
  };
  const has = (mask: number) => (area.objectAttributes & mask) !== 0;
  for (const name of MUST_BE_SET) if (!has(TPMA_OBJECT[name])) expect(name, true, false);
  for (const name of MUST_BE_CLEAR) if (has(TPMA_OBJECT[name])) expect(name, false, true);
  const nameAlg = BANK_OF_ALG.get(area.nameAlg) ?? hexId(area.nameAlg);
  if (nameAlg !== 'sha256' && nameAlg !== 'sha384') expect('name_alg', ['sha256', 'sha384'], nameAlg);
  const { symmetric, scheme, key } = area;
  if (symmetric?.algorithm !== TPM_ALG_AES || symmetric.mode !== TPM_ALG_CFB) {
    expect('symmetric', 'aes-cfb', symmetric === undefined ? 'null' : hexId(symmetric.algorithm));
  } else if (symmetric.keyBits !== 128 && symmetric.keyBits !== 256) {
    expect('symmetric.key_bits', ['128', '256'], symmetric.keyBits);
  }
  if (scheme !== undefined) expect('scheme', 'null', hexId(scheme.scheme));
  if (key.kind === 'rsa') {
    if (!RSA_SIZES.has(key.keyBits)) expect('key_bits', ['2048', '3072'], key.keyBits);
    if (key.exponent !== 0 && key.exponent !== 65537) expect('exponent', 65537, key.exponent);
  } else {
    if (key.kdf !== undefined) expect('kdf', 'null', hexId(key.kdf.scheme));
    if (algorithmOf(area) === undefined) expect('curve', ['P-256', 'P-384'], hexId(key.curve));
  }
  return found;
}

function keyOf({ key }: PublicArea): EkKey {
  if (key.kind === 'rsa') return { kind: 'rsa', n: key.n };
  const curve = CURVES.get(key.curve)?.curve;
  if (curve === undefined) throw new MalformedError('public.curveID: unknown');
  const fieldBytes = FIELD_BYTES[curve];
  if (key.x.length > fieldBytes || key.y.length > fieldBytes) {
    throw new MalformedError('public.unique: a coordinate is longer than the field');
  }
  return { kind: 'ecc', curve, x: leftPad(key.x, fieldBytes), y: leftPad(key.y, fieldBytes) };
}

function hexId(id: number): string {
  return `0x${id.toString(16).padStart(4, '0')}`;
}
