import { describe, expect, test } from '@jest/globals';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { explainTdx } from '../../../src/evidence/tdx/explain.js';
import { flipped, quoteOf, REPORT_DATA, td } from './td-world.js';

const fieldsOf = (quote: Buffer) => explainTdx({ quote }).flatMap(({ fields }) => fields);
const wrongIn = (quote: Buffer) =>
  fieldsOf(quote)
    .filter(({ wrong }) => wrong === true)
    .map(({ name, note }) => `${name}: ${String(note)}`);

describe('a quote for a person', () => {
  test('says what is in it, and nothing wrong of a good one', () => {
    const quote = quoteOf({ version: 5 });
    expect(wrongIn(quote)).toEqual([]);
    const values = new Map(fieldsOf(quote).map(({ name, value }) => [name, value]));
    expect(values.get('MRTD')).toBe(td().report(REPORT_DATA).mrTd.toString('hex'));
    expect(values.get('FMSPC')).toBe('50434c000001');
    expect(values.get('MRSERVICETD')).toBe('48 zero bytes');
    expect(values.get('leaf')).toBe('Intel SGX PCK Certificate');
    expect(explainTdx({ quote }).map(({ title }) => title)).toEqual([
      'TDX quote',
      'Trust domain (TD report, TD1.5)',
      'Quoting enclave',
      'Platform (PCK certificate)',
      'Certificates',
    ]);
  });

  test.each([
    [
      'debug',
      quoteOf({ body: { tdAttributes: Buffer.from('0100000000000000', 'hex') } }),
      'TDATTRIBUTES: debug: tdx.debug',
    ],
    [
      'an unknown attribute',
      quoteOf({ body: { tdAttributes: Buffer.from('0001000000000000', 'hex') } }),
      'TDATTRIBUTES: unknown 0x100: tdx.attributes',
    ],
    [
      'a service TD',
      quoteOf({ version: 5, body: { mrServiceTd: Buffer.alloc(48, 1) } }),
      'MRSERVICETD: a service TD is bound: refused unless it is expected',
    ],
    [
      'a forged report',
      flipped(quoteOf(), 200, 1),
      'signature: tdx.signature: the quote is not signed by its attestation key',
    ],
    [
      'a strange quoting enclave',
      quoteOf({ qe: { reportData: Buffer.alloc(64) } }),
      'signature: tdx.qe: the report of the quoting enclave does not name the attestation key',
    ],
    ['a PCK certificate of nothing', quoteOf({ pck: { fmspc: Buffer.alloc(1) } }), 'SGX extension: FMSPC: not 6 bytes'],
  ])('says what is wrong: %s', (_, quote, expected) => {
    expect(wrongIn(quote)).toEqual([expected]);
  });

  test('names a certificate that does not parse where it stands', () => {
    const quote = quoteOf({}, { certificates: [Buffer.from('00', 'hex'), ...td().certificates.slice(1)] });
    expect(wrongIn(quote).map((text) => text.replace(/: .*/, ''))).toEqual(['signature', 'SGX extension', 'leaf']);
  });

  test('tells that bytes stand behind it', () => {
    const field = fieldsOf(quoteOf({}, { trailing: Buffer.alloc(5) })).find(({ name }) => name === 'trailing bytes');
    expect(field).toMatchObject({ value: '5', note: 'nothing signs them; they are ignored' });
  });

  test('which is none is malformed', () => {
    expect(() => explainTdx({ quote: Buffer.alloc(100) })).toThrow(MalformedError);
  });
});
