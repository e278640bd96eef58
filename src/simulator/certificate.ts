import { createHash, createPrivateKey, createPublicKey, ECDH, createECDH, type KeyObject, sign } from 'node:crypto';
import { bitString, boolean, context, integer, octetString, oid, sequence, set, time, tlv, utf8String } from './der.js';

/** The curves of simulated makers: certificates under them are signed with the hash of the same strength. */
export type MakerCurve = 'P-256' | 'P-384';

const CURVES = {
  'P-256': { ecdh: 'prime256v1', hash: 'sha256', signatureOid: '1.2.840.10045.4.3.2', bytes: 32 },
  'P-384': { ecdh: 'secp384r1', hash: 'sha384', signatureOid: '1.2.840.10045.4.3.3', bytes: 48 },
} as const;

/** A name and a key that certify. */
export interface SimulatedIssuer {
  /** Name, DER. */
  readonly name: Buffer;
  readonly curve: MakerCurve;
  /** Private. */
  readonly key: KeyObject;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
}

/** An issuer with its own certificate. */
export interface SimulatedCa extends SimulatedIssuer {
  /** DER. */
  readonly certificate: Buffer;
}

/** What differs from one certificate to the next. Dates are cut to whole seconds. */
export interface CertificateDraft {
  /** Name, DER. */
  readonly subject: Buffer;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  /** Positive; 1 to 20 bytes. */
  readonly serial: bigint;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Each made by `extension` or one of the functions below. */
  readonly extensions: readonly Buffer[];
}

/** The organization of every simulated name: whoever reads a certificate sees what it is worth. */
const ORGANIZATION = 'Portcullis simulator (development only)';

/** Name with the organization of the simulator and a common name. */
export function simulatorName(commonName: string): Buffer {
  const attribute = (id: string, text: string) => set(sequence(oid(id), utf8String(text)));
  return sequence(attribute('2.5.4.10', ORGANIZATION), attribute('2.5.4.3', commonName));
}

/** A key pair that follows from the seed and the label alone, so that every process of a broker has the same. */
export function derivedKey(
  seed: Buffer,
  label: string,
  curve: MakerCurve,
): { readonly key: KeyObject; readonly spki: Buffer } {
  const { ecdh, bytes } = CURVES[curve];
  for (let attempt = 0; ; attempt++) {
    const hash = createHash('shake256', { outputLength: bytes });
    const scalar = hash
      .update(seed)
      .update(`${label}\n${curve}\n${String(attempt)}`)
      .digest();
    const pair = createECDH(ecdh);
    try {
      pair.setPrivateKey(scalar);
    } catch {
      continue; // Zero, or not below the order of the group: as good as never.
    }
    const point = pair.getPublicKey();
    const x = point.subarray(1, 1 + bytes).toString('base64url');
    const y = point.subarray(1 + bytes).toString('base64url');
    const jwk = { kty: 'EC', crv: curve, d: scalar.toString('base64url'), x, y };
    const key = createPrivateKey({ key: jwk, format: 'jwk' });
    return { key, spki: createPublicKey(key).export({ format: 'der', type: 'spki' }) };
  }
}

/** Issues a certificate (DER, v3), signed with ECDSA. Whatever key it is handed is certified. */
export function issueCertificate(issuer: SimulatedIssuer, draft: CertificateDraft): Buffer {
  const algorithm = signatureAlgorithm(issuer.curve);
  const tbs = sequence(
    context(0, integer(2)),
    integer(draft.serial),
    algorithm,
    issuer.name,
    sequence(time(draft.notBeforeMs), time(draft.notAfterMs)),
    draft.subject,
    draft.spki,
    ...(draft.extensions.length === 0 ? [] : [context(3, sequence(...draft.extensions))]),
  );
  return signed(issuer, tbs);
}

/** Issues a CRL (DER, v2) that revokes the serials. */
export function issueCrl(
  issuer: SimulatedIssuer,
  draft: {
    readonly thisUpdateMs: number;
    readonly nextUpdateMs: number;
    readonly number: number;
    readonly revoked?: readonly bigint[];
  },
): Buffer {
  const entries = (draft.revoked ?? []).map((serial) => sequence(integer(serial), time(draft.thisUpdateMs)));
  const tbs = sequence(
    integer(1),
    signatureAlgorithm(issuer.curve),
    issuer.name,
    time(draft.thisUpdateMs),
    time(draft.nextUpdateMs),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    context(0, sequence(extension('2.5.29.20', false, integer(draft.number)))),
  );
  return signed(issuer, tbs);
}

/** An issuer that certifies itself. */
export function selfSigned(
  name: Buffer,
  curve: MakerCurve,
  pair: { readonly key: KeyObject; readonly spki: Buffer },
  draft: Pick<CertificateDraft, 'serial' | 'notBeforeMs' | 'notAfterMs' | 'extensions'>,
): SimulatedCa {
  const issuer: SimulatedIssuer = { name, curve, ...pair };
  return { ...issuer, certificate: issueCertificate(issuer, { ...draft, subject: name, spki: pair.spki }) };
}

/** An issuer below another one. */
export function subordinate(
  above: SimulatedIssuer,
  name: Buffer,
  curve: MakerCurve,
  pair: { readonly key: KeyObject; readonly spki: Buffer },
  draft: Pick<CertificateDraft, 'serial' | 'notBeforeMs' | 'notAfterMs' | 'extensions'>,
): SimulatedCa {
  const certificate = issueCertificate(above, { ...draft, subject: name, spki: pair.spki });
  return { name, curve, ...pair, certificate };
}

/** One extension (RFC 5280 section 4.2); `value` is what stands in the OCTET STRING. */
export function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(value));
}

/** basicConstraints of a CA, critical. */
export function caConstraints(pathLength?: number): Buffer {
  const limit = pathLength === undefined ? [] : [integer(pathLength)];
  return extension('2.5.29.19', true, sequence(boolean(true), ...limit));
}

/** keyUsage of a CA: keyCertSign and cRLSign, critical. */
export function caUsage(): Buffer {
  return extension('2.5.29.15', true, bitString(Buffer.of(0x06), 1));
}

/** keyUsage digitalSignature, critical. */
export function signingUsage(): Buffer {
  return extension('2.5.29.15', true, bitString(Buffer.of(0x80), 7));
}

/** An uncompressed point (04 X Y) in its SubjectPublicKeyInfo. */
export function publicPoint(spki: Buffer, curve: MakerCurve): Buffer {
  const point = spki.subarray(-1 - 2 * CURVES[curve].bytes);
  return ECDH.convertKey(point, CURVES[curve].ecdh, undefined, undefined, 'uncompressed') as Buffer;
}

function signatureAlgorithm(curve: MakerCurve): Buffer {
  return sequence(oid(CURVES[curve].signatureOid));
}

function signed({ curve, key }: SimulatedIssuer, tbs: Buffer): Buffer {
  return tlv(0x30, tbs, signatureAlgorithm(curve), bitString(sign(CURVES[curve].hash, tbs, key)));
}
