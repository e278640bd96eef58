/**
 * Authors certificates and CRLs with any single defect. Every field has a right value unless a test says otherwise; what
 * is signed is what is written, so that a defect is never hidden behind a bad signature.
 */
import { constants, createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { bits, bool, context, int, nameOf, nil, octets, oid, primitive, seq, time, tlv } from './pki-der.js';

/** Private key, and its public half as SubjectPublicKeyInfo. */
export interface TestKey {
  readonly privateKey: KeyObject;
  readonly spki: Buffer;
}

export function ecKey(namedCurve = 'P-256'): TestKey {
  const pair = generateKeyPairSync('ec', {
    namedCurve,
    publicKeyEncoding: { format: 'der', type: 'spki' },
    privateKeyEncoding: { format: 'der', type: 'pkcs8' },
  });
  return testKey(pair.publicKey, pair.privateKey);
}

/** Takes about 0.1 s for 2048 bits and 1 s for 4096: make few. */
export function rsaKey(modulusLength = 2048, publicExponent = 65537): TestKey {
  const pair = generateKeyPairSync('rsa', {
    modulusLength,
    publicExponent,
    publicKeyEncoding: { format: 'der', type: 'spki' },
    privateKeyEncoding: { format: 'der', type: 'pkcs8' },
  });
  return testKey(pair.publicKey, pair.privateKey);
}

function testKey(spki: Buffer, privateKey: Buffer): TestKey {
  return { spki, privateKey: createPrivateKey({ key: privateKey, format: 'der', type: 'pkcs8' }) };
}

type Hash = 'sha1' | 'sha256' | 'sha384' | 'sha512';
export type Algorithm = `${'rsassa' | 'rsapss' | 'ecdsa'}-${Hash}` | 'rsassa-md5';

const HASH_OIDS: Readonly<Record<Hash, string>> = {
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
};
const SALT_BYTES: Readonly<Record<Hash, number>> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 };
const RSASSA_OIDS: Readonly<Record<Hash | 'md5', string>> = {
  md5: '1.2.840.113549.1.1.4',
  sha1: '1.2.840.113549.1.1.5',
  sha256: '1.2.840.113549.1.1.11',
  sha384: '1.2.840.113549.1.1.12',
  sha512: '1.2.840.113549.1.1.13',
};
const ECDSA_OIDS: Readonly<Record<Hash, string>> = {
  sha1: '1.2.840.10045.4.1',
  sha256: '1.2.840.10045.4.3.2',
  sha384: '1.2.840.10045.4.3.3',
  sha512: '1.2.840.10045.4.3.4',
};

/** RSASSA-PSS-params with these hashes, salt length and trailer; null leaves one out. */
export function pssAlgorithm(hash: Hash, mgfHash: Hash, salt: number | null, trailer: number | null = null): Buffer {
  const hashId = (name: Hash) => seq(oid(HASH_OIDS[name]), nil());
  return seq(
    oid('1.2.840.113549.1.1.10'),
    seq(
      context(0, hashId(hash)),
      context(1, seq(oid('1.2.840.113549.1.1.8'), hashId(mgfHash))),
      ...(salt === null ? [] : [context(2, int(salt))]),
      ...(trailer === null ? [] : [context(3, int(trailer))]),
    ),
  );
}

export function algorithmId(algorithm: Algorithm): Buffer {
  const [scheme, hash] = algorithm.split('-') as ['rsassa' | 'rsapss' | 'ecdsa', Hash];
  if (scheme === 'rsassa') return seq(oid(RSASSA_OIDS[hash]), nil());
  if (scheme === 'ecdsa') return seq(oid(ECDSA_OIDS[hash]));
  return pssAlgorithm(hash, hash, SALT_BYTES[hash]);
}

function signWith(algorithm: Algorithm, data: Buffer, key: KeyObject): Buffer {
  const [scheme, hash] = algorithm.split('-') as ['rsassa' | 'rsapss' | 'ecdsa', Hash];
  if (scheme === 'rsapss') {
    return sign(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: SALT_BYTES[hash] });
  }
  return sign(hash, data, key);
}

/** One extension; `critical` is left out where it is false, as DER wants. */
export function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  return seq(oid(id), ...(critical ? [bool(true)] : []), octets(value));
}

/** Bits of KeyUsage by their numbers in RFC 5280 section 4.2.1.3. */
export function keyUsage(...numbers: readonly number[]): Buffer {
  const value = numbers.reduce((sum, bit) => sum | (0x8000 >> bit), 0);
  const bytes = Buffer.of(value >> 8, value & 0xff).subarray(0, Math.max(...numbers) > 7 ? 2 : 1);
  let unused = 0;
  while (unused < 7 && ((bytes.at(-1) ?? 0) & (1 << unused)) === 0) unused++;
  return extension('2.5.29.15', true, bits(bytes, unused));
}

export function basicConstraints(ca: boolean, pathLength?: number): Buffer {
  const path = pathLength === undefined ? [] : [int(pathLength)];
  return extension('2.5.29.19', true, seq(...(ca ? [bool(true)] : []), ...path));
}

export const extendedKeyUsage = (oids: readonly string[], critical = false) =>
  extension('2.5.29.37', critical, seq(...oids.map(oid)));
