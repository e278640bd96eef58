import { constants, createPrivateKey, createPublicKey, generateKeyPair, sign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { Writer } from '../bytes/writer.js';
import { sha256, type HashName } from '../crypto/digest.js';
import {
  TPMA_OBJECT,
  TPM_ALG_ECC,
  TPM_ALG_ECDSA,
  TPM_ALG_NULL,
  TPM_ALG_RSA,
  TPM_ALG_RSAPSS,
  TPM_ALG_RSASSA,
  TPM_ALG_SHA256,
  TPM_ALG_SHA384,
  TPM_ECC_NIST_P256,
  TPM_ECC_NIST_P384,
} from '../evidence/tpm/constants.js';

/** The signature schemes of AKs: RSA-2048 and P-256 with SHA-256, P-384 with SHA-384. */
export type AkScheme = 'rsassa' | 'rsapss' | 'ecdsa-p256' | 'ecdsa-p384';
export const AK_SCHEMES: readonly AkScheme[] = ['rsassa', 'rsapss', 'ecdsa-p256', 'ecdsa-p384'];

interface SchemeParameters {
  readonly hash: HashName;
  readonly hashAlg: number;
  readonly sigAlg: number;
  /** Absent for RSA. */
  readonly curve?: { readonly id: number; readonly node: string; readonly fieldBytes: number };
}

const RSA_BITS = 2048;
const P256 = { id: TPM_ECC_NIST_P256, node: 'prime256v1', fieldBytes: 32 };
const P384 = { id: TPM_ECC_NIST_P384, node: 'secp384r1', fieldBytes: 48 };
const SCHEMES: Readonly<Record<AkScheme, SchemeParameters>> = {
  rsassa: { hash: 'sha256', hashAlg: TPM_ALG_SHA256, sigAlg: TPM_ALG_RSASSA },
  rsapss: { hash: 'sha256', hashAlg: TPM_ALG_SHA256, sigAlg: TPM_ALG_RSAPSS },
  'ecdsa-p256': { hash: 'sha256', hashAlg: TPM_ALG_SHA256, sigAlg: TPM_ALG_ECDSA, curve: P256 },
  'ecdsa-p384': { hash: 'sha384', hashAlg: TPM_ALG_SHA384, sigAlg: TPM_ALG_ECDSA, curve: P384 },
};

/** What tpm2_createak makes: 00050072. */
const AK_ATTRIBUTES =
  TPMA_OBJECT.fixedTPM |
  TPMA_OBJECT.fixedParent |
  TPMA_OBJECT.sensitiveDataOrigin |
  TPMA_OBJECT.userWithAuth |
  TPMA_OBJECT.restricted |
  TPMA_OBJECT.sign;

/** TPM_RH_ENDORSEMENT: the AK is a primary key of the endorsement hierarchy, which the qualified name tells. */
const TPM_RH_ENDORSEMENT = 0x4000_000b;

/** An attestation key of a simulated TPM. Its private key lies in this process: it proves nothing about hardware. */
export class SimulatedAk {
  readonly scheme: AkScheme;
  /** TPMT_PUBLIC. */
  readonly publicArea: Buffer;
  /** SubjectPublicKeyInfo, DER: what certificates and revocations are about. */
  readonly spki: Buffer;
  readonly #privateKey: KeyObject;

  private constructor(scheme: AkScheme, privateKey: KeyObject) {
    this.scheme = scheme;
    this.#privateKey = privateKey;
    const publicKey = createPublicKey(privateKey);
    this.spki = publicKey.export({ type: 'spki', format: 'der' });
    this.publicArea = encodePublicArea(SCHEMES[scheme], publicKey);
  }

  /** A key pair for the scheme, made off the main thread. */
  static async generate(scheme: AkScheme): Promise<SimulatedAk> {
    const { curve } = SCHEMES[scheme];
    const publicKeyEncoding = { type: 'spki', format: 'der' } as const;
    const privateKeyEncoding = { type: 'pkcs8', format: 'der' } as const;
    const generate = promisify(generateKeyPair);
    const { privateKey } =
      curve === undefined
        ? await generate('rsa', { modulusLength: RSA_BITS, publicKeyEncoding, privateKeyEncoding })
        : await generate('ec', { namedCurve: curve.node, publicKeyEncoding, privateKeyEncoding });
    return SimulatedAk.fromPkcs8(scheme, privateKey);
  }

  /** A given PKCS#8 (DER) private key. Throws TypeError where it is not of the scheme's kind (RSA-2048 with exponent 65537, or its curve). */
  static fromPkcs8(scheme: AkScheme, pkcs8: Uint8Array): SimulatedAk {
    const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    const { namedCurve, modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {};
    const { curve } = SCHEMES[scheme];
    const fits =
      curve === undefined
        ? key.asymmetricKeyType === 'rsa' && modulusLength === RSA_BITS && publicExponent === 65537n
        : key.asymmetricKeyType === 'ec' && namedCurve === curve.node;
    if (!fits) throw new TypeError(`the private key is not one for the scheme ${scheme}`);
    return new SimulatedAk(scheme, key);
  }

  /** TPM2B_PUBLIC: the size, then TPMT_PUBLIC. */
  get tpm2bPublic(): Buffer {
    return new Writer().sized16(this.publicArea).finish();
  }

  /** nameAlg (SHA-256) || SHA-256(TPMT_PUBLIC). */
  get name(): Buffer {
    return nameOf(this.publicArea);
  }

  /** nameAlg || H(qualified name of the parent || name); the parent is the endorsement hierarchy, whose name is its handle. */
  get qualifiedName(): Buffer {
    return nameOf(new Writer().u32be(TPM_RH_ENDORSEMENT).bytes(this.name).finish());
  }

  /** The hash of the scheme, which pcrDigest uses, too. */
  get hash(): HashName {
    return SCHEMES[this.scheme].hash;
  }

  /** TPMT_SIGNATURE over bytes. A TPM signs with a restricted key only what it made itself; so does SimulatedTpm. */
  sign(attest: Uint8Array): Buffer {
    const { hash, hashAlg, sigAlg, curve } = SCHEMES[this.scheme];
    const writer = new Writer().u16be(sigAlg).u16be(hashAlg);
    if (curve !== undefined) {
      const signature = sign(hash, attest, { key: this.#privateKey, dsaEncoding: 'ieee-p1363' });
      const r = signature.subarray(0, curve.fieldBytes);
      const s = signature.subarray(curve.fieldBytes);
      return writer.sized16(r).sized16(s).finish();
    }
    const options =
      sigAlg === TPM_ALG_RSAPSS
        ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
        : { padding: constants.RSA_PKCS1_PADDING };
    return writer.sized16(sign(hash, attest, { key: this.#privateKey, ...options })).finish();
  }

  /** The private key, PKCS#8 DER: for saved states. */
  exportPkcs8(): Buffer {
    return this.#privateKey.export({ type: 'pkcs8', format: 'der' });
  }
}

function nameOf(bytes: Uint8Array): Buffer {
  return new Writer().u16be(TPM_ALG_SHA256).bytes(sha256(bytes)).finish();
}

/** Where the modulus lies in the DER of an RSAPublicKey (PKCS#1) of 2048 bits with exponent 65537. */
const PKCS1_HEAD_BYTES = 9;
const PKCS1_TAIL_BYTES = 5;

/** TPMT_PUBLIC (TPM 2.0 Library part 2): no authPolicy, no symmetric algorithm, the scheme fixed, no KDF. */
function encodePublicArea(scheme: SchemeParameters, publicKey: KeyObject): Buffer {
  const writer = new Writer()
    .u16be(scheme.curve === undefined ? TPM_ALG_RSA : TPM_ALG_ECC)
    .u16be(TPM_ALG_SHA256)
    .u32be(AK_ATTRIBUTES)
    .sized16(Buffer.alloc(0))
    .u16be(TPM_ALG_NULL)
    .u16be(scheme.sigAlg)
    .u16be(scheme.hashAlg);
  if (scheme.curve === undefined) {
    const pkcs1 = publicKey.export({ type: 'pkcs1', format: 'der' });
    const modulus = pkcs1.subarray(PKCS1_HEAD_BYTES, pkcs1.length - PKCS1_TAIL_BYTES);
    return writer.u16be(RSA_BITS).u32be(0).sized16(modulus).finish();
  }
  const { fieldBytes, id } = scheme.curve;
  const point = publicKey.export({ type: 'spki', format: 'der' }).subarray(-2 * fieldBytes);
  return writer
    .u16be(id)
    .u16be(TPM_ALG_NULL)
    .sized16(point.subarray(0, fieldBytes))
    .sized16(point.subarray(fieldBytes))
    .finish();
}
