import { createPrivateKey } from 'node:crypto';
import { MalformedError } from '../bytes/malformed-error.js';
import { Reader } from '../bytes/reader.js';

/** A 4096-bit RSA key takes 2.4 KiB as DER, 3.3 KiB as PEM. */
const MAX_PKCS8_BYTES = 16_384;

const SEQUENCE = 0x30;
const INTEGER = 0x02;

/**
 * The AlgorithmIdentifier contents that are let through to OpenSSL: for other algorithms (DSA, DH, curves with explicit
 * parameters) merely reading the key can take seconds.
 */
const ALGORITHMS: readonly Buffer[] = [
  '06092a864886f70d0101010500', // rsaEncryption, NULL
  '06072a8648ce3d020106082a8648ce3d030107', // id-ecPublicKey, prime256v1
  '06072a8648ce3d020106052b81040022', // id-ecPublicKey, secp384r1
  '06072a8648ce3d020106052b81040023', // id-ecPublicKey, secp521r1
  '06032b656e', // X25519
  '06032b6570', // Ed25519
].map((hex) => Buffer.from(hex, 'hex'));

/**
 * The private JWK of an unencrypted PKCS#8 key (RFC 5208), DER or one PEM block, RSA, EC on P-256, P-384 or P-521,
 * X25519 or Ed25519. Only parsed: `checkPrivateJwk` says whether its parts belong together. Throws MalformedError.
 */
export function parsePkcs8(data: Buffer): unknown {
  if (data.length > MAX_PKCS8_BYTES) throw new MalformedError(`pkcs8: longer than ${String(MAX_PKCS8_BYTES)} bytes`);
  const isPem = data[0] !== SEQUENCE;
  const der = isPem ? derOfPem(data.toString('latin1')) : data;
  try {
    assertKnownAlgorithm(der);
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' });
  } catch (error) {
    if (error instanceof MalformedError) throw error;
    throw new MalformedError('pkcs8: the private key does not parse');
  } finally {
    if (isPem) der.fill(0);
  }
}

const PEM_BLOCK = /^-----BEGIN PRIVATE KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PRIVATE KEY-----$/;

function derOfPem(file: string): Buffer {
  const text = file.trim();
  if (text.startsWith('-----BEGIN ENCRYPTED PRIVATE KEY-----')) {
    throw new MalformedError('pkcs8: the key is encrypted; decrypt it first: openssl pkcs8 -in FILE -out PLAIN');
  }
  if (/^-----BEGIN (?:RSA|EC) PRIVATE KEY-----/.test(text)) {
    throw new MalformedError(
      'pkcs8: a key in the older PEM format; convert it: openssl pkcs8 -topk8 -nocrypt -in FILE -out PKCS8',
    );
  }
  if (/^-----BEGIN (?:PUBLIC KEY|CERTIFICATE)-----/.test(text)) {
    throw new MalformedError('pkcs8: a public key or a certificate; import the private key');
  }
  const base64 = PEM_BLOCK.exec(text)?.[1]?.replaceAll(/[\r\n]/g, '');
  if (base64 === undefined) throw new MalformedError('pkcs8: neither DER nor exactly one PEM block PRIVATE KEY');
  const der = Buffer.from(base64, 'base64');
  if (der.toString('base64') !== base64) throw new MalformedError('pkcs8: the PEM block is not canonical base64');
  return der;
}

/** PrivateKeyInfo: version, AlgorithmIdentifier, then what OpenSSL reads; nothing may follow the whole. */
function assertKnownAlgorithm(der: Buffer): void {
  const outer = new Reader(der);
  const contents = element(outer, SEQUENCE, 'pkcs8');
  outer.end('pkcs8');
  if (contents[0] === SEQUENCE)
    throw new MalformedError('pkcs8: an encrypted key, or a public one; import the plain private key');
  const info = new Reader(contents);
  element(info, INTEGER, 'pkcs8.version');
  const algorithm = element(info, SEQUENCE, 'pkcs8.algorithm');
  if (!ALGORITHMS.some((known) => known.equals(algorithm))) {
    throw new MalformedError('pkcs8: not RSA, EC (P-256, P-384, P-521), X25519 or Ed25519');
  }
}

/** The contents of a DER element of the given tag, of at most 64 KiB. */
function element(reader: Reader, tag: number, field: string): Buffer {
  if (reader.u8(field) !== tag) throw new MalformedError(`${field}: not the expected DER element`);
  const first = reader.u8(`${field}.length`);
  if (first < 0x80) return reader.take(first, field);
  if (first === 0x81) return reader.take(atLeast(0x80, reader.u8(`${field}.length`), field), field);
  if (first === 0x82) return reader.take(atLeast(0x100, reader.u16be(`${field}.length`), field), field);
  throw new MalformedError(`${field}: not a definite length of at most two bytes`);
}

/** One encoding per length: the long forms are for what the shorter one cannot hold. */
function atLeast(minimum: number, length: number, field: string): number {
  if (length < minimum) throw new MalformedError(`${field}: length is not minimal`);
  return length;
}
