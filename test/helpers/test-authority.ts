/** A maker or a cloud that certifies EKs and AKs: a root, a CA below it, and what they sign. */
import { parseCertificate } from '../../src/crypto/x509.js';
import { parseCrl, type RevocationList } from '../../src/crypto/x509-crl.js';
import { sha256Hex } from '../../src/crypto/digest.js';
import {
  authorityKeyId,
  basicConstraints,
  certificate,
  type CertificateSpec,
  crl,
  ecKey,
  extendedKeyUsage,
  extension,
  keyUsage,
  pem,
  subjectAltName,
  subjectKeyId,
} from './pki.js';
import { bool, context, int, oid, seq, set, utf8String } from './pki-der.js';

const EK_PURPOSE = '2.23.133.8.1';
const AK_PURPOSE = '2.23.133.8.3';
const DAY_MS = 86_400_000;

export const DIGITAL_SIGNATURE = keyUsage(0);
export const KEY_ENCIPHERMENT = keyUsage(2);
export const KEY_AGREEMENT = keyUsage(4);
export const AK_USAGE = extendedKeyUsage([AK_PURPOSE]);
export const EK_USAGE = extendedKeyUsage([EK_PURPOSE]);

const CA_USAGE = keyUsage(5, 6);

/** The subjectAltName of an EK certificate. */
export const TPM_MODEL = subjectAltName(
  true,
  seq(
    set(seq(oid('2.23.133.2.1'), utf8String('id:53544D20'))),
    set(seq(oid('2.23.133.2.2'), utf8String('ST33'))),
    set(seq(oid('2.23.133.2.3'), utf8String('id:00010102'))),
  ),
);

/** The extension of Google: zone, project and instance. */
export function gceInstance(projectId: string, instanceName: string, zone = 'europe-west4-a'): Buffer {
  const fields = [utf8String(zone), int(42), utf8String(projectId), int(7), utf8String(instanceName)];
  const production = context(0, seq(context(1, bool(true))));
  return extension('1.3.6.1.4.1.11129.2.1.21', false, seq(...fields, production));
}

export interface LeafOptions extends Partial<CertificateSpec> {
  /** Extensions beside basicConstraints and the authority's key identifier; default: those of the kind. */
  readonly says?: readonly Buffer[];
}

export class TestAuthority {
  readonly #name: string;
  readonly #rootKey = ecKey();
  readonly #caKey = ecKey();
  readonly #atMs: number;
  #serial = 100;
  readonly root: Buffer;
  readonly ca: Buffer;

  /** What is signed is valid from a day before `atMs` to 30 days after it, unless said otherwise. */
  constructor(name: string, atMs: number) {
    this.#name = name;
    this.#atMs = atMs;
    const authority = (id: Buffer) => [basicConstraints(true), CA_USAGE, subjectKeyId(id)];
    const names = { issuer: `${name} root`, signer: this.#rootKey, ...this.#validity };
    this.root = certificate({
      ...names,
      serial: 1,
      subject: `${name} root`,
      key: this.#rootKey,
      extensions: authority(this.#id('root')),
    });
    this.ca = certificate({
      ...names,
      serial: 2,
      subject: `${name} CA`,
      key: this.#caKey,
      extensions: [...authority(this.#id('ca')), authorityKeyId(this.#id('root'))],
    });
  }

  /** As in `attesters.roots`. */
  get roots(): readonly string[] {
    return [pem(this.root)];
  }

  /** The certificate of an AK and the CA above it. */
  ak(spki: Buffer, { says = [DIGITAL_SIGNATURE, AK_USAGE], ...options }: LeafOptions = {}): readonly Buffer[] {
    return [this.#leaf(spki, says, options), this.ca];
  }

  /** The certificate of an EK and the CA above it. */
  ek(spki: Buffer, { says = [KEY_AGREEMENT, EK_USAGE, TPM_MODEL], ...options }: LeafOptions = {}): readonly Buffer[] {
    return [this.#leaf(spki, says, options), this.ca];
  }

  /** Another certificate of the same CA, by the same name and key. */
  anotherCa(change: Partial<CertificateSpec>): Buffer {
    return certificate({
      serial: 3,
      subject: `${this.#name} CA`,
      issuer: `${this.#name} root`,
      key: this.#caKey,
      signer: this.#rootKey,
      extensions: [basicConstraints(true), CA_USAGE, subjectKeyId(this.#id('ca')), authorityKeyId(this.#id('root'))],
      ...this.#validity,
      ...change,
    });
  }

  /** The CRL of the CA, or of the root, over serial numbers. */
  crl(of: 'ca' | 'root', serials: readonly bigint[], nextUpdateMs = this.#atMs + DAY_MS): RevocationList {
    return parseCrl(this.crlDer(of, serials, nextUpdateMs));
  }

  /** The same, not parsed. */
  crlDer(of: 'ca' | 'root', serials: readonly bigint[], nextUpdateMs = this.#atMs + DAY_MS): Buffer {
    return crl({
      issuer: of === 'ca' ? `${this.#name} CA` : `${this.#name} root`,
      signer: of === 'ca' ? this.#caKey : this.#rootKey,
      thisUpdate: this.#atMs - DAY_MS,
      nextUpdate: nextUpdateMs,
      revoked: serials.map((serial) => ({ serial })),
      extensions: [authorityKeyId(this.#id(of)), extension('2.5.29.20', false, int(1))],
    });
  }

  get #validity() {
    return { notBefore: this.#atMs - DAY_MS, notAfter: this.#atMs + 30 * DAY_MS };
  }

  #id(of: 'root' | 'ca'): Buffer {
    return Buffer.from(sha256Hex(`${this.#name} ${of}`), 'hex').subarray(0, 20);
  }

  #leaf(spki: Buffer, says: readonly Buffer[], options: Partial<CertificateSpec>): Buffer {
    return certificate({
      serial: this.#serial++,
      subject: '',
      issuer: `${this.#name} CA`,
      key: this.#caKey,
      signer: this.#caKey,
      spki,
      extensions: [basicConstraints(false), authorityKeyId(this.#id('ca')), ...says],
      ...this.#validity,
      ...options,
    });
  }
}

export function serialOf(der: Buffer): bigint {
  return BigInt(`0x${parseCertificate(der).serial}`);
}
