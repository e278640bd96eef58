import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parseToken } from '../../../src/evidence/authority/token.js';
import { tokenClaims } from '../../../src/evidence/authority/token-claims.js';
import { goodClaims, ISSUER, jws, KEYS, token } from './tokens.js';

const b64 = (text: string) => Buffer.from(text).toString('base64url');
const HEADER = b64('{"alg":"ES384"}');
const CLAIMS = b64(`{"iss":"${ISSUER}"}`);

describe('taking a token apart', () => {
  test('gives algorithm, key id, issuer and claims', () => {
    expect(parseToken(token())).toMatchObject({ alg: 'ES384', kid: 'k', issuer: ISSUER, critical: false });
    expect(parseToken(`${HEADER}.${CLAIMS}.`)).toMatchObject({ kid: undefined, text: `${HEADER}.${CLAIMS}.` });
  });

  test.each([
    ['nothing', ''],
    ['two parts', `${HEADER}.${CLAIMS}`],
    ['four parts', `${HEADER}.${CLAIMS}.AA.AA`],
    ['five parts', `${HEADER}.${CLAIMS}.AA.AA.AA`],
    ['a header that is no base64url', `+${HEADER}.${CLAIMS}.AA`],
    ['claims with padding', `${HEADER}.${CLAIMS}=.AA`],
    ['a signature with unused bits', `${HEADER}.${CLAIMS}.AB`],
    ['white space', ` ${HEADER}.${CLAIMS}.AA`],
    ['a header that is a list', `${b64('[]')}.${CLAIMS}.AA`],
    ['claims that are a text', `${HEADER}.${b64('"x"')}.AA`],
    ['claims that are null', `${HEADER}.${b64('null')}.AA`],
    ['no algorithm', `${b64('{}')}.${CLAIMS}.AA`],
    ['a number for an algorithm', `${b64('{"alg":1}')}.${CLAIMS}.AA`],
    ['a number for a key id', `${b64('{"alg":"ES384","kid":1}')}.${CLAIMS}.AA`],
    ['the same claim twice', `${HEADER}.${b64('{"iss":"a","iss":"b"}')}.AA`],
    ['the same claim twice, once escaped', `${HEADER}.${b64('{"iss":"a","\\u0069ss":"b"}')}.AA`],
    ['no issuer', `${HEADER}.${b64('{}')}.AA`],
    ['a list of issuers', `${HEADER}.${b64('{"iss":["a"]}')}.AA`],
    ['claims that are no UTF-8', `${HEADER}.${Buffer.from('{"iss":"\xff"}', 'latin1').toString('base64url')}.AA`],
  ])('%s is malformed', (_name, text) => {
    expect(() => parseToken(text)).toThrow(MalformedError);
  });

  test('bounds every part', () => {
    const padded = (length: number) => b64(`{"iss":"x","a":"${'a'.repeat(length)}"}`);
    const claims = (characters: number) => {
      const rest = characters - HEADER.length - 2;
      return `${HEADER}.${padded(Math.floor((rest * 3) / 4) - 18)}.`;
    };
    expect(claims(65_536)).toHaveLength(65_536);
    expect(parseToken(claims(65_536)).issuer).toBe('x');
    expect(() => parseToken(claims(65_540))).toThrow(/longer than 65536/);
    const header = (length: number) => `${b64(`{"alg":"ES384","x":"${'x'.repeat(length - 22)}"}`)}.${CLAIMS}.`;
    expect(parseToken(header(12_288)).alg).toBe('ES384');
    expect(() => parseToken(header(12_291))).toThrow(/header or signature too long/);
    expect(() => parseToken(`${HEADER}.${CLAIMS}.${'A'.repeat(2052)}`)).toThrow(/header or signature too long/);
    const named = (kid: string, iss: string) => jws({ alg: 'ES384', kid }, goodClaims({ iss }), KEYS.p384, 'ES384');
    expect(parseToken(named('k'.repeat(512), 'i'.repeat(512))).issuer).toHaveLength(512);
    expect(() => parseToken(named('k'.repeat(513), 'i'))).toThrow(/kid/);
    expect(() => parseToken(named('k', 'i'.repeat(513)))).toThrow(/iss/);
  });

  test('bounds the depth of claims', () => {
    const nested = (depth: number) =>
      `${HEADER}.${b64(`{"iss":"x","a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`)}.`;
    expect(tokenClaims(parseToken(nested(16)).claims)).toBeDefined();
    expect(() => parseToken(nested(17))).toThrow(/deeper/);
  });

  test('cut short anywhere is malformed, or without its whole signature', () => {
    const text = token();
    const signed = text.lastIndexOf('.');
    for (let length = 0; length <= signed; length++) {
      expect(() => parseToken(text.slice(0, length))).toThrow(MalformedError);
    }
  });

  test('makes nothing but a malformed error of any text', () => {
    const part = fc.oneof(
      fc.jsonValue().map((value) => b64(JSON.stringify(value))),
      fc.string(),
      fc.constant(HEADER),
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(part, { maxLength: 5 }).map((parts) => parts.join('.')),
    );
    fc.assert(
      fc.property(text, (input) => {
        try {
          tokenClaims(parseToken(input).claims);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
