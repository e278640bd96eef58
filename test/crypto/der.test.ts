import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { DerReader, MAX_DER_DEPTH, TAG } from '../../src/crypto/der.js';
import {
  derBoolean,
  derGeneralizedTime,
  derNamedBits,
  derNull,
  derOid,
  derSmallUnsigned,
  derUnsigned,
  derUnsigned64,
  derUtcTime,
  derWholeBits,
} from '../../src/crypto/der-values.js';
import { bits, context, int, octets, oid, seq, time, tlv } from '../helpers/pki-der.js';

const hex = (text: string) => Buffer.from(text, 'hex');
const reading = (text: string) => () => new DerReader(hex(text)).any('value');
const content = (der: Buffer) => new DerReader(der).any('value').content;

describe('the reader', () => {
  test('a value is its tag, its content and all its bytes', () => {
    const { tag, content: inner, full } = new DerReader(hex('0403010203ff')).any('value');
    expect({ tag, inner: inner.toString('hex'), full: full.toString('hex') }).toEqual({
      tag: TAG.octetString,
      inner: '010203',
      full: '0403010203',
    });
  });

  test.each([0, 1, 127, 128, 255, 256, 65535, 65536])('a length of %d is read in its shortest form', (length) => {
    const reader = new DerReader(octets(Buffer.alloc(length)));
    expect(reader.content(TAG.octetString, 'value')).toHaveLength(length);
    expect(() => reader.end('all')).not.toThrow();
  });

  test.each([
    ['nothing', ''],
    ['a tag alone', '04'],
    ['an indefinite length', '30800000'],
    ['a length of five bytes', '04850000000001ff'],
    ['the reserved length ff', '04ff'],
    ['one byte of length where none is needed', '04817f'.padEnd(6 + 254, '0')],
    ['two bytes of length where one will do', '048200ff'.padEnd(8 + 510, '0')],
    ['a leading zero in the length', '0483000100'.padEnd(10 + 512, '0')],
    ['a length that is cut short', '0482ff'],
    ['content that is cut short', '040301ff'],
    ['a length beyond any input', '0484ffffffff00'],
    ['a tag number of several bytes', '1f810100'],
  ])('%s is refused', (_, text) => {
    expect(reading(text)).toThrow(MalformedError);
  });

  test('every proper prefix of a structure is refused', () => {
    const der = seq(int(1), octets(Buffer.alloc(200)), seq(oid('2.5.4.3')));
    for (let length = 0; length < der.length; length++) {
      expect(() => new DerReader(der.subarray(0, length)).enter(TAG.sequence, 'all')).toThrow(MalformedError);
    }
  });

  test('trailing bytes are refused, inside and outside', () => {
    const reader = new DerReader(hex('0500 00'.replace(' ', '')));
    reader.content(TAG.null, 'null');
    expect(() => reader.end('all')).toThrow('all: trailing bytes');
  });

  test('another tag is refused, and an optional one not read', () => {
    const reader = new DerReader(int(5));
    expect(reader.optional(TAG.null, 'null')).toBeUndefined();
    expect(reader.optionalEnter(TAG.sequence, 'list')).toBeUndefined();
    expect(() => reader.content(TAG.octetString, 'bytes')).toThrow('bytes: missing, or of another type');
    expect(reader.content(TAG.integer, 'number').toString('hex')).toBe('05');
    expect(reader.more).toBe(false);
  });

  test('nesting ends at the deepest level that is entered', () => {
    const nested = (levels: number): Buffer => (levels === 0 ? int(1) : context(0, nested(levels - 1)));
    const descend = (levels: number) => {
      let reader = new DerReader(nested(levels));
      for (let level = 0; level < levels; level++) reader = reader.enter(0xa0, 'level');
    };
    expect(() => descend(MAX_DER_DEPTH)).not.toThrow();
    expect(() => descend(MAX_DER_DEPTH + 1)).toThrow('DER is nested too deeply');
  });

  test('no input throws anything but MalformedError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        onlyMalformed(() => {
          const reader = new DerReader(bytes);
          while (reader.more) reader.any('value');
        });
      }),
    );
  });

  test('what is written is what is read', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 400 }), (tag, bytes) => {
        fc.pre((tag & 0x1f) !== 0x1f);
        const der = tlv(tag, bytes);
        const value = new DerReader(der).any('value');
        expect([value.tag, value.content.equals(bytes), value.full.equals(der)]).toEqual([tag, true, true]);
      }),
    );
  });
});

