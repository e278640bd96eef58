import fc from 'fast-check';
import { describe, expect, test } from '@jest/globals';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parseTdxQuote, UnsupportedQuoteError, type TdReportBody } from '../../../src/evidence/tdx/quote.js';
import { encodeTdReport } from '../../../src/simulator/tdx.js';
import { flipped, quoteOf, REPORT_DATA, td } from './td-world.js';

const HEADER = 48;
const V4_SIGNATURE = HEADER + 584;
/** Behind length, signature, key: type and length of the outer certification data. */
const OUTER = V4_SIGNATURE + 4 + 128;
const QE_REPORT = OUTER + 6;
const AUTH_LENGTH = QE_REPORT + 384 + 64;
const INNER = AUTH_LENGTH + 2 + 32;
const PEM = INNER + 6;

// Each one has certificates of its own, since ECDSA signatures are random.
const machine = td();
const quote = machine.quote(REPORT_DATA);
const quote5 = quoteOf({ version: 5 });

function withU16(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt16LE(value, at);
  return copy;
}

function withU32(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt32LE(value, at);
  return copy;
}

/** The quote with its PEM text made another one, all three lengths kept right. */
function withPem(change: (pem: string) => string): Buffer {
  const pem = Buffer.from(change(quote.toString('latin1', PEM)), 'latin1');
  const grown = pem.length - (quote.length - PEM);
  let copy: Buffer = Buffer.concat([quote.subarray(0, PEM), pem]);
  for (const at of [V4_SIGNATURE, OUTER + 2, INNER + 2]) copy = withU32(copy, at, quote.readUInt32LE(at) + grown);
  return copy;
}

/** The quote with so many bytes of authentication data, all three lengths kept right. */
function withAuthData(length: number): Buffer {
  const grown = length - 32;
  let copy: Buffer = Buffer.concat([quote.subarray(0, AUTH_LENGTH + 2), Buffer.alloc(length), quote.subarray(INNER)]);
  copy = withU16(copy, AUTH_LENGTH, length);
  for (const at of [V4_SIGNATURE, OUTER + 2]) copy = withU32(copy, at, quote.readUInt32LE(at) + grown);
  return copy;
}

/** Whether it parses; all but MalformedError is thrown. */
function parses(bytes: Buffer): boolean {
  try {
    parseTdxQuote(bytes);
    return true;
  } catch (error) {
    if (error instanceof MalformedError) return false;
    throw error;
  }
}

describe('a quote', () => {
  test('of version 4 has its fields where the format says', () => {
    const parsed = parseTdxQuote(quote);
    expect(parsed).toMatchObject({ version: 4, bodyType: 'TD1.0', trailingBytes: 0 });
    expect(parsed.body).toEqual(td().report(REPORT_DATA));
    expect(parsed.signed).toEqual(quote.subarray(0, V4_SIGNATURE));
    expect(parsed.signature).toEqual(quote.subarray(V4_SIGNATURE + 4, V4_SIGNATURE + 68));
    expect(parsed.attestationKey).toEqual(quote.subarray(V4_SIGNATURE + 68, OUTER));
    expect(parsed.qeReport.bytes).toEqual(quote.subarray(QE_REPORT, QE_REPORT + 384));
    expect(parsed.qeAuthData).toHaveLength(32);
    expect(parsed.certificates).toEqual(machine.certificates);
    expect(parsed.userData.subarray(0, 16)).toEqual(td().ppid);
  });

  test('of version 5 has a TD report of TDX 1.5 with what runs now and the service TDs', () => {
    const parsed = parseTdxQuote(quote5);
    expect(parsed).toMatchObject({ version: 5, bodyType: 'TD1.5' });
    expect(parsed.body).toEqual(td({ version: 5 }).report(REPORT_DATA));
    expect(parsed.signed).toHaveLength(HEADER + 6 + 648);
  });

  test('of which any proper prefix is none', () => {
    for (const bytes of [quote, quote5]) {
      const lengths = Array.from({ length: bytes.length }, (_, length) => length);
      expect(lengths.filter((length) => parses(bytes.subarray(0, length)))).toEqual([]);
    }
  });

  test('with up to 4096 bytes behind it is one, with more not', () => {
    const more = (count: number) => Buffer.concat([quote, Buffer.alloc(count)]);
    expect(parseTdxQuote(more(1)).trailingBytes).toBe(1);
    expect(parseTdxQuote(more(4096)).trailingBytes).toBe(4096);
    expect(() => parseTdxQuote(more(4097))).toThrow(MalformedError);
  });

  test.each([0, 1, 2, 3, 6, 0x103])('of version %s is not supported', (version) => {
    expect(() => parseTdxQuote(withU16(quote, 0, version))).toThrow(UnsupportedQuoteError);
  });

  test.each([
    ['attestation key type 3 (ECDSA P-384)', () => withU16(quote, 2, 3)],
    ['TEE type 0 (SGX)', () => withU32(quote, 4, 0)],
    ['body type 1 (SGX enclave)', () => withU16(quote5, HEADER, 1)],
    ['body type 4', () => withU16(quote5, HEADER, 4)],
    ['outer certification data of another type', () => withU16(quote, OUTER, 5)],
    ['inner certification data of another type', () => withU16(quote, INNER, 1)],
  ])('with %s is not supported', (_, make) => {
    expect(() => parseTdxQuote(make())).toThrow(UnsupportedQuoteError);
  });

  test('of version 5 whose body type and size do not belong together is malformed', () => {
    for (const [type, size] of [
      [2, 648],
      [3, 584],
      [2, 585],
      [3, 0xffffffff],
    ] as const) {
      // prettier-ignore
      const bytes = withU32(withU16(quote5, HEADER, type), HEADER + 2, size);
      expect(() => parseTdxQuote(bytes)).toThrow(/^body size: /);
    }
  });

  test('with a byte set that is reserved is malformed', () => {
    const qe = [20, 31, 96, 127, 160, 191, 262, 303].map((at) => QE_REPORT + at);
    for (const at of [8, 9, 10, 11, ...qe]) {
      expect(() => parseTdxQuote(flipped(quote, at, 0x01))).toThrow(/reserved/);
    }
  });

  test.each([
    ['signature data', V4_SIGNATURE],
    ['outer certification data', OUTER + 2],
    ['inner certification data', INNER + 2],
  ])('whose length of %s is one off, or as large as can be, is malformed', (_, at) => {
    const length = quote.readUInt32LE(at);
    const padded = Buffer.concat([quote, Buffer.alloc(64)]);
    for (const wrong of [0, length - 1, length + 1, 0x7fffffff, 0xffffffff]) {
      expect(() => parseTdxQuote(withU32(padded, at, wrong))).toThrow(MalformedError);
    }
  });

  test('has up to 1024 bytes of authentication data', () => {
    for (const length of [0, 31, 33, 1024]) expect(parseTdxQuote(withAuthData(length)).qeAuthData).toHaveLength(length);
    expect(() => parseTdxQuote(withAuthData(1025))).toThrow(MalformedError);
  });
});

