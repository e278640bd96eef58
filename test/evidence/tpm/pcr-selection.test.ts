import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { Reader } from '../../../src/bytes/reader.js';
import { checkSelection, parsePcrSelections, pcrsOfBits } from '../../../src/evidence/tpm/pcr-selection.js';
import { encodeSelections, selectBits } from './encode.js';
import { selection } from './software-quote.js';

const parse = (bytes: Buffer) => parsePcrSelections(new Reader(bytes));

describe('parsePcrSelections', () => {
  test('PCR n is bit n mod 8 of byte n div 8', () => {
    expect(pcrsOfBits(Buffer.from('110100', 'hex'))).toEqual([0, 4, 8]);
    expect(pcrsOfBits(Buffer.from('000080', 'hex'))).toEqual([23]);
    for (let pcr = 0; pcr < 24; pcr++) expect(pcrsOfBits(selectBits([pcr]))).toEqual([pcr]);
    expect(pcrsOfBits(Buffer.alloc(3, 0xff))).toHaveLength(24);
  });

  test('sixteen entries are the most', () => {
    const entries = (count: number) => Array.from({ length: count }, () => selection('sha256', 1));
    expect(parse(encodeSelections(entries(16)))).toHaveLength(16);
    expect(() => parse(encodeSelections(entries(17)))).toThrow(MalformedError);
  });

  test('a huge count is refused before anything is read', () => {
    expect(() => parse(Buffer.alloc(4, 0xff))).toThrow(/over the maximum/);
  });

  test('sizeofSelect is 3 and nothing else', () => {
    for (let size = 0; size < 256; size++) {
      const bytes = Buffer.concat([Buffer.from([0, 0, 0, 1, 0, 11, size]), Buffer.alloc(size, 1)]);
      if (size === 3) expect(parse(bytes)).toHaveLength(1);
      else expect(() => parse(bytes)).toThrow(MalformedError);
    }
  });

  test('every proper prefix is malformed', () => {
    const bytes = encodeSelections([selection('sha1', 0), selection('sha256', 8)]);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => parse(bytes.subarray(0, length))).toThrow(MalformedError);
    }
  });

  test('no bytes throw anything but MalformedError, and what parses encodes to the same bytes (property)', () => {
    fc.assert(
      fc.property(fc.nat(20), fc.uint8Array({ maxLength: 130 }), (count, rest) => {
        const bytes = Buffer.concat([Buffer.of(0, 0, 0, count), rest]);
        const r = new Reader(bytes);
        try {
          expect(encodeSelections(parsePcrSelections(r))).toEqual(bytes.subarray(0, r.offset));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });
});

describe('checkSelection', () => {
  test('gives the banks by name, in the order of the quote', () => {
    expect(
      checkSelection([selection('sha384', 7), selection('sha1', 0), selection('sha256', 4, 8)], { sha256: [8] }),
    ).toEqual({
      ok: true,
      value: [
        { bank: 'sha384', pcrs: [7] },
        { bank: 'sha1', pcrs: [0] },
        { bank: 'sha256', pcrs: [4, 8] },
      ],
    });
  });

  test('refuses an empty selection, and an entry that selects nothing', () => {
    expect(checkSelection([], {})).toMatchObject({ ok: false, reason: 'quote.pcr_selection' });
    expect(checkSelection([selection('sha256')], {})).toMatchObject({ ok: false, reason: 'quote.pcr_selection' });
    expect(checkSelection([selection('sha256', 8), selection('sha384')], { sha256: [8] })).toMatchObject({
      ok: false,
      reason: 'quote.pcr_selection',
    });
  });

  test('refuses a bank that is named twice, with the same PCRs or others', () => {
    for (const other of [8, 16]) {
      expect(checkSelection([selection('sha256', 8), selection('sha256', other)], {})).toMatchObject({
        ok: false,
        reason: 'quote.pcr_selection',
      });
    }
  });

  test('refuses a bank of a hash that is not known', () => {
    expect(checkSelection([selection('sha256', 8), { hashAlg: 0x12, pcrs: [0] }], {})).toMatchObject({
      ok: false,
      reason: 'quote.pcr_selection',
    });
  });

  test('a needed PCR that is not selected is refused and named', () => {
    expect(checkSelection([selection('sha256', 0, 16)], { sha256: [0, 8] })).toEqual({
      ok: false,
      reason: 'quote.pcr_selection',
      detail: 'the signed selection lacks PCR 8 of the sha256 bank',
      findings: [{ claim: 'quote.pcr_selection.sha256.8', operator: 'exists', expected: true, found: null }],
    });
  });

  test('a needed PCR is needed in its own bank', () => {
    for (const bank of ['sha1', 'sha384', 'sha512'] as const) {
      expect(checkSelection([selection(bank, 8)], { sha256: [8] })).toMatchObject({
        ok: false,
        reason: 'quote.pcr_selection',
        findings: [{ claim: 'quote.pcr_selection.sha256.8' }],
      });
    }
  });

  test('nothing of the SHA-1 bank can meet a need', () => {
    expect(checkSelection([selection('sha1', 8)], { sha1: [8] })).toMatchObject({
      ok: false,
      reason: 'quote.pcr_selection',
      findings: [{ claim: 'quote.pcr_selection.sha1.8' }],
    });
  });
});
