import { constants, verify } from 'node:crypto';
import { MalformedError } from '../bytes/malformed-error.js';
import { DerReader, contextTag, TAG } from './der.js';
import { derNull, derOid, derSmallUnsigned } from './der-values.js';
import { DIGEST_BYTES, type HashName } from './digest.js';
import type { CertifiedKey } from './x509-key.js';

/** A signature algorithm that is believed. */
export interface SignatureScheme {
  readonly scheme: 'rsassa' | 'rsapss' | 'ecdsa';
  readonly hash: HashName;
}

const RSA_PSS = '1.2.840.113549.1.1.10';
const MGF1 = '1.2.840.113549.1.1.8';

const SCHEMES: ReadonlyMap<string, SignatureScheme> = new Map([
  ['1.2.840.113549.1.1.11', { scheme: 'rsassa', hash: 'sha256' }],
  ['1.2.840.113549.1.1.12', { scheme: 'rsassa', hash: 'sha384' }],
  ['1.2.840.113549.1.1.13', { scheme: 'rsassa', hash: 'sha512' }],
  ['1.2.840.10045.4.3.2', { scheme: 'ecdsa', hash: 'sha256' }],
  ['1.2.840.10045.4.3.3', { scheme: 'ecdsa', hash: 'sha384' }],
  ['1.2.840.10045.4.3.4', { scheme: 'ecdsa', hash: 'sha512' }],
]);

const HASHES: ReadonlyMap<string, HashName> = new Map([
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);

/**
 * The scheme of an AlgorithmIdentifier: RSASSA-PKCS1-v1_5, RSASSA-PSS (RFC 4055 section 3.1; one hash for message and
 * MGF1, salt as long as the digest) or ECDSA (RFC 5758 section 3.2) with SHA-256, SHA-384 or SHA-512. undefined for every
 * other algorithm, SHA-1 and MD5 among them; MalformedError for parameters that do not parse.
 */
export function signatureScheme(algorithm: Buffer): SignatureScheme | undefined {
  const outer = new DerReader(algorithm);
  const reader = outer.enter(TAG.sequence, 'signature algorithm');
  outer.end('signature algorithm');
  const oid = derOid(reader.content(TAG.oid, 'signature algorithm'), 'signature algorithm');
  if (oid === RSA_PSS) {
    const hash = pssHash(reader);
    return hash === undefined ? undefined : { scheme: 'rsapss', hash };
  }
  const scheme = SCHEMES.get(oid);
  if (scheme === undefined) return undefined;
  if (scheme.scheme === 'rsassa') readNull(reader);
  reader.end('signature algorithm');
  return scheme;
}

/** RSASSA-PSS-params. Its defaults are SHA-1, so that hash and MGF must be there. */
function pssHash(algorithm: DerReader): HashName | undefined {
  const params = algorithm.enter(TAG.sequence, 'PSS parameters');
  algorithm.end('signature algorithm');
  const hashAlgorithm = params.optionalEnter(contextTag(0), 'PSS hash');
  const mgf = params.optionalEnter(contextTag(1), 'PSS MGF');
  const salt = params.optionalEnter(contextTag(2), 'PSS salt length');
  const trailer = params.optionalEnter(contextTag(3), 'PSS trailer');
  params.end('PSS parameters');
  if (hashAlgorithm === undefined || mgf === undefined || salt === undefined) return undefined;
  const hash = hashOf(hashAlgorithm);
  const mgfAlgorithm = mgf.enter(TAG.sequence, 'PSS MGF');
  mgf.end('PSS MGF');
  const isMgf1 = derOid(mgfAlgorithm.content(TAG.oid, 'PSS MGF'), 'PSS MGF') === MGF1;
  if (!isMgf1 || hash === undefined || hashOf(mgfAlgorithm) !== hash) return undefined;
  if (smallInteger(salt, 'PSS salt length') !== DIGEST_BYTES[hash]) return undefined;
  // AMD writes the default trailer out.
  if (trailer !== undefined && smallInteger(trailer, 'PSS trailer') !== 1) return undefined;
  return hash;
}

function hashOf(wrapper: DerReader): HashName | undefined {
  const algorithm = wrapper.enter(TAG.sequence, 'PSS hash');
  wrapper.end('PSS hash');
  const hash = HASHES.get(derOid(algorithm.content(TAG.oid, 'PSS hash'), 'PSS hash'));
  readNull(algorithm);
  algorithm.end('PSS hash');
  return hash;
}

/** NULL parameters; RFC 4055 section 2.1 wants them read as the same where they are absent. */
function readNull(reader: DerReader): void {
  derNull(reader.optional(TAG.null, 'parameters') ?? Buffer.alloc(0), 'parameters');
}

function smallInteger(wrapper: DerReader, field: string): number {
  const number = derSmallUnsigned(wrapper.content(TAG.integer, field), field);
  wrapper.end(field);
  return number;
}

/**
 * Whether `signature` is one of this key over `data` by this scheme; false for a key of another type too. Throws only
 * MalformedError, for a key that OpenSSL does not take.
 */
export function verifyScheme(
  { scheme, hash }: SignatureScheme,
  certified: CertifiedKey,
  data: Buffer,
  signature: Buffer,
): boolean {
  const { key } = certified;
  if ((scheme === 'ecdsa') !== (certified.type === 'ec')) return false;
  // RFC 8017 sections 8.1.2 and 8.2.2: as long as the modulus. OpenSSL takes one whose leading zero was left out.
  if (certified.type === 'rsa' && signature.length !== Math.ceil(certified.bits / 8)) return false;
  try {
    switch (scheme) {
      case 'ecdsa':
        return verify(hash, data, { key, dsaEncoding: 'der' }, signature);
      case 'rsassa':
        return verify(hash, data, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
      case 'rsapss': {
        const saltLength = DIGEST_BYTES[hash];
        return verify(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature);
      }
    }
  } catch {
    throw new MalformedError('a key that no signature can be verified with');
  }
}
