import {
  constants,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPair,
  privateDecrypt,
  type KeyObject,
} from 'node:crypto';
import { promisify } from 'node:util';
import { Reader } from '../bytes/reader.js';
import { Writer } from '../bytes/writer.js';
import { DIGEST_BYTES } from '../crypto/digest.js';
import { ecKey } from '../crypto/signature.js';
import {
  MAX_ECC_BYTES,
  MAX_RSA_BYTES,
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
} from '../evidence/tpm/constants.js';
import { IDENTITY_LABEL, openCredential, parseTpm, seedFromAgreement, type Protection } from './credential.js';
import { SimulatedTpmError } from './pcr-banks.js';

/** The EKs that a simulated TPM makes, by the default templates; named as `tpm2_createek -G` names them. */
export type EkAlgorithm = 'rsa2048' | 'rsa3072' | 'ecc256' | 'ecc384';
export const EK_ALGORITHMS: readonly EkAlgorithm[] = ['rsa2048', 'ecc256', 'rsa3072', 'ecc384'];

interface Curve {
  readonly id: number;
  readonly node: string;
  readonly jwk: 'P-256' | 'P-384';
  readonly fieldBytes: number;
}

interface Template {
  /** One of the two. */
  readonly rsaBits?: number;
  readonly curve?: Curve;
  readonly nameAlg: number;
  readonly attributes: number;
  /** Hex. */
  readonly authPolicy: string;
  readonly protection: Protection;
}

const LOW_ATTRIBUTES =
  TPMA_OBJECT.fixedTPM |
  TPMA_OBJECT.fixedParent |
  TPMA_OBJECT.sensitiveDataOrigin |
  TPMA_OBJECT.adminWithPolicy |
  TPMA_OBJECT.restricted |
  TPMA_OBJECT.decrypt;

/** What tpm2_createek makes: of RSA-2048 and P-256 in the low range of the TCG EK Credential Profile, of the others in the high. */
const LOW = {
  nameAlg: TPM_ALG_SHA256,
  attributes: LOW_ATTRIBUTES,
  authPolicy: '837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa',
  protection: { hash: 'sha256', aesBits: 128 },
} as const;
const HIGH = {
  nameAlg: TPM_ALG_SHA384,
  attributes: LOW_ATTRIBUTES | TPMA_OBJECT.userWithAuth,
  authPolicy: 'b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12',
  protection: { hash: 'sha384', aesBits: 256 },
} as const;
const TEMPLATES: Readonly<Record<EkAlgorithm, Template>> = {
  rsa2048: { ...LOW, rsaBits: 2048 },
  ecc256: { ...LOW, curve: { id: TPM_ECC_NIST_P256, node: 'prime256v1', jwk: 'P-256', fieldBytes: 32 } },
  rsa3072: { ...HIGH, rsaBits: 3072 },
  ecc384: { ...HIGH, curve: { id: TPM_ECC_NIST_P384, node: 'secp384r1', jwk: 'P-384', fieldBytes: 48 } },
};

/** An endorsement key of a simulated TPM. Its private key lies in this process: it proves nothing about hardware. */
export class SimulatedEk {
  readonly algorithm: EkAlgorithm;
  /** TPMT_PUBLIC. */
  readonly publicArea: Buffer;
  /** SubjectPublicKeyInfo, DER: what an EK certificate is about. */
  readonly spki: Buffer;
  readonly #privateKey: KeyObject;

  private constructor(algorithm: EkAlgorithm, privateKey: KeyObject) {
    this.algorithm = algorithm;
    this.#privateKey = privateKey;
    const publicKey = createPublicKey(privateKey);
    this.spki = publicKey.export({ type: 'spki', format: 'der' });
    this.publicArea = encodePublicArea(TEMPLATES[algorithm], this.spki);
  }

  /** A key pair, made off the main thread. */
  static async generate(algorithm: EkAlgorithm): Promise<SimulatedEk> {
    const { rsaBits, curve } = TEMPLATES[algorithm];
    const publicKeyEncoding = { type: 'spki', format: 'der' } as const;
    const privateKeyEncoding = { type: 'pkcs8', format: 'der' } as const;
    const generate = promisify(generateKeyPair);
    const { privateKey } =
      curve === undefined
        ? await generate('rsa', { modulusLength: rsaBits ?? 0, publicKeyEncoding, privateKeyEncoding })
        : await generate('ec', { namedCurve: curve.node, publicKeyEncoding, privateKeyEncoding });
    return SimulatedEk.fromPkcs8(algorithm, privateKey);
  }