export const subjectKeyId = (id: Uint8Array) => extension('2.5.29.14', false, octets(id));
export const authorityKeyId = (id: Uint8Array) => extension('2.5.29.35', false, seq(primitive(0, id)));
export const subjectAltName = (critical: boolean, name: Uint8Array) =>
  extension('2.5.29.17', critical, seq(context(4, name)));
export const crlDistributionPoint = (uri: string) =>
  extension('2.5.29.31', false, seq(seq(context(0, context(0, primitive(6, Buffer.from(uri)))))));

/** 2026-06-01, when everything made here is valid unless said otherwise. */
export const NOW = Date.UTC(2026, 5, 1);
const DAY = 86_400_000;
export const NOT_BEFORE = NOW - 100 * DAY;
export const NOT_AFTER = NOW + 100 * DAY;

export interface CertificateSpec {
  readonly serial?: number | bigint | Buffer;
  /** Common name, or a whole Name. */
  readonly subject: string | Buffer;
  readonly issuer: string | Buffer;
  readonly key: TestKey;
  readonly signer: TestKey;
  readonly algorithm?: Algorithm;
  /** AlgorithmIdentifiers, where they are not to be those of `algorithm`. */
  readonly innerAlgorithm?: Buffer;
  readonly outerAlgorithm?: Buffer;
  readonly version?: number;
  readonly notBefore?: number | Buffer;
  readonly notAfter?: number | Buffer;
  readonly spki?: Buffer;
  readonly extensions?: readonly Buffer[];
  /** Bytes between subjectPublicKeyInfo and extensions. */
  readonly beforeExtensions?: Buffer;
  readonly changeSignature?: (signature: Buffer) => Buffer;
}

const asName = (name: string | Buffer) => (typeof name === 'string' ? nameOf(name) : name);
const asTime = (at: number | Buffer) => (typeof at === 'number' ? time(at) : at);

export function certificate(spec: CertificateSpec): Buffer {
  const algorithm = spec.algorithm ?? 'ecdsa-sha256';
  const serial = spec.serial ?? 1;
  const tbs = seq(
    ...(spec.version === 0 ? [] : [context(0, int(spec.version ?? 2))]),
    Buffer.isBuffer(serial) ? tlv(0x02, serial) : int(serial),
    spec.innerAlgorithm ?? algorithmId(algorithm),
    asName(spec.issuer),
    seq(asTime(spec.notBefore ?? NOT_BEFORE), asTime(spec.notAfter ?? NOT_AFTER)),
    asName(spec.subject),
    spec.spki ?? spec.key.spki,
    spec.beforeExtensions ?? Buffer.alloc(0),
    ...(spec.extensions === undefined ? [] : [context(3, seq(...spec.extensions))]),
  );
  return signed(tbs, algorithm, spec);
}

export interface CrlSpec {
  readonly issuer: string | Buffer;
  readonly signer: TestKey;
  readonly algorithm?: Algorithm;
  readonly innerAlgorithm?: Buffer;
  readonly outerAlgorithm?: Buffer;
  /** INTEGER of the version; null for v1. */
  readonly version?: number | null;
  readonly thisUpdate?: number | Buffer;
  /** null leaves it out. */
  readonly nextUpdate?: number | Buffer | null;
  readonly revoked?: readonly { readonly serial: number | bigint; readonly extensions?: readonly Buffer[] }[];
  readonly extensions?: readonly Buffer[];
  readonly changeSignature?: (signature: Buffer) => Buffer;
}

export function crl(spec: CrlSpec): Buffer {
  const algorithm = spec.algorithm ?? 'ecdsa-sha256';
  const nextUpdate = spec.nextUpdate === undefined ? NOW + DAY : spec.nextUpdate;
  const entries = (spec.revoked ?? []).map(({ serial, extensions }) =>
    seq(int(serial), time(NOW - DAY), ...(extensions === undefined ? [] : [seq(...extensions)])),
  );
  const tbs = seq(
    ...(spec.version === null ? [] : [int(spec.version ?? 1)]),
    spec.innerAlgorithm ?? algorithmId(algorithm),
    asName(spec.issuer),
    asTime(spec.thisUpdate ?? NOW - DAY),
    ...(nextUpdate === null ? [] : [asTime(nextUpdate)]),
    ...(entries.length === 0 ? [] : [seq(Buffer.concat(entries))]),
    ...(spec.extensions === undefined ? [] : [context(0, seq(...spec.extensions))]),
  );
  return signed(tbs, algorithm, spec);
}

function signed(
  tbs: Buffer,
  algorithm: Algorithm,
  spec: Pick<CertificateSpec, 'signer' | 'outerAlgorithm' | 'changeSignature'>,
): Buffer {
  const signature = signWith(algorithm, tbs, spec.signer.privateKey);
  return seq(tbs, spec.outerAlgorithm ?? algorithmId(algorithm), bits(spec.changeSignature?.(signature) ?? signature));
}

export function pem(...certificates: readonly Buffer[]): string {
  return certificates.map((der) => pemBlock('CERTIFICATE', der)).join('');
}

export function pemBlock(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
