import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { ALG_OF_BANK, BANK_OF_ALG } from '../../../src/evidence/tpm/constants.js';
import type { PcrValues } from '../../../src/evidence/tpm/evidence.js';
import type { PcrSelection } from '../../../src/evidence/tpm/structures.js';
import { MAX_PCRS_FILE_BYTES, parseToolsPcrs } from '../../../src/evidence/tpm/tools-pcrs.js';
import { encodeStructs } from './encode.js';
import { pcrValue, selection, valuesFor } from './software-quote.js';

const SELECT = [selection('sha256', 0, 4, 8), selection('sha1', 23)];
const ALL = Array.from({ length: 24 }, (_, pcr) => pcr);

/** Values in the order of a selection. */
function digestsOf(pcrSelect: readonly PcrSelection[]): Buffer[] {
  return pcrSelect.flatMap(({ hashAlg, pcrs }) =>
    pcrs.map((pcr) => Buffer.from(pcrValue(BANK_OF_ALG.get(hashAlg)!, pcr), 'hex')),
  );
}

/** As tpm2_pcrread prints. */
function pcrread(values: PcrValues): Buffer {
  const lines = Object.entries(values).flatMap(([bank, members]) => [
    `  ${bank}:`,
    ...Object.entries(members).map(([pcr, hex]) => `    ${pcr.padEnd(2)}: 0x${hex.toUpperCase()}`),
  ]);
  return Buffer.from(lines.join('\n') + '\n');
}

function encodings(pcrSelect: readonly PcrSelection[]): Buffer[] {
  const values = valuesFor(pcrSelect);
  const digests = digestsOf(pcrSelect);
  return [
    Buffer.concat(digests),
    encodeStructs(pcrSelect, digests),
    Buffer.from(JSON.stringify(values)),
    pcrread(values),
  ];
}

const read = (file: Buffer, pcrSelect: readonly PcrSelection[] = SELECT): unknown =>
  JSON.parse(JSON.stringify(parseToolsPcrs(file, pcrSelect)));

describe('the formats of PCR values', () => {
  test('all four say the same, for one PCR and for many, of one bank and of several', () => {
    const banks = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
    const selections = [
      [selection('sha256', 8)],
      [selection('sha1', 0)],
      SELECT,
      [selection('sha384', ...ALL)],
      banks.map((bank) => selection(bank, ...ALL)),
    ];
    for (const pcrSelect of selections) {
      for (const file of encodings(pcrSelect)) expect(read(file, pcrSelect)).toEqual(valuesFor(pcrSelect));
    }
  });

  test('bare values of any content are taken by their length: zeros, ones, and what looks like another format', () => {
    // 3 SHA-1 and 19 SHA-256 values are as long as one list of C structs; 2 and 3 as long as none.
    const cases: [PcrSelection[], number][] = [
      [[selection('sha1', 0, 1, 2), selection('sha256', ...ALL.slice(0, 19))], 668],
      [[selection('sha1', 0, 1), selection('sha256', 0, 1, 2)], 136],
    ];
    for (const [pcrSelect, length] of cases) {
      const structs = encodeStructs([selection('sha256', 0)], [Buffer.alloc(32)]);
      const json = Buffer.from('{"sha256":{}}'.padEnd(length));
      for (const file of [Buffer.alloc(length), Buffer.alloc(length, 0xff), structs.subarray(0, length), json]) {
        const values = parseToolsPcrs(file, pcrSelect);
        expect(Object.keys(values.sha1 ?? {}).length + Object.keys(values.sha256 ?? {}).length).toBe(
          pcrSelect.flatMap((s) => s.pcrs).length,
        );
        expect(values.sha1?.['0']).toBe(file.subarray(0, 20).toString('hex'));
      }
    }
  });

  test('every other format is longer than the bare values of the same selection (property)', () => {
    fc.assert(
      fc.property(anySelections, (pcrSelect) => {
        const [bare, ...others] = encodings(pcrSelect);
        for (const other of others) expect(other.length).toBeGreaterThan(bare!.length);
      }),
    );
  });

  test('whatever a selection, all formats give its values (property)', () => {
    fc.assert(
      fc.property(anySelections, (pcrSelect) => {
        for (const file of encodings(pcrSelect)) expect(read(file, pcrSelect)).toEqual(valuesFor(pcrSelect));
      }),
    );
  });

  test('JSON and text are read whatever the quote selects; JSON takes hex of either case', () => {
    const values = valuesFor(SELECT);
    const upper = JSON.stringify(values).replace(/"[0-9a-f]{40,}"/g, (hex) => hex.toUpperCase());
    expect(read(Buffer.from(`\n  ${upper}\n`), [])).toEqual(values);
    expect(read(pcrread(values), [selection('sha384', 1)])).toEqual(values);
  });

  test('text may have Windows line ends, blank lines and banks without values', () => {
    const text = pcrread(valuesFor(SELECT)).toString().replaceAll('\n', '\r\n');
    expect(read(Buffer.from(`${text}\r\n  sha512:\r\n`))).toEqual(valuesFor(SELECT));
  });

  test('a bank that stands twice is merged; a PCR with two values is malformed', () => {
    const twice = [selection('sha256', 0), selection('sha256', 8)];
    const same = [selection('sha256', 8), selection('sha256', 8)];
    for (const file of encodings(twice)) expect(read(file, twice)).toEqual(valuesFor(twice));
    expect(read(encodeStructs(same, digestsOf(same)), same)).toEqual({ sha256: { 8: pcrValue('sha256', 8) } });
    const different = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    for (const file of [encodeStructs(same, different), Buffer.concat(different)]) {
      expect(() => parseToolsPcrs(file, same)).toThrow(/twice/);
    }
    const line = (byte: string) => `sha256:\n 8 : 0x${byte.repeat(32)}\n`;
    expect(() => parseToolsPcrs(Buffer.from(line('01') + line('02')), same)).toThrow(/twice/);
  });
});

