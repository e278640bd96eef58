import type { KeyObject } from 'node:crypto';
import { MalformedError } from '../../bytes/malformed-error.js';
import { toHex } from '../../bytes/hex.js';
import type { ClaimTree } from '../../claims/claims.js';
import { digest, sha256, sha256Hex } from '../../crypto/digest.js';
import { FIELD_BYTES, ecKey, ecSpki, leftPad, rsaKey, rsaSpki, type CurveName } from '../../crypto/signature.js';
import { parseCertificate } from '../../crypto/x509.js';
import { type CertifiedKey, parseSpki } from '../../crypto/x509-key.js';
import { accept, reject, type Finding, type Result } from '../../reason/reason.js';
import { BANK_OF_ALG, TPMA_OBJECT, TPM_ECC_NIST_P256, TPM_ECC_NIST_P384, TPM_ECC_NIST_P521 } from './constants.js';
import type { TpmEvidence } from './evidence.js';
import { orMalformed } from './malformed.js';
import { parsePublicArea, tpmtPublic } from './public-area.js';
import type { PublicArea } from './structures.js';

/** What makes an AK believable. */
export type AkTrust = 'pinned' | 'ek-certificate' | 'ak-certificate' | 'cvm-report' | 'simulator';

/** What makes one AK believable, and what else is known of its TPM by that. */
export interface AkVouching {
  readonly kind: AkTrust;
  /** Claims below `tpm`. */
  readonly claims?: ClaimTree;
}

/** A key that can only be used for attestations of its own TPM, if it is one: nothing here vouches for that. */
export interface AkIdentity {
  /** The TPM Name, hex: nameAlg, then the digest of the public area. Changes with attributes that do not matter. `unknown` without a public area. */
  readonly name: string;
  /** SHA-256 of `spki`, hex: the identity for revocation, budgets and inventory. */
  readonly spkiSha256: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  /** TPMT_PUBLIC as presented; empty where it was not. */
  readonly publicArea: Buffer;
  /** undefined: no public area was presented, so that attributes and scheme of the key are as its certificate's issuer says, or nobody. */
  readonly area: PublicArea | undefined;
  /** undefined: RSA. */
  readonly curve: CurveName | undefined;
  readonly key: KeyObject;
}

/** The name of an AK whose public area was not presented. */
export const UNKNOWN_NAME = 'unknown';

export const CURVE_NAMES: ReadonlyMap<number, CurveName> = new Map([
  [TPM_ECC_NIST_P256, 'P-256'],
  [TPM_ECC_NIST_P384, 'P-384'],
  [TPM_ECC_NIST_P521, 'P-521'],
]);

/** An unrestricted key signs any bytes, forged quotes too; one that is not fixed can be copied out of its TPM. */
const MUST_BE_SET = ['restricted', 'sign', 'fixedTPM', 'fixedParent', 'sensitiveDataOrigin'] as const;
/** Bits 0, 3, 12 to 15 and 20 to 31; 8, 9 and 19 have a meaning in later revisions and none for what a quote proves. */
const RESERVED_ATTRIBUTES = 0xfff0_f009;
const MIN_RSA_BITS = 2048;
const RSA_BITS: readonly number[] = [2048, 3072, 4096];
const RSA_EXPONENT = 65537n;

/** What an AK is presented as: of these the first there is. */
type Presented = Pick<TpmEvidence, 'ak' | 'akCertificates' | 'namedSpki'>;

/** The AK that a quote is presented with: its public area, or, without one, the key that its certificate is for, or that other evidence names. */
export function presentedAk(
  { ak, akCertificates, namedSpki }: Presented,
  known?: Pick<ReadonlyMap<Buffer, AkIdentity>, 'get'>,
): Result<AkIdentity> {
  if (ak !== undefined) return parseAk(ak, known);
  const [certificate] = akCertificates;
  return certificate === undefined && namedSpki !== undefined
    ? parseNamedAk(namedSpki, known)
    : parseCertifiedAk(certificate, known);
}