  /** A given PKCS#8 (DER) private key. Throws TypeError where it is not of the algorithm's kind (RSA with exponent 65537). */
  static fromPkcs8(algorithm: EkAlgorithm, pkcs8: Uint8Array): SimulatedEk {
    const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    const { namedCurve, modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {};
    const { rsaBits, curve } = TEMPLATES[algorithm];
    const fits =
      curve === undefined
        ? key.asymmetricKeyType === 'rsa' && modulusLength === rsaBits && publicExponent === 65537n
        : key.asymmetricKeyType === 'ec' && namedCurve === curve.node;
    if (!fits) throw new TypeError(`the private key is not one for an EK of ${algorithm}`);
    return new SimulatedEk(algorithm, key);
  }

  /** TPM2B_PUBLIC: the size, then TPMT_PUBLIC. */
  get tpm2bPublic(): Buffer {
    return new Writer().sized16(this.publicArea).finish();
  }

  /**
   * The credential in a TPM2B_ID_OBJECT whose seed is in a TPM2B_ENCRYPTED_SECRET for this EK, for an object of this Name.
   * Throws SimulatedTpmError.
   */
  openCredential(credentialBlob: Uint8Array, encryptedSecret: Uint8Array, name: Uint8Array): Buffer {
    const { curve, protection } = TEMPLATES[this.algorithm];
    const secret = parseTpm(() => {
      const r = new Reader(encryptedSecret);
      const content = r.sized16(Math.max(MAX_RSA_BYTES, 2 * (2 + MAX_ECC_BYTES)), 'secret');
      r.end('TPM2B_ENCRYPTED_SECRET');
      return content;
    });
    const seed = curve === undefined ? this.#decryptSeed(secret, protection) : this.#agree(secret, curve, protection);
    return openCredential(credentialBlob, seed, name, protection);
  }

  /** The private key, PKCS#8 DER: for saved states. */
  exportPkcs8(): Buffer {
    return this.#privateKey.export({ type: 'pkcs8', format: 'der' });
  }

  #decryptSeed(secret: Buffer, { hash }: Protection): Buffer {
    const options = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash, oaepLabel: IDENTITY_LABEL };
    let seed: Buffer;
    try {
      seed = privateDecrypt({ key: this.#privateKey, ...options }, secret);
    } catch {
      throw new SimulatedTpmError('TPM_RC_VALUE: the seed is not encrypted for this EK');
    }
    if (seed.length !== DIGEST_BYTES[hash]) throw new SimulatedTpmError('TPM_RC_VALUE: the seed has another length');
    return seed;
  }

  #agree(secret: Buffer, { jwk, fieldBytes }: Curve, { hash }: Protection): Buffer {
    const { x, y } = parseTpm(() => {
      const r = new Reader(secret);
      const point = { x: r.sized16(fieldBytes, 'x'), y: r.sized16(fieldBytes, 'y') };
      r.end('TPMS_ECC_POINT');
      return point;
    });
    const pad = (number: Buffer) => Buffer.concat([Buffer.alloc(fieldBytes - number.length), number]);
    let publicKey: KeyObject;
    try {
      publicKey = ecKey(jwk, pad(x), pad(y));
    } catch {
      throw new SimulatedTpmError('TPM_RC_ECC_POINT: the point is not on the curve of the EK');
    }
    const z = diffieHellman({ privateKey: this.#privateKey, publicKey });
    const ekX = this.spki.subarray(-2 * fieldBytes, -fieldBytes);
    return seedFromAgreement(hash, pad(z), pad(x), ekX);
  }
}

/** Where the modulus ends in the SPKI of an RSA key with exponent 65537. */
const SPKI_TAIL_BYTES = 5;

/** TPMT_PUBLIC (TPM 2.0 Library part 2): AES-CFB, no scheme, no KDF. */
function encodePublicArea(template: Template, spki: Buffer): Buffer {
  const { rsaBits, curve, nameAlg, attributes, authPolicy, protection } = template;
  const writer = new Writer()
    .u16be(curve === undefined ? TPM_ALG_RSA : TPM_ALG_ECC)
    .u16be(nameAlg)
    .u32be(attributes)
    .sized16(Buffer.from(authPolicy, 'hex'))
    .u16be(TPM_ALG_AES)
    .u16be(protection.aesBits)
    .u16be(TPM_ALG_CFB)
    .u16be(TPM_ALG_NULL);
  if (curve === undefined) {
    const bits = rsaBits ?? 0;
    const modulus = spki.subarray(-(bits / 8) - SPKI_TAIL_BYTES, -SPKI_TAIL_BYTES);
    return writer.u16be(bits).u32be(0).sized16(modulus).finish();
  }
  const { id, fieldBytes } = curve;
  return writer
    .u16be(id)
    .u16be(TPM_ALG_NULL)
    .sized16(spki.subarray(-2 * fieldBytes, -fieldBytes))
    .sized16(spki.subarray(-fieldBytes))
    .finish();
}