describe('files that are none of the formats', () => {
  const malformed = (file: Buffer, pcrSelect = SELECT) =>
    expect(() => parseToolsPcrs(file, pcrSelect)).toThrow(MalformedError);

  test('are malformed: empty, blank, zeros, text, other JSON', () => {
    const texts = [
      '',
      ' \n',
      '\0'.repeat(668),
      'hello',
      '{',
      '[]',
      '{"sha256":[]}',
      '{"sha256":null}',
      '{"sha256":{"8":8}}',
      '{"sha256":{"8":{}}}',
      '{"sm3_256":{}}',
      '{"SHA256":{}}',
      '{"__proto__":{}}',
      '{"sha256":{"8":"00","8":"00"}}',
      '8 : 0x00',
      'sha256:\n 8 : 00',
      'sha256:\n 08 : 0x00',
      'sha256:\n 8 : 0xzz',
      'sha256:\n 8 : 0x00 trailing',
      'sm3_256:\n 8 : 0x00',
      'toString:\n 8 : 0x00',
    ];
    for (const text of texts) malformed(Buffer.from(text));
    malformed(Buffer.of(0xff, 0xfe, 0x80));
  });

  test('a file over the limit is malformed before it is looked at', () => {
    const file = Buffer.concat([Buffer.from('sha256:\n'), Buffer.alloc(MAX_PCRS_FILE_BYTES, 0x20)]);
    malformed(file);
    expect(parseToolsPcrs(file.subarray(0, MAX_PCRS_FILE_BYTES), SELECT)).toEqual({});
  });

  test('every proper prefix of C structs is malformed, and so is a trailing byte', () => {
    const file = encodeStructs(SELECT, digestsOf(SELECT));
    const length = Buffer.concat(digestsOf(SELECT)).length;
    for (let cut = 0; cut < file.length; cut++) if (cut !== length) malformed(file.subarray(0, cut));
    malformed(Buffer.concat([file, Buffer.of(0)]));
  });

  test('C structs whose counts and sizes do not fit are malformed', () => {
    const bent = (change: (file: Buffer) => void) => {
      const file = encodeStructs(SELECT, digestsOf(SELECT));
      change(file);
      malformed(file);
    };
    bent((file) => file.writeUInt32LE(0, 0));
    bent((file) => file.writeUInt32LE(1, 0)); // a value too many
    bent((file) => file.writeUInt32LE(17, 0));
    bent((file) => file.writeUInt16LE(0x12, 4)); // an unknown bank
    bent((file) => file.writeUInt8(4, 6)); // sizeofSelect
    bent((file) => file.writeUInt32LE(2, 132)); // lists
    bent((file) => file.writeUInt32LE(0xffff_ffff, 132));
    bent((file) => file.writeUInt32LE(3, 136)); // a value too few
    bent((file) => file.writeUInt32LE(9, 136));
    bent((file) => file.writeUInt16LE(20, 140)); // a SHA-1 value for a SHA-256 PCR
    bent((file) => file.writeUInt16LE(65, 140));
  });

  test('bare values of a selection with an unknown bank cannot be read', () => {
    malformed(Buffer.alloc(64), [selection('sha256', 8), { hashAlg: 0x12, pcrs: [0] }]);
  });

  test('no bytes throw anything but MalformedError (property)', () => {
    const structs = encodeStructs(SELECT, digestsOf(SELECT));
    const text = pcrread(valuesFor(SELECT));
    const bend = (file: Buffer) =>
      fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }).map((changes) => {
        const bent = Buffer.from(file);
        for (const [at, value] of changes) bent[at] = value;
        return bent;
      });
    const anyFile = fc.oneof(
      fc.uint8Array({ maxLength: 700 }).map((bytes) => Buffer.from(bytes)),
      fc.string().map((value) => Buffer.from(value)),
      fc.json().map((value) => Buffer.from(value)),
      bend(structs),
      bend(text),
    );
    fc.assert(
      fc.property(anyFile, (file) => {
        try {
          parseToolsPcrs(file, SELECT);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('the longest lines of the longest file take no time', () => {
    const start = process.cpuUsage();
    for (const line of [' ', 'sha256:', '8 ', '8 : 0x0', '\t']) {
      malformed(Buffer.from(`x${line}`.padEnd(MAX_PCRS_FILE_BYTES, line)));
      malformed(Buffer.from(`${line.repeat(9000)}x`));
    }
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(1000);
  });
});

const anySelections = fc
  .uniqueArray(fc.constantFrom('sha1', 'sha256', 'sha384', 'sha512' as const), { minLength: 1 })
  .chain((banks) =>
    fc.tuple(
      ...banks.map((bank) =>
        fc.uniqueArray(fc.nat(23), { minLength: 1 }).map((pcrs): PcrSelection => {
          return { hashAlg: ALG_OF_BANK[bank], pcrs: pcrs.sort((a, b) => a - b) };
        }),
      ),
    ),
  );