/** What an AK is remembered by: its public area, or a hash of what stood for it. */
export function placeOf({ ak, akCertificates, namedSpki }: Presented, { publicArea }: AkIdentity): Buffer {
  const [certificate] = akCertificates;
  if (ak !== undefined) return publicArea;
  return sha256(certificate ?? namedSpki ?? publicArea);
}

/**
 * The AK in a TPM2B_PUBLIC or TPMT_PUBLIC. evidence.malformed: does not parse, coordinates longer than the field, a
 * point off the curve. ak.attributes: not restricted, sign, fixedTPM, fixedParent and sensitiveDataOrigin, or decrypt, or
 * reserved bits; nameAlg SHA-1; scheme NULL; symmetric or KDF scheme not NULL; RSA under 2048 bits or with an exponent other
 * than 65537; a curve other than P-256, P-384, P-521. NOT verified: that the key is in any TPM. What is in `known` is taken
 * from there; nothing is put in.
 */
export function parseAk(bytes: Buffer, known?: Pick<ReadonlyMap<Buffer, AkIdentity>, 'get'>): Result<AkIdentity> {
  const presented = tpmtPublic(bytes);
  const before = known?.get(presented);
  if (before?.area !== undefined) return accept(before);
  // A copy, of its own memory: it may be kept long after the request.
  const publicArea = Buffer.from(new Uint8Array(presented).buffer);
  const parsed = orMalformed(() => parsePublicArea(publicArea));
  if (!parsed.ok) return parsed;
  const area = parsed.value;
  const findings = unsuitable(area);
  const nameHash = BANK_OF_ALG.get(area.nameAlg);
  if (findings.length > 0 || nameHash === undefined) {
    const names = findings.map(({ claim }) => claim.replace('ak.', '')).join(', ');
    return reject('ak.attributes', `not a restricted signing key bound to its TPM, or too weak: ${names}`, ...findings);
  }
  return orMalformed(() => {
    const { spki, curve, importKey } = publicKey(area);
    const spkiSha256 = sha256Hex(spki);
    const name = toHex(Buffer.concat([publicArea.subarray(2, 4), digest(nameHash, publicArea)]));
    return { name, spkiSha256, spki, publicArea, area, curve, key: importKey() };
  });
}

/**
 * The key of an AK certificate (DER), where the public area was left out. evidence.malformed: no certificate, or one that
 * does not parse, a key of another kind or off its curve. ak.attributes: RSA of other than 2048, 3072 or 4096 bits, or with an
 * exponent other than 65537. What is in `known` is taken from there. NOT verified: the certificate, and that the key is restricted to attestations: whoever issued
 * it vouches for that, or nobody.
 */
export function parseCertifiedAk(
  certificate: Buffer | undefined,
  known?: Pick<ReadonlyMap<Buffer, AkIdentity>, 'get'>,
): Result<AkIdentity> {
  if (certificate === undefined) return reject('evidence.malformed', 'neither the AK nor a certificate of it was sent');
  const before = known?.get(sha256(certificate));
  if (before !== undefined && before.area === undefined) return accept(before);
  const parsed = orMalformed(() => {
    const { spki, publicKey: key } = parseCertificate(certificate);
    return { spki, certified: key() };
  });
  if (!parsed.ok) return parsed;
  return withoutArea(parsed.value.spki, parsed.value.certified);
}

/**
 * The key that other evidence names, SubjectPublicKeyInfo in DER, where the public area was left out: as parseCertifiedAk. NOT
 * verified: that evidence.
 */
export function parseNamedAk(spki: Buffer, known?: Pick<ReadonlyMap<Buffer, AkIdentity>, 'get'>): Result<AkIdentity> {
  const before = known?.get(sha256(spki));
  if (before !== undefined && before.area === undefined) return accept(before);
  const parsed = orMalformed(() => parseSpki(spki));
  return parsed.ok ? withoutArea(spki, parsed.value) : parsed;
}

