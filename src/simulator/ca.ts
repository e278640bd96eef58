/**
 * Issues the certificates that a TPM maker would. This room may assume that whoever trusts it knows that it is a
 * simulation: it emits genuine wire formats under keys that prove nothing about hardware.
 */
import { createPrivateKey, createPublicKey, generateKeyPair, randomBytes, sign } from 'node:crypto';
import { promisify } from 'node:util';
import forge from 'node-forge';
import { toHex } from '../bytes/hex.js';
import { sha256 } from '../crypto/digest.js';

/** A simulator CA: made per data directory, kept beside its keys, never shipped. The private key is PKCS#8. */
export interface SimulatorCa {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** What differs from one certificate to the next. Dates are cut to whole seconds; the serial is 1 to 20 bytes, big-endian, not zero. */
export interface CertificateTerms {
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly serial: Uint8Array;
}

/** Extended key usages of TPM keys, and the names of a TPM in a SubjectAltName (TCG EK Credential Profile). */
const TCG_KP_EK_CERTIFICATE = '2.23.133.8.1';
const TCG_KP_AIK_CERTIFICATE = '2.23.133.8.3';
const TCG_AT_TPM_MANUFACTURER = '2.23.133.2.1';
const TCG_AT_TPM_MODEL = '2.23.133.2.2';
const TCG_AT_TPM_VERSION = '2.23.133.2.3';

const { asn1, pki } = forge;
const SIGNATURE_OID = pki.oids['sha256WithRSAEncryption'] ?? '1.2.840.113549.1.1.11';
const SUBJECT_KEY_IDENTIFIER_OID = '2.5.29.14';
const SUBJECT_ALT_NAME_OID = '2.5.29.17';
const CA_BITS = 2048;
const CA_DAYS = 3650;
const DAY_MS = 86_400_000;
const MAX_SERIAL_BYTES = 20;

/** Makes a simulator CA: RSA-2048, self-signed with SHA-256, valid for ten years from `nowMs`, with a name of its own. */
export async function createSimulatorCa(nowMs: number = Date.now()): Promise<SimulatorCa> {
  const { publicKey: spki, privateKey: privateKeyPem } = await promisify(generateKeyPair)('rsa', {
    modulusLength: CA_BITS,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const name = commonName(`CA ${toHex(sha256(spki).subarray(0, 4))}`);
  const keyId = keyIdentifier(spki);
  const der = author({
    subject: name,
    issuer: name,
    spki,
    privateKeyPem,
    terms: {
      notBefore: new Date(nowMs - DAY_MS),
      notAfter: new Date(nowMs + CA_DAYS * DAY_MS),
      serial: randomBytes(16),
    },
    extensions: [
      { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
      { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
      subjectKeyIdentifier(keyId),
    ],
  });
  return { certificatePem: toPem(der), privateKeyPem };
}

/**
 * Issues an AK certificate (DER) for an RSA or EC key: EKU 2.23.133.8.3, digitalSignature. It certifies whatever key it
 * is handed; that the key lives in a TPM is not checked and not claimed.
 */
export function issueAkCertificate(ca: SimulatorCa, akSpkiDer: Uint8Array, terms: CertificateTerms): Buffer {
  return issue(ca, 'AK', akSpkiDer, terms, [
    { name: 'keyUsage', critical: true, digitalSignature: true },
    { name: 'extKeyUsage', [TCG_KP_AIK_CERTIFICATE]: true },
  ]);
}

/**
 * Issues an EK certificate (DER) for an RSA or EC key: EKU 2.23.133.8.1, keyEncipherment or keyAgreement, and the TPM's
 * manufacturer, model and version in a SubjectAltName. Nothing about the key is checked.
 */
export function issueEkCertificate(ca: SimulatorCa, ekSpkiDer: Uint8Array, terms: CertificateTerms): Buffer {
  const isRsa = keyFrom(ekSpkiDer).asymmetricKeyType === 'rsa';
  return issue(ca, 'EK', ekSpkiDer, terms, [
    { name: 'keyUsage', critical: true, ...(isRsa ? { keyEncipherment: true } : { keyAgreement: true }) },
    { name: 'extKeyUsage', [TCG_KP_EK_CERTIFICATE]: true },
    { id: SUBJECT_ALT_NAME_OID, critical: false, value: tpmName() },
  ]);
}

type Extension = Readonly<Record<string, unknown>>;

function issue(
  ca: SimulatorCa,
  what: string,
  spkiDer: Uint8Array,
  terms: CertificateTerms,
  extensions: readonly Extension[],
): Buffer {
  const spki = keyFrom(spkiDer).export({ type: 'spki', format: 'der' });
  const caCertificate = pki.certificateFromPem(ca.certificatePem);
  const caSpki = createPublicKey(ca.certificatePem).export({ type: 'spki', format: 'der' });
  return author({
    subject: commonName(what),
    issuer: caCertificate.subject.attributes,
    spki,
    privateKeyPem: ca.privateKeyPem,
    terms,
    extensions: [
      { name: 'basicConstraints', critical: true, cA: false },
      ...extensions,
      subjectKeyIdentifier(keyIdentifier(spki)),
      { name: 'authorityKeyIdentifier', keyIdentifier: keyIdentifier(caSpki).toString('latin1') },
    ],
  });
}

interface Draft {
  readonly subject: forge.pki.CertificateField[];
  readonly issuer: forge.pki.CertificateField[];
  readonly spki: Buffer;
  /** The issuer's. */
  readonly privateKeyPem: string;
  readonly terms: CertificateTerms;
  readonly extensions: readonly Extension[];
}

/**
 * Builds the TBSCertificate with forge, puts the subject's SPKI in its place as it is, and signs with node:crypto: forge
 * can neither hold an EC key nor sign fast.
 */
function author(draft: Draft): Buffer {
  const certificate = pki.createCertificate();
  certificate.serialNumber = integerHex(draft.terms.serial);
  certificate.validity.notBefore = draft.terms.notBefore;
  certificate.validity.notAfter = draft.terms.notAfter;
  certificate.setSubject(draft.subject);
  certificate.setIssuer(draft.issuer);
  certificate.setExtensions([...draft.extensions]);
  certificate.siginfo.algorithmOid = certificate.signatureOid = SIGNATURE_OID;
  certificate.publicKey = PLACEHOLDER_KEY;
  certificate.signature = '';

  const tbs = childrenOf(pki.certificateToAsn1(certificate))[0];
  if (tbs === undefined) throw new TypeError('a certificate has a TBSCertificate');
  childrenOf(tbs)[SPKI_FIELD] = fromDer(draft.spki);
  certificate.tbsCertificate = tbs;
  const signature = sign('sha256', toDer(tbs), createPrivateKey(draft.privateKeyPem));
  certificate.signature = signature.toString('latin1');
  return toDer(pki.certificateToAsn1(certificate));
}

/** Index of subjectPublicKeyInfo in TBSCertificate (RFC 5280 section 4.1): after version, serial, algorithm, issuer, validity, subject. */
const SPKI_FIELD = 6;
/** Stands where the SPKI goes until it is replaced; belongs to nobody. */
const PLACEHOLDER_KEY = pki.setRsaPublicKey(new forge.jsbn.BigInteger('3'), new forge.jsbn.BigInteger('65537'));

function keyFrom(spkiDer: Uint8Array) {
  return createPublicKey({ key: Buffer.from(spkiDer), format: 'der', type: 'spki' });
}

function commonName(what: string): forge.pki.CertificateField[] {
  return [{ name: 'commonName', value: `Portcullis simulator ${what} (development only)` }];
}

/** How certificates name a key: 20 bytes of SHA-256 over its SubjectPublicKeyInfo. Readers compare it and derive nothing from it. */
function keyIdentifier(spki: Buffer): Buffer {
  return sha256(spki).subarray(0, 20);
}

function subjectKeyIdentifier(keyId: Buffer): Extension {
  const value = asn1.create(asn1.Class.UNIVERSAL, asn1.Type.OCTETSTRING, false, keyId.toString('latin1'));
  return { id: SUBJECT_KEY_IDENTIFIER_OID, value };
}

/** The tag [4] of GeneralName: forge counts context tags by the names of the universal ones. */
const DIRECTORY_NAME = asn1.Type.OCTETSTRING;

/** GeneralNames with one directoryName: one RDN per attribute. */
function tpmName(): forge.asn1.Asn1 {
  const attributes: readonly (readonly [string, string])[] = [
    [TCG_AT_TPM_MANUFACTURER, 'id:53494D00'],
    [TCG_AT_TPM_MODEL, 'Portcullis simulator'],
    [TCG_AT_TPM_VERSION, 'id:00000001'],
  ];
  const name = sequence(
    ...attributes.map(([type, value]) =>
      asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SET, true, [
        sequence(oid(type), asn1.create(asn1.Class.UNIVERSAL, asn1.Type.UTF8, false, value)),
      ]),
    ),
  );
  return sequence(asn1.create(asn1.Class.CONTEXT_SPECIFIC, DIRECTORY_NAME, true, [name]));
}

/** The minimal two's complement content of a positive DER INTEGER. */
function integerHex(serial: Uint8Array): string {
  const digits = toHex(serial).replace(/^(?:00)+/, '');
  if (digits === '' || digits.length > 2 * MAX_SERIAL_BYTES)
    throw new RangeError('a serial is 1 to 20 bytes, not zero');
  return /^[89a-f]/.test(digits) ? `00${digits}` : digits;
}

function sequence(...values: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, values);
}

function oid(dotted: string): forge.asn1.Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.OID, false, asn1.oidToDer(dotted).getBytes());
}

function fromDer(der: Buffer): forge.asn1.Asn1 {
  return asn1.fromDer(der.toString('latin1'));
}

function childrenOf(value: forge.asn1.Asn1): forge.asn1.Asn1[] {
  if (typeof value.value === 'string') throw new TypeError('not a constructed value');
  return value.value;
}

function toDer(value: forge.asn1.Asn1): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), 'latin1');
}

function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
