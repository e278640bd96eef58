import { MalformedError } from '../bytes/malformed-error.js';
import { TAG } from './der.js';

const MAX_SERIAL_BYTES = 20;
const MAX_EXTENSIONS = 8;
/** extnID and extnValue of reasonCode (2.5.29.21), up to the reason. */
const REASON_CODE_OID = Buffer.from('551d15', 'hex');
const REASON_HEADER = Buffer.from('0a01', 'hex');
const MAX_REASON = 10;
const REMOVE_FROM_CRL = 8;

/**
 * The serials in the content of revokedCertificates (RFC 5280 section 5.1.2.6), without sign byte, one character a byte;
 * dates are not read. At most `maxEntries`. Throws MalformedError also for a critical entry extension other than
 * reasonCode (certificateIssuer among them, which says that the entry is about another issuer's certificate), and for the
 * reason removeFromCRL, which only a delta CRL may give.
 */
export function readRevokedSerials(
  content: Buffer,
  maxEntries: number,
  extensionsAllowed: boolean,
): ReadonlySet<string> {
  const serials = new Set<string>();
  const cursor = new EntryCursor(content);
  let count = 0;
  do {
    if (++count > maxEntries) throw new MalformedError('revokedCertificates: too many entries');
    const end = cursor.enter(TAG.sequence, content.length, 'revoked certificate');
    serials.add(cursor.serial(end));
    const isUtc = content[cursor.at] === TAG.utcTime;
    const date = cursor.enter(isUtc ? TAG.utcTime : TAG.generalizedTime, end, 'revocationDate');
    if (date - cursor.at !== (isUtc ? 13 : 15)) throw new MalformedError('revocationDate: not a time');
    cursor.at = date;
    if (date === end) continue;
    if (!extensionsAllowed) throw new MalformedError('crlEntryExtensions: in a v1 CRL');
    cursor.checkExtensions(end);
  } while (cursor.at < content.length);
  return serials;
}

/**
 * Walks DER as DerReader does, but by offsets, without a view per value: a hundred thousand entries must be read in less
 * than a tenth of a second.
 */
class EntryCursor {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Steps into the next value, which must have this tag and end at or before `limit`; gives its end. Lengths of at most two bytes. */
  enter(tag: number, limit: number, field: string): number {
    let start = this.at + 2;
    let length = this.#bytes[this.at + 1] ?? 0;
    let min = 0;
    if (length === 0x81 && start + 1 <= limit) {
      length = this.#bytes[start] ?? 0;
      start += 1;
      min = 0x80;
    } else if (length === 0x82 && start + 2 <= limit) {
      length = this.#bytes.readUInt16BE(start);
      start += 2;
      min = 0x100;
    } else if (length >= 0x80) {
      throw new MalformedError(`${field}: length is indefinite or out of range`);
    }
    if (this.#bytes[this.at] !== tag || start > limit || length < min || start + length > limit) {
      throw new MalformedError(`${field}: missing, cut short, or of another type or length`);
    }
    this.at = start;
    return start + length;
  }

  /** A serial as derUnsigned reads it. */
  serial(limit: number): string {
    const end = this.enter(TAG.integer, limit, 'userCertificate');
    const first = this.#bytes[this.at] ?? 0;
    let start = this.at;
    if (start === end || first >= 0x80) throw new MalformedError('userCertificate: INTEGER is empty or negative');
    if (first === 0 && end - start > 1) {
      if ((this.#bytes[start + 1] ?? 0) < 0x80) throw new MalformedError('userCertificate: INTEGER is not minimal');
      start += 1;
    }
    if (end - start > MAX_SERIAL_BYTES) throw new MalformedError('userCertificate: INTEGER is too large');
    this.at = end;
    return this.#bytes.toString('latin1', start, end);
  }

  /** crlEntryExtensions (RFC 5280 section 5.3), which must reach to `limit`. */
  checkExtensions(limit: number): void {
    const listEnd = this.enter(TAG.sequence, limit, 'crlEntryExtensions');
    if (listEnd !== limit) throw new MalformedError('revoked certificate: trailing bytes');
    let count = 0;
    do {
      if (++count > MAX_EXTENSIONS) throw new MalformedError('crlEntryExtensions: too many');
      this.#checkExtension(limit);
    } while (this.at < limit);
  }

  #checkExtension(limit: number): void {
    const end = this.enter(TAG.sequence, limit, 'crlEntryExtension');
    const oidEnd = this.enter(TAG.oid, end, 'extnID');
    const isReason = this.#is(REASON_CODE_OID, oidEnd);
    this.at = oidEnd;
    let critical = false;
    if (this.#bytes[this.at] === TAG.boolean) {
      const booleanEnd = this.enter(TAG.boolean, end, 'critical');
      critical = this.#bytes[this.at] !== 0;
      if (booleanEnd - this.at !== 1) throw new MalformedError('critical: not a BOOLEAN');
      this.at = booleanEnd;
    }
    const valueEnd = this.enter(TAG.octetString, end, 'extnValue');
    if (valueEnd !== end) throw new MalformedError('crlEntryExtension: trailing bytes');
    if (isReason) {
      const reason = this.#bytes[valueEnd - 1] ?? 0;
      if (!this.#is(REASON_HEADER, valueEnd - 1) || reason > MAX_REASON)
        throw new MalformedError('reasonCode: not one');
      if (reason === REMOVE_FROM_CRL) throw new MalformedError('reasonCode: removeFromCRL in a complete CRL');
    } else if (critical) {
      throw new MalformedError('a critical CRL entry extension that is not understood');
    }
    this.at = end;
  }

  /** Whether the bytes from here to `end` are these. */
  #is(expected: Buffer, end: number): boolean {
    if (end - this.at !== expected.length) return false;
    for (let index = 0; index < expected.length; index++) {
      if (this.#bytes[this.at + index] !== expected[index]) return false;
    }
    return true;
  }
}