/** An AK of which the key alone is known. */
function withoutArea(presented: Buffer, certified: CertifiedKey): Result<AkIdentity> {
  const { key } = certified;
  if (certified.type === 'rsa') {
    const exponent = key.asymmetricKeyDetails?.publicExponent;
    if (!RSA_BITS.includes(certified.bits) || exponent !== RSA_EXPONENT) {
      return reject('ak.attributes', 'the key of the AK is not RSA of 2048, 3072 or 4096 bits with exponent 65537');
    }
  }
  // A copy, of its own memory, as of a public area.
  const spki = Buffer.from(new Uint8Array(presented).buffer);
  const curve = certified.type === 'ec' ? certified.curve : undefined;
  const spkiSha256 = sha256Hex(spki);
  return accept({ name: UNKNOWN_NAME, spkiSha256, spki, publicArea: Buffer.alloc(0), area: undefined, curve, key });
}

/** Everything that keeps this key from being an AK, whatever vouches for it. */
function unsuitable(area: PublicArea): readonly Finding[] {
  const found: Finding[] = [];
  const expect = (claim: string, expected: Finding['expected'], value: string | number | boolean) => {
    const operator = Array.isArray(expected) ? 'in' : 'equals';
    found.push({ claim: `ak.${claim}`, operator, expected, found: value });
  };
  const has = (mask: number) => (area.objectAttributes & mask) !== 0;
  for (const name of MUST_BE_SET) if (!has(TPMA_OBJECT[name])) expect(name, true, false);
  if (has(TPMA_OBJECT.decrypt)) expect('decrypt', false, true);
  if (has(RESERVED_ATTRIBUTES)) expect('reserved', false, true);
  const nameAlg = BANK_OF_ALG.get(area.nameAlg);
  if (nameAlg === undefined || nameAlg === 'sha1') {
    expect('name_alg', ['sha256', 'sha384', 'sha512'], nameAlg ?? hexId(area.nameAlg));
  }
  if (area.scheme === undefined) expect('scheme', ['rsassa', 'rsapss', 'ecdsa'], 'null');
  if (area.symmetric !== undefined) expect('symmetric', 'null', hexId(area.symmetric.algorithm));
  const { key } = area;
  if (key.kind === 'rsa') {
    if (key.keyBits < MIN_RSA_BITS) expect('key_bits', ['2048', '3072', '4096'], key.keyBits);
    if (key.exponent !== 0 && key.exponent !== 65537) expect('exponent', 65537, key.exponent);
  } else {
    if (key.kdf !== undefined) expect('kdf', 'null', hexId(key.kdf.scheme));
    if (!CURVE_NAMES.has(key.curve)) expect('curve', [...CURVE_NAMES.values()], hexId(key.curve));
  }
  return found;
}

/** SPKI at once, the key object on demand: it is the dearer of the two. */
function publicKey({ key }: PublicArea): {
  readonly spki: Buffer;
  readonly curve: CurveName | undefined;
  readonly importKey: () => KeyObject;
} {
  if (key.kind === 'rsa') return { spki: rsaSpki(key.n), curve: undefined, importKey: () => rsaKey(key.n) };
  const curve = CURVE_NAMES.get(key.curve);
  if (curve === undefined) throw new MalformedError('public.curveID: unknown');
  const fieldBytes = FIELD_BYTES[curve];
  if (key.x.length > fieldBytes || key.y.length > fieldBytes) {
    throw new MalformedError('public.unique: a coordinate is longer than the field');
  }
  const x = leftPad(key.x, fieldBytes);
  const y = leftPad(key.y, fieldBytes);
  return { spki: ecSpki(curve, x, y), curve, importKey: () => ecKey(curve, x, y) };
}

function hexId(id: number): string {
  return `0x${id.toString(16).padStart(4, '0')}`;
}
