import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from '@jest/globals';
import { Pseudonyms, verifyPseudonym } from '../../src/translog/names.js';

const KEY = Buffer.alloc(32, 7);
const pseudonyms = new Pseudonyms(KEY);

describe('the pseudonym of a name', () => {
  test('is SHA-256 over a salt of 16 bytes and the name; the salt an HMAC over kind and name', () => {
    const field = (text: string) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.byteLength(text));
      return Buffer.concat([length, Buffer.from(text)]);
    };
    for (const name of ['llm', 'Weights', '', 'ü鍵']) {
      const input = Buffer.concat([Buffer.from([0, 0, 0, 2]), field('key'), field(name)]);
      const salt = createHmac('sha256', KEY).update(input).digest().subarray(0, 16);
      expect(pseudonyms.salt('key', name)).toEqual(salt);
      const value = createHash('sha256').update(salt).update(name).digest('hex');
      expect(pseudonyms.of('key', name)).toEqual({ value, salt });
      expect(verifyPseudonym(value, name, salt)).toBe(true);
    }
  });

  test('is always the same, whether it is remembered or not', () => {
    const first = pseudonyms.of('deployment', 'llm');
    for (let at = 0; at < 5000; at++) pseudonyms.of('deployment', `d-${String(at)}`);
    expect(pseudonyms.of('deployment', 'llm')).toEqual(first);
    expect(new Pseudonyms(KEY).of('deployment', 'llm')).toEqual(first);
  });

  test('is another one for another kind, another spelling, another key', () => {
    const values = [
      pseudonyms.of('deployment', 'llm'),
      pseudonyms.of('key', 'llm'),
      pseudonyms.of('key', 'LLM'),
      pseudonyms.of('attester', 'llm'),
      new Pseudonyms(Buffer.alloc(32, 8)).of('deployment', 'llm'),
    ];
    expect(new Set(values.map(({ value }) => value)).size).toBe(values.length);
    expect(new Set(values.map(({ salt }) => salt.toString('hex'))).size).toBe(values.length);
  });

  test('is shown by the name and its salt, and by nothing else', () => {
    const { value, salt } = pseudonyms.of('key', 'weights');
    expect(verifyPseudonym(value, 'Weights', salt)).toBe(false);
    expect(verifyPseudonym(value, 'weights', pseudonyms.salt('deployment', 'weights'))).toBe(false);
    expect(verifyPseudonym(value.toUpperCase(), 'weights', salt)).toBe(false);
    expect(verifyPseudonym('', 'weights', salt)).toBe(false);
    for (let length = 0; length <= 32; length++) {
      const cut = Buffer.concat([salt, Buffer.alloc(16)]).subarray(0, length);
      expect(verifyPseudonym(value, 'weights', cut)).toBe(length === 16);
    }
  });

  test('does not take bytes of the name for bytes of the salt', () => {
    const { value, salt } = pseudonyms.of('key', 'weights');
    const longer = Buffer.concat([salt, Buffer.from('w')]);
    expect(verifyPseudonym(value, 'eights', longer)).toBe(false);
  });

  test('never coincides for two names', () => {
    const name = fc.string({ maxLength: 8 });
    fc.assert(
      fc.property(name, name, (a, b) => {
        const same = pseudonyms.of('key', a).value === pseudonyms.of('key', b).value;
        expect(same).toBe(Buffer.from(a).equals(Buffer.from(b)));
      }),
    );
  });

  test.each([0, 16, 31, 33])('needs a key of 32 bytes, not %d', (length) => {
    expect(() => new Pseudonyms(Buffer.alloc(length))).toThrow(RangeError);
  });

  test('does not change when the caller overwrites the key', () => {
    const key = Buffer.from(KEY);
    const own = new Pseudonyms(key);
    key.fill(0);
    expect(own.of('key', 'weights')).toEqual(pseudonyms.of('key', 'weights'));
  });
});
