import { X509Certificate } from 'node:crypto';
import { MalformedError } from '../../bytes/malformed-error.js';
import { Reader } from '../../bytes/reader.js';
import { Writer } from '../../bytes/writer.js';
import type { EkAlgorithm } from '../../simulator/ek.js';
import { AttesterError } from '../errors.js';

const DER_SEQUENCE = 0x30;
/** Of a certificate in NV memory, which has little room. */
const MAX_CERTIFICATE_BYTES = 16 * 1024;
const MAX_CHAIN = 16;

/**
 * The DER certificate at the start of what NV memory holds: cut to its own length, since makers define larger indexes and
 * leave the rest zero, or whatever was there. Throws AttesterError where there is none.
 */
export function leadingCertificate(memory: Buffer): Buffer {
  const length = sequenceLength(memory);
  if (length === undefined) throw new AttesterError('the memory for the EK certificate holds no DER certificate');
  return memory.subarray(0, length);
}

/** Certificates one behind the other, up to the first byte that starts none; at most 16. */
export function certificatesInRow(memory: Buffer): readonly Buffer[] {
  const found: Buffer[] = [];
  for (let rest = memory; found.length < MAX_CHAIN;) {
    const length = sequenceLength(rest);
    if (length === undefined) break;
    found.push(rest.subarray(0, length));
    rest = rest.subarray(length);
  }
  return found;
}

/** The whole length of the DER SEQUENCE (of 128 bytes or more, in the shortest form) that is at the start; undefined where there is none. */
function sequenceLength(bytes: Buffer): number | undefined {
  try {
    const r = new Reader(bytes);
    if (r.u8('tag') !== DER_SEQUENCE) return undefined;
    const form = r.u8('length');
    if (form !== 0x81 && form !== 0x82) return undefined;
    const content = form === 0x81 ? r.u8('length') : r.u16be('length');
    if (content < (form === 0x81 ? 0x80 : 0x100) || content > MAX_CERTIFICATE_BYTES) return undefined;
    r.take(content, 'certificate');
    return r.offset;
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

/** The key that a certificate is about, as far as an EK is found by it. */
export interface CertifiedKey {
  readonly algorithm: EkAlgorithm;
  /** How the public area of this key ends: its modulus, or its coordinates of full field length, each behind its size. */
  readonly unique: Buffer;
}

/** Where the modulus lies in the SPKI of an RSA key with exponent 65537: before the last 5 bytes. */
const SPKI_TAIL_BYTES = 5;

/** The key of a DER certificate, of which nothing else is looked at. Throws AttesterError for a key that is no EK of ours. */
export function certifiedKey(certificate: Buffer): CertifiedKey {
  try {
    const key = new X509Certificate(certificate).publicKey;
    const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
    const spki = key.export({ type: 'spki', format: 'der' });
    const sized = (bytes: Buffer) => new Writer().sized16(bytes).finish();
    if (modulusLength === 2048 || modulusLength === 3072) {
      const unique = sized(spki.subarray(-(modulusLength / 8) - SPKI_TAIL_BYTES, -SPKI_TAIL_BYTES));
      return { algorithm: modulusLength === 2048 ? 'rsa2048' : 'rsa3072', unique };
    }
    const fieldBytes = namedCurve === 'prime256v1' ? 32 : namedCurve === 'secp384r1' ? 48 : 0;
    if (fieldBytes !== 0) {
      const point = spki.subarray(-2 * fieldBytes);
      const unique = Buffer.concat([sized(point.subarray(0, fieldBytes)), sized(point.subarray(fieldBytes))]);
      return { algorithm: fieldBytes === 32 ? 'ecc256' : 'ecc384', unique };
    }
  } catch (cause) {
    throw new AttesterError('the EK certificate cannot be read', { cause });
  }
  throw new AttesterError('the EK certificate is for a key other than RSA-2048, RSA-3072, P-256 and P-384');
}
