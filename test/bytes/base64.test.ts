import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fromBase64, toBase64 } from '../../src/bytes/base64.js';
import { MalformedError } from '../../src/bytes/malformed-error.js';

describe('base64 with padding', () => {
  /** RFC 4648, section 10. */
  test.each([
    ['', ''],
    ['f', 'Zg=='],
    ['fo', 'Zm8='],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg=='],
    ['fooba', 'Zm9vYmE='],
    ['foobar', 'Zm9vYmFy'],
  ])('of %j is %j', (text, encoded) => {
    expect(toBase64(Buffer.from(text))).toBe(encoded);
    expect(fromBase64(encoded, 'x')).toEqual(Buffer.from(text));
  });

  test('gives back what went in, from a view of a larger array too', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat({ max: 100 }), (array, from) => {
        const view = array.subarray(from);
        expect(fromBase64(toBase64(view), 'x')).toEqual(Buffer.from(view));
      }),
    );
  });

  test('has one spelling for a value: whatever decodes encodes to the same text, and nothing else is thrown', () => {
    const unit = fc.constantFrom('A', 'B', 'a', '0', '-', '_', '+', '/', '=', ' ', '\n', '\0', '\ud800', '\u00c1');
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 12 }), (text) => {
        let decoded: Buffer;
        try {
          decoded = fromBase64(text, 'x');
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
          return;
        }
        expect(toBase64(decoded)).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });

  test('every text of up to four characters is refused, unless it is what some bytes encode to', () => {
    const alphabet = ['A', 'Q', 'g', '/', '-', '=', ' '];
    const canonical = new Set<string>();
    for (let byte = 0; byte < 256; byte++) {
      canonical.add(Buffer.of(byte).toString('base64'));
      for (let next = 0; next < 256; next++) canonical.add(Buffer.of(byte, next).toString('base64'));
    }
    let texts = [''];
    for (let length = 0; length <= 4; length++) {
      for (const text of texts) {
        let accepted = true;
        try {
          fromBase64(text, 'x');
        } catch {
          accepted = false;
        }
        // Every four characters of the alphabet are what some three bytes encode to.
        const expected = text === '' || /^[AQg/]{4}$/.test(text) || canonical.has(text);
        expect([text, accepted]).toEqual([text, expected]);
      }
      texts = texts.flatMap((text) => alphabet.map((character) => text + character));
    }
  });

  test.each(['QQ', 'QQ=', 'QR==', 'Q', 'Q===', 'QUI', 'QUJ=', '-_==', ' QQ==', 'QQ==\n', 'Q Q==', 'QQ==QQ==', '===='])(
    'refuses %j',
    (text) => {
      expect(() => fromBase64(text, 'field')).toThrow('field: not canonical base64 with padding');
    },
  );
});