describe('the certificates of a quote', () => {
  test('may end with or without a line end and a zero byte, and have lines of other lengths or ends', () => {
    const same = (change: (pem: string) => string) =>
      expect(parseTdxQuote(withPem(change)).certificates).toEqual(machine.certificates);
    same((pem) => pem.replace(/\0$/, ''));
    same((pem) => pem.replace(/\n\0$/, ''));
    same((pem) => pem.replace(/\n/g, '\r\n'));
    same((pem) => pem.replace(/([A-Za-z0-9+/]{32})([A-Za-z0-9+/]{32})\n/g, '$1\n$2\n'));
  });

  test.each([
    ['no certificate', () => ''],
    ['text before them', (pem: string) => `x${pem}`],
    ['text between them', (pem: string) => pem.replace('-----\n-----BEGIN', '-----\nx\n-----BEGIN')],
    ['two zero bytes', (pem: string) => `${pem}\0`],
    ['an empty line', (pem: string) => pem.replace('\n', '\n\n')],
    ['another label', (pem: string) => pem.replaceAll('CERTIFICATE', 'X509 CRL')],
    ['a blank in a line', (pem: string) => pem.replace('MII', 'MI I')],
    ['a tab at a line end', (pem: string) => pem.replace('\n', '\v')],
    ['DER instead of PEM', () => machine.certificates[0]!.toString('latin1')],
    ['a fourth one', (pem: string) => `${pem.replace(/\0$/, '')}${pem}`],
    ['more than 16384 bytes', (pem: string) => pem + pem + pem + pem + pem + pem + pem + pem + pem],
  ])('with %s are malformed', (_, change) => {
    expect(() => parseTdxQuote(withPem(change))).toThrow(MalformedError);
  });
});

describe('properties', () => {
  const bytes = (length: number) =>
    fc.uint8Array({ minLength: length, maxLength: length }).map((view) => Buffer.from(view));
  const body: fc.Arbitrary<TdReportBody> = fc.record({
    teeTcbSvn: bytes(16),
    mrSeam: bytes(48),
    mrSignerSeam: bytes(48),
    seamAttributes: bytes(8),
    tdAttributes: bytes(8),
    xfam: bytes(8),
    mrTd: bytes(48),
    mrConfigId: bytes(48),
    mrOwner: bytes(48),
    mrOwnerConfig: bytes(48),
    rtmrs: fc.tuple(bytes(48), bytes(48), bytes(48), bytes(48)),
    reportData: bytes(64),
    teeTcbSvn2: bytes(16),
    mrServiceTd: bytes(48),
  });

  test('whatever stands in a TD report comes out of the quote as it went in, and encodes to the same bytes', () => {
    fc.assert(
      fc.property(body, (fields) => {
        const made = quoteOf({ version: 5 }, { body: fields });
        const parsed = parseTdxQuote(made);
        expect(parsed.body).toEqual(fields);
        expect(encodeTdReport(parsed.body)).toEqual(made.subarray(HEADER + 6, HEADER + 6 + 648));
      }),
      { numRuns: 20 },
    );
  });

  test('no input makes the parser throw anything but MalformedError', () => {
    const changed = fc.array(fc.tuple(fc.nat(quote.length - 1), fc.nat(255)), { maxLength: 6 }).map((changes) => {
      const copy = Buffer.from(quote);
      for (const [at, value] of changes) copy[at] = value;
      return copy;
    });
    const anything = fc.uint8Array({ maxLength: 2000 }).map((view) => Buffer.from(view));
    fc.assert(
      fc.property(fc.oneof(changed, anything), (input) => {
        parses(input);
      }),
      { numRuns: 500 },
    );
  });
});
