import { createPublicKey } from 'node:crypto';
import { Writer } from '../../bytes/writer.js';
import { FIELD_BYTES, ecSpki, rsaSpki } from '../../crypto/signature.js';
import { reject, type Result } from '../../reason/reason.js';
import {
  TPMA_OBJECT,
  TPM_ALG_AES,
  TPM_ALG_CFB,
  TPM_ALG_ECC,
  TPM_ALG_NULL,
  TPM_ALG_RSA,
  TPM_ALG_SHA256,
  TPM_ALG_SHA384,
  TPM_ECC_NIST_P256,
  TPM_ECC_NIST_P384,
} from './constants.js';
import { parseEk, type EkAlgorithm, type EkKey, type EkPublic } from './ek.js';

const { fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, adminWithPolicy, restricted, decrypt } = TPMA_OBJECT;

/** 000300b2: the low range, whose EKs are used by policy alone. */
const LOW_ATTRIBUTES = fixedTPM | fixedParent | sensitiveDataOrigin | adminWithPolicy | restricted | decrypt;
/** 000300f2: the high range, whose EKs may be used by their authValue too. */
const HIGH_ATTRIBUTES = LOW_ATTRIBUTES | userWithAuth;

/** PolicySecret(TPM_RH_ENDORSEMENT), in SHA-256: PolicyA of the TCG EK Credential Profile. */
const POLICY_A_SHA256 = Buffer.from('837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa', 'hex');
/** PolicyOR of PolicySecret(TPM_RH_ENDORSEMENT) and an NV index that an administrator writes, in SHA-384: PolicyB. */
const POLICY_B_SHA384 = Buffer.from(
  'b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12',
  'hex',
);

interface Template {
  readonly nameAlg: number;
  readonly attributes: number;
  readonly authPolicy: Buffer;
  readonly aesBits: number;
}

const LOW: Template = {
  nameAlg: TPM_ALG_SHA256,
  attributes: LOW_ATTRIBUTES,
  authPolicy: POLICY_A_SHA256,
  aesBits: 128,
};
const HIGH: Template = {
  nameAlg: TPM_ALG_SHA384,
  attributes: HIGH_ATTRIBUTES,
  authPolicy: POLICY_B_SHA384,
  aesBits: 256,
};
const TEMPLATES: Readonly<Record<EkAlgorithm, Template>> = { rsa2048: LOW, ecc256: LOW, rsa3072: HIGH, ecc384: HIGH };

/**
 * The EK that a TPM makes of this key (SubjectPublicKeyInfo, DER) by the default template of the TCG EK Credential Profile: L-1
 * for RSA-2048, L-2 for P-256, and those of the high range for P-384 and RSA-3072. Checked against what tpm2_createek
 * makes and swtpm_setup has certified. evidence.malformed: no SPKI of such a key. A maker may certify EKs of other
 * templates; no credential for what is assumed here opens with such a one.
 */
export function defaultEkTemplate(spki: Uint8Array): Result<EkPublic> {
  const key = keyOf(spki);
  if (key === undefined) {
    return reject('evidence.malformed', 'the key is not RSA-2048 or RSA-3072 with exponent 65537, nor P-256 or P-384');
  }
  return parseEk(encode(key));
}

/** Where the modulus lies in an SPKI made by rsaSpki: behind 33 bytes, before the exponent's 5. */
const SPKI_HEAD_BYTES = 33;
const SPKI_TAIL_BYTES = 5;

function keyOf(spki: Uint8Array): EkKey | undefined {
  let exported: Buffer;
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    exported = key.export({ type: 'spki', format: 'der' });
  } catch {
    return undefined;
  }
  // The SPKI that is built from what was read must be the one that was given: so its layout is not taken on trust.
  const n = exported.subarray(SPKI_HEAD_BYTES, -SPKI_TAIL_BYTES);
  if ((n.length === 256 || n.length === 384) && ((n[0] ?? 0) & 0x80) !== 0 && rsaSpki(n).equals(exported)) {
    return { kind: 'rsa', n };
  }
  for (const curve of ['P-256', 'P-384'] as const) {
    const point = exported.subarray(-2 * FIELD_BYTES[curve]);
    const x = point.subarray(0, FIELD_BYTES[curve]);
    const y = point.subarray(FIELD_BYTES[curve]);
    if (y.length === FIELD_BYTES[curve] && ecSpki(curve, x, y).equals(exported)) return { kind: 'ecc', curve, x, y };
  }
  return undefined;
}

function encode(key: EkKey): Buffer {
  const { nameAlg, attributes, authPolicy, aesBits } = TEMPLATES[algorithmOf(key)];
  const writer = new Writer()
    .u16be(key.kind === 'rsa' ? TPM_ALG_RSA : TPM_ALG_ECC)
    .u16be(nameAlg)
    .u32be(attributes)
    .sized16(authPolicy)
    .u16be(TPM_ALG_AES)
    .u16be(aesBits)
    .u16be(TPM_ALG_CFB)
    .u16be(TPM_ALG_NULL);
  if (key.kind === 'rsa') {
    return writer
      .u16be(8 * key.n.length)
      .u32be(0)
      .sized16(key.n)
      .finish();
  }
  const curveId = key.curve === 'P-256' ? TPM_ECC_NIST_P256 : TPM_ECC_NIST_P384;
  return writer.u16be(curveId).u16be(TPM_ALG_NULL).sized16(key.x).sized16(key.y).finish();
}

function algorithmOf(key: EkKey): EkAlgorithm {
  if (key.kind === 'rsa') return key.n.length === 256 ? 'rsa2048' : 'rsa3072';
  return key.curve === 'P-256' ? 'ecc256' : 'ecc384';
}