describe('values', () => {
  test('BOOLEAN is 00 or ff', () => {
    expect([derBoolean(hex('ff'), 'b'), derBoolean(hex('00'), 'b')]).toEqual([true, false]);
    for (const bad of ['', '01', '7f', 'ffff']) expect(() => derBoolean(hex(bad), 'b')).toThrow(MalformedError);
  });

  test('INTEGER has one form, is not negative, and ends at its maximum', () => {
    expect(derUnsigned(hex('00'), 1, 'n').toString('hex')).toBe('00');
    expect(derUnsigned(hex('00ff'), 1, 'n').toString('hex')).toBe('ff');
    expect(derUnsigned(hex('7f'), 1, 'n').toString('hex')).toBe('7f');
    for (const bad of ['', '0000', '007f', '80', 'ff', 'ff80', '00ffff', '0100']) {
      expect(() => derUnsigned(hex(bad), 1, 'n')).toThrow(MalformedError);
    }
    expect(derSmallUnsigned(hex('00ffffffff'), 'n')).toBe(0xffffffff);
    expect(() => derSmallUnsigned(hex('0100000000'), 'n')).toThrow(MalformedError);
    expect(derUnsigned64(hex('00ffffffffffffffff'), 'n')).toBe(2n ** 64n - 1n);
    expect(() => derUnsigned64(hex('010000000000000000'), 'n')).toThrow(MalformedError);
  });

  test('every INTEGER of 64 bits is read back', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (n) => {
        expect(derUnsigned64(content(int(n)), 'n')).toBe(n);
      }),
    );
  });

  test.each([
    '0.0',
    '1.39',
    '2.5.29.19',
    '2.999.3',
    '1.2.840.113549.1.1.11',
    '2.25.329800735698586629295641978511506172918',
  ])('OID %s is read back', (dotted) => {
    expect(derOid(content(oid(dotted)), 'oid')).toBe(dotted);
  });

  test('every OID is read back', () => {
    const arcs = fc.array(fc.bigInt({ min: 0n, max: 2n ** 70n }), { maxLength: 5 });
    fc.assert(
      fc.property(fc.constantFrom(0, 1, 2), fc.integer({ min: 0, max: 39 }), arcs, (top, second, others) => {
        const dotted = [top, second, ...others].join('.');
        expect(derOid(content(oid(dotted)), 'oid')).toBe(dotted);
      }),
    );
  });

  test('an OID that is empty, cut short, padded or too long is refused', () => {
    for (const bad of ['', '2a86', '2a8001', '8001', '2a'.repeat(65)]) {
      expect(() => derOid(hex(bad), 'oid')).toThrow(MalformedError);
    }
    expect(() => derOid(hex('2a'.repeat(64)), 'oid')).not.toThrow();
  });

  test('NULL is empty', () => {
    expect(() => derNull(hex(''), 'null')).not.toThrow();
    expect(() => derNull(hex('00'), 'null')).toThrow(MalformedError);
  });

  test('a BIT STRING of bytes has no unused bits', () => {
    expect(derWholeBits(content(bits(hex('aabb'))), 'bits').toString('hex')).toBe('aabb');
    for (const bad of ['', '01aa', '07aa', '08aa'])
      expect(() => derWholeBits(hex(bad), 'bits')).toThrow(MalformedError);
  });

  test('named bits come in order, and unused ones are zero', () => {
    expect(derNamedBits(hex('05a0'), 9, 'bits')).toEqual([true, false, true]);
    expect(derNamedBits(hex('070080'), 9, 'bits')).toEqual([...Array.from({ length: 8 }, () => false), true]);
    expect(derNamedBits(hex('00'), 9, 'bits')).toEqual([]);
    for (const bad of ['', '01', '0801', '0103', '05a1', '00ffffff']) {
      expect(() => derNamedBits(hex(bad), 9, 'bits')).toThrow(MalformedError);
    }
  });
});

describe('times', () => {
  const utc = (text: string) => derUtcTime(Buffer.from(text), 'time');
  const generalized = (text: string) => derGeneralizedTime(Buffer.from(text), 'time');

  test('UTCTime is of 1950 to 2049', () => {
    expect(utc('491231235959Z')).toBe(Date.UTC(2049, 11, 31, 23, 59, 59));
    expect(utc('500101000000Z')).toBe(Date.UTC(1950, 0, 1));
    expect(utc('240229120000Z')).toBe(Date.UTC(2024, 1, 29, 12));
  });

  test('GeneralizedTime reaches from year 0 to the last second of 9999', () => {
    expect(generalized('99991231235959Z')).toBe(253402300799000);
    expect(generalized('00010101000000Z')).toBe(-62135596800000);
    expect(generalized('20500101000000Z')).toBe(Date.UTC(2050, 0, 1));
  });

  test.each([
    '',
    '2402291200Z',
    '240229120000',
    '240229120000z',
    '240229120000+0000',
    '2402291200000Z',
    ' 40229120000Z',
    '230229120000Z',
    '240230120000Z',
    '241301000000Z',
    '240001000000Z',
    '240100000000Z',
    '240132000000Z',
    '240101240000Z',
    '240101006000Z',
    '240101000060Z',
  ])('UTCTime %j is refused', (text) => {
    expect(() => utc(text)).toThrow(MalformedError);
  });

  test.each([
    '',
    '99991231235959',
    '99991231235959.5Z',
    '999912312359Z',
    '20230229000000Z',
    '99991231235960Z',
    '20240101000000+0100',
    '240229120000Z',
  ])('GeneralizedTime %j is refused', (text) => {
    expect(() => generalized(text)).toThrow(MalformedError);
  });

  test('every second is read back', () => {
    const seconds = fc.integer({ min: Date.UTC(1950, 0, 1) / 1000, max: 253402300799 });
    fc.assert(
      fc.property(seconds, (second) => {
        const { tag, content: text } = new DerReader(time(second * 1000)).any('time');
        expect(tag === TAG.utcTime ? derUtcTime(text, 't') : derGeneralizedTime(text, 't')).toBe(second * 1000);
      }),
    );
  });
});

/** Runs it; what it throws must be MalformedError. */
function onlyMalformed(run: () => void): void {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedError);
  }
}
