import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fromBase64url, toBase64url } from '../../src/bytes/base64url.js';
import { canonicalJson, type Json } from '../../src/bytes/canonical-json.js';
import { equalBytes } from '../../src/bytes/equal.js';
import { fromHex, toHex } from '../../src/bytes/hex.js';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { Reader } from '../../src/bytes/reader.js';
import { Writer } from '../../src/bytes/writer.js';

const bytes = fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array));

describe('base64url', () => {
  test('gives back what went in', () => {
    fc.assert(fc.property(bytes, (value) => expect(fromBase64url(toBase64url(value), 'x')).toEqual(value)));
  });

  test('has one spelling for a value: whatever decodes encodes to the same text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('A', 'B', 'a', '0', '-', '_', '+', '/', '=', ' ', '\n') }),
        (text) => {
          let decoded: Buffer;
          try {
            decoded = fromBase64url(text, 'x');
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedError);
            return;
          }
          expect(toBase64url(decoded)).toBe(text);
        },
      ),
    );
  });

  test.each(['QQ==', 'QR', 'Q', 'QUI=', '+/', ' QQ', 'QQ\n', 'Q Q'])('refuses %j', (text) => {
    expect(() => fromBase64url(text, 'field')).toThrow('field: not canonical base64url without padding');
  });
});

describe('hex', () => {
  test('gives back what went in', () => {
    fc.assert(fc.property(bytes, (value) => expect(fromHex(toHex(value), 'x')).toEqual(value)));
  });

  test('is lower-case and whole bytes', () => {
    for (const text of ['0', 'AB', '0x00', 'zz', ' 00', '00\n'])
      expect(() => fromHex(text, 'x')).toThrow(MalformedError);
  });
});

describe('canonical JSON', () => {
  test('sorts members by UTF-16 code units and escapes as RFC 8785 does', () => {
    const value = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '1': 'One',
      '\ud83d\ude00': 'Smiley',
      '\u0080': 'Control',
    };
    expect(canonicalJson(value).toString('utf8')).toBe(
      '{"\\r":"Carriage Return","1":"One","\u0080":"Control","\u20ac":"Euro Sign","\ud83d\ude00":"Smiley"}',
    );
  });

  test.each([[1.5], [2 ** 53], [NaN], [Infinity], ['\ud800']] as Json[])(
    'refuses %j, which has no one spelling',
    (value) => {
      expect(() => canonicalJson({ value })).toThrow(MalformedError);
    },
  );

  test('leaves out members that are undefined', () => {
    expect(canonicalJson({ b: undefined, a: 1 }).toString()).toBe('{"a":1}');
  });
});

describe('the reader', () => {
  test('reads what the writer wrote', () => {
    const written = new Writer()
      .u8(1)
      .u16be(2)
      .u32be(3)
      .u64be(4n)
      .sized16(Buffer.from('five'))
      .bytes(Buffer.from('6'))
      .finish();
    const reader = new Reader(written);
    expect([reader.u8('a'), reader.u16be('b'), reader.u32be('c'), reader.u64be('d')]).toEqual([1, 2, 3, 4n]);
    expect(reader.sized16(4, 'e').toString()).toBe('five');
    expect(reader.take(1, 'f').toString()).toBe('6');
    reader.end('structure');
  });

  test('names the field that is cut short, the size that is too large, and what trails', () => {
    expect(() => new Reader(Buffer.alloc(3)).u32be('magic')).toThrow('magic: needs 4 bytes, 3 are left');
    expect(() => new Reader(Buffer.from([0, 5, 0, 0, 0, 0, 0])).sized16(4, 'data')).toThrow(
      'data: size 5 is over the maximum of 4',
    );
    expect(() => new Reader(Buffer.alloc(1)).end('TPMS_ATTEST')).toThrow('TPMS_ATTEST: 1 trailing bytes');
  });

  test('reads, and the writer writes, little-endian where a format says so', () => {
    const written = new Writer().u16le(1).u32le(2).u64le(3n).finish();
    expect(written.toString('hex')).toBe('0100020000000300000000000000');
    const reader = new Reader(written);
    expect([reader.u16le('a'), reader.u32le('b'), reader.u64le('c')]).toEqual([1, 2, 3n]);
    expect(() => new Reader(Buffer.alloc(7)).u64le('tcb')).toThrow('tcb: needs 8 bytes, 7 are left');
  });
});

describe('equality of bytes', () => {
  test('is no prefix match and takes no padding', () => {
    expect(equalBytes(Buffer.from('ab'), Buffer.from('ab'))).toBe(true);
    expect(equalBytes(Buffer.from('ab'), Buffer.from('ab\0'))).toBe(false);
    expect(equalBytes(Buffer.from('ab'), Buffer.from('ac'))).toBe(false);
    expect(equalBytes(Buffer.alloc(0), Buffer.from('a'))).toBe(false);
  });
});
