import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseAttest } from '../../../src/evidence/tpm/attest.js';
import { ATTEST_NAMES, TPM_ST_ATTEST_QUOTE } from '../../../src/evidence/tpm/constants.js';
import type { QuoteAttest } from '../../../src/evidence/tpm/structures.js';
import { encodeAttest } from './encode.js';
import { attestBytes, selection } from './software-quote.js';

const reasonOf = (bytes: Buffer) => {
  const result = parseAttest(bytes);
  return result.ok ? 'accepted' : result.reason;
};

describe('parseAttest', () => {
  test('reads every field of a quote', () => {
    const result = parseAttest(
      attestBytes('sha256', { pcrSelect: [selection('sha1', 23), selection('sha256', 0, 8, 16)] }),
    );
    expect(result).toMatchObject({
      ok: true,
      value: {
        qualifiedSigner: Buffer.concat([Buffer.of(0, 0x0b), Buffer.alloc(32, 7)]),
        clockInfo: { clock: 4294967297n, resetCount: 3, restartCount: 5, safe: true },
        firmwareVersion: 0x2019102300163636n,
        pcrSelect: [
          { hashAlg: 4, pcrs: [23] },
          { hashAlg: 11, pcrs: [0, 8, 16] },
        ],
      },
    });
  });

  test('every proper prefix is malformed', () => {
    const quoted = attestBytes('sha256');
    for (let length = 0; length < quoted.length; length++) {
      expect([length, reasonOf(quoted.subarray(0, length))]).toEqual([length, 'evidence.malformed']);
    }
  });

  test('a trailing byte is malformed', () => {
    expect(reasonOf(Buffer.concat([attestBytes('sha256'), Buffer.of(0)]))).toBe('evidence.malformed');
  });

  test('another magic is quote.magic, whatever follows', () => {
    expect(reasonOf(attestBytes('sha256', { header: { magic: 0xff544348 } }))).toBe('quote.magic');
    expect(reasonOf(attestBytes('sha256', { header: { magic: 0x475443ff } }))).toBe('quote.magic');
    expect(reasonOf(Buffer.alloc(4))).toBe('quote.magic');
    expect(reasonOf(Buffer.alloc(5000))).toBe('quote.magic');
  });

  test('another magic comes before another type', () => {
    expect(reasonOf(attestBytes('sha256', { header: { magic: 1, type: 0x8017 } }))).toBe('quote.magic');
  });

  test('each other type of attestation is quote.type, named, even when cut right behind the type', () => {
    for (const [type, name] of [...ATTEST_NAMES, [0x8019 + 0x1000, '0x9019'], [0, '0x0000']] as [number, string][]) {
      if (type === TPM_ST_ATTEST_QUOTE) continue;
      const quoted = attestBytes('sha256', { header: { type } });
      for (const bytes of [quoted, quoted.subarray(0, 6)]) {
        expect(parseAttest(bytes)).toMatchObject({
          ok: false,
          reason: 'quote.type',
          findings: [{ claim: 'quote.type', operator: 'equals', expected: 'quote', found: name }],
        });
      }
    }
  });

  test('each size is accepted up to its maximum and malformed above', () => {
    const cases: [keyof QuoteAttest, number][] = [
      ['qualifiedSigner', 66],
      ['extraData', 66],
      ['pcrDigest', 64],
    ];
    for (const [field, max] of cases) {
      for (const [length, expected] of [
        [0, 'accepted'],
        [max, 'accepted'],
        [max + 1, 'evidence.malformed'],
      ] as const) {
        const quoted = attestBytes('sha256', { body: { [field]: Buffer.alloc(length) } });
        expect([field, length, reasonOf(quoted)]).toEqual([field, length, expected]);
      }
    }
  });

  test('safe is 0 or 1', () => {
    const quoted = attestBytes('sha256', { body: { qualifiedSigner: Buffer.alloc(0), extraData: Buffer.alloc(0) } });
    const at = 4 + 2 + 2 + 2 + 8 + 4 + 4;
    for (const [value, expected] of [
      [0, 'accepted'],
      [1, 'accepted'],
      [2, 'evidence.malformed'],
      [255, 'evidence.malformed'],
    ] as const) {
      quoted.writeUInt8(value, at);
      expect(reasonOf(quoted)).toBe(expected);
    }
  });

  test('what is encoded is parsed, and encodes to the same bytes (property)', () => {
    fc.assert(
      fc.property(anyQuote, (quote) => {
        const bytes = encodeAttest(quote);
        const result = parseAttest(bytes);
        expect(result).toEqual({ ok: true, value: quote });
        if (result.ok) expect(encodeAttest(result.value)).toEqual(bytes);
      }),
    );
  });

  test('no bytes throw, with or without a good header (property)', () => {
    const header = Buffer.from('ff5443478018', 'hex');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        for (const input of [Buffer.from(bytes), Buffer.concat([header, bytes])]) {
          expect(typeof parseAttest(input).ok).toBe('boolean');
        }
      }),
    );
  });

  test('a quote with any one byte changed parses to something else, or not at all (property)', () => {
    const quoted = attestBytes('sha256');
    const good = parseAttest(quoted);
    fc.assert(
      fc.property(fc.nat(quoted.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bent = Buffer.from(quoted);
        bent[at]! ^= flip;
        expect(parseAttest(bent)).not.toEqual(good);
      }),
    );
  });
});

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((value) => Buffer.from(value));
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const anySelection = fc.record({
  hashAlg: fc.integer({ min: 0, max: 0xffff }),
  pcrs: fc.uniqueArray(fc.nat(23)).map((pcrs) => pcrs.sort((a, b) => a - b)),
});
const anyQuote: fc.Arbitrary<QuoteAttest> = fc.record({
  qualifiedSigner: bytes(66),
  extraData: bytes(66),
  clockInfo: fc.record({ clock: u64, resetCount: u32, restartCount: u32, safe: fc.boolean() }),
  firmwareVersion: u64,
  pcrSelect: fc.array(anySelection, { maxLength: 16 }),
  pcrDigest: bytes(64),
});
