import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { MAX_CRL_BYTES, MAX_CRL_ENTRIES, parseCrl } from '../../src/crypto/x509-crl.js';
import { parseSpki } from '../../src/crypto/x509-key.js';
import { signatureScheme, verifyScheme } from '../../src/crypto/x509-signature.js';
import { algorithmId, authorityKeyId, crl, ecKey, extension, NOW, type CrlSpec } from '../helpers/pki.js';
import { bits, bool, context, int, nameOf, nil, octets, oid, primitive, seq, time, tlv } from '../helpers/pki-der.js';

const key = ecKey();
const made = (spec: Partial<CrlSpec> = {}) => crl({ issuer: 'ca', signer: key, ...spec });
const parsing = (der: Buffer) => () => parseCrl(der);
const reason = (code: number) => extension('2.5.29.21', false, tlv(0x0a, Buffer.of(code)));
const idp = (...fields: readonly Buffer[]) => made({ extensions: [extension('2.5.29.28', true, seq(...fields))] });
const on = (bit: number, value = true) => primitive(bit, Buffer.of(value ? 0xff : 0));
const oneEntry = (...extensions: readonly Buffer[]) => made({ revoked: [{ serial: 1, extensions }] });

/** A CRL around entries that are written by the test; its signature is none. */
function around(...entries: readonly Buffer[]): Buffer {
  const algorithm = algorithmId('ecdsa-sha256');
  const list = tlv(0x30, Buffer.concat(entries));
  const tbs = seq(int(1), algorithm, nameOf('ca'), time(NOW), time(NOW), list);
  return seq(tbs, algorithm, bits(Buffer.alloc(8)));
}

describe('a CRL', () => {
  test('is read whole, and finds serials', () => {
    const big = 2n ** 159n + 5n;
    const der = made({
      revoked: [{ serial: 1 }, { serial: 0x80 }, { serial: big, extensions: [reason(1)] }, { serial: 0 }],
      extensions: [authorityKeyId(Buffer.of(7)), extension('2.5.29.20', false, int(0x1234))],
    });
    const parsed = parseCrl(der);
    expect(parsed).toMatchObject({
      entries: 4,
      crlNumber: '1234',
      authorityKeyId: Buffer.of(7),
      thisUpdateMs: NOW - 86_400_000,
      nextUpdateMs: NOW + 86_400_000,
    });
    expect(['01', '80', big.toString(16), '00'].map(parsed.lists)).toEqual([true, true, true, true]);
    expect(['02', '0080', '', `${big.toString(16)}00`].map(parsed.lists)).toEqual([false, false, false, false]);
    const scheme = signatureScheme(parsed.signatureAlgorithm)!;
    expect(verifyScheme(scheme, parseSpki(key.spki), parsed.tbs, parsed.signature)).toBe(true);
  });

  test('may list nothing, and may be v1 without extensions', () => {
    expect(parseCrl(made()).entries).toBe(0);
    expect(parseCrl(made({ version: null, revoked: [{ serial: 5 }] })).lists('05')).toBe(true);
  });

  test('every reason but removal is on the list', () => {
    for (const code of [0, 1, 2, 3, 4, 5, 6, 9, 10]) expect(parseCrl(oneEntry(reason(code))).lists('01')).toBe(true);
    for (const code of [8, 11, 255]) expect(parsing(oneEntry(reason(code)))).toThrow(MalformedError);
  });

  test('an entry extension that is unknown and not critical is passed over', () => {
    const dated = extension('2.5.29.24', false, time(NOW));
    expect(parseCrl(oneEntry(dated, reason(1), seq(oid('1.2.3'), bool(false), octets(nil())))).lists('01')).toBe(true);
  });

  test('its scope is what the issuingDistributionPoint says', () => {
    expect(parseCrl(made()).scope).toEqual({ distributionPoints: undefined, only: undefined });
    expect(parseCrl(idp(on(1))).scope.only).toBe('leaves');
    expect(parseCrl(idp(on(2), on(4, false))).scope.only).toBe('authorities');
    const named = idp(context(0, context(0, primitive(6, Buffer.from('http://a/')), primitive(2, Buffer.from('b')))));
    expect(parseCrl(named).scope.distributionPoints).toEqual(['http://a/']);
    expect(parseCrl(idp(context(0, context(1, oid('1.2'))))).scope.distributionPoints).toEqual([]);
  });

  test.each<[string, Buffer, string]>([
    ['v3', made({ version: 2 }), 'version'],
    ['another algorithm inside', made({ innerAlgorithm: algorithmId('ecdsa-sha512') }), 'signature'],
    ['another algorithm outside', made({ outerAlgorithm: algorithmId('ecdsa-sha512') }), 'signature'],
    ['no nextUpdate', made({ nextUpdate: null }), 'nextUpdate: missing'],
    ['a delta indicator', made({ extensions: [extension('2.5.29.27', true, int(1))] }), 'a delta CRL'],
    [
      'a delta indicator that is not critical',
      made({ extensions: [extension('2.5.29.27', false, int(1))] }),
      'a delta CRL',
    ],
    ['an unknown critical extension', made({ extensions: [extension('1.2.3', true, nil())] }), 'critical'],
    ['an extension twice', made({ extensions: [authorityKeyId(Buffer.of(7)), authorityKeyId(Buffer.of(7))] }), 'twice'],
    ['extensions in v1', made({ version: null, extensions: [authorityKeyId(Buffer.of(7))] }), 'v1'],
    ['entry extensions in v1', made({ version: null, revoked: [{ serial: 1, extensions: [reason(1)] }] }), 'v1'],
    ['entries of other issuers', idp(on(4)), 'indirect'],
    ['some reasons only', idp(primitive(3, Buffer.of(5, 0x20))), 'some reasons'],
    ['attribute certificates only', idp(on(5)), 'no certificates'],
    ['both leaves and CAs only', idp(on(1), on(2)), 'no certificates'],
    [
      'a certificateIssuer in an entry',
      oneEntry(extension('2.5.29.29', true, seq(context(4, nameOf('x'))))),
      'critical',
    ],
    ['an unknown critical extension in an entry', oneEntry(reason(1), extension('1.2.3', true, nil())), 'critical'],
    ['an empty list of entries', around(), 'revoked certificate'],
    ['an entry with something behind', around(seq(int(1), time(NOW), nil())), 'crlEntryExtensions'],
    [
      'an entry with something behind its extensions',
      around(seq(int(1), time(NOW), seq(reason(1)), nil())),
      'trailing',
    ],
    ['an entry with an empty list of extensions', around(seq(int(1), time(NOW), seq())), 'crlEntryExtension'],
    [
      'an entry of nine extensions',
      around(seq(int(1), time(NOW), seq(...Array.from({ length: 9 }, () => reason(1))))),
      'too many',
    ],
    ['an entry without date', around(seq(int(1))), 'revocationDate'],
    ['an entry with a date that is none', around(seq(int(1), tlv(0x17, Buffer.alloc(12)))), 'revocationDate'],
    ['a negative serial', around(seq(tlv(2, Buffer.of(0x80)), time(NOW))), 'userCertificate'],
    ['an empty serial', around(seq(tlv(2), time(NOW))), 'userCertificate'],
    ['a serial that is not minimal', around(seq(tlv(2, Buffer.of(0, 1)), time(NOW))), 'userCertificate'],
    ['a serial of 21 bytes', around(seq(int(2n ** 160n), time(NOW))), 'userCertificate'],
    ['an entry of another type', around(octets(int(1), time(NOW))), 'revoked certificate'],
    [
      'a length in an entry that is not minimal',
      around(Buffer.from('308112', 'hex'), int(1), time(NOW)),
      'revoked certificate',
    ],
    ['an indefinite length in an entry', around(Buffer.from('3080', 'hex'), int(1), time(NOW)), 'revoked certificate'],
    [
      'a critical flag that is no BOOLEAN',
      around(seq(int(1), time(NOW), seq(seq(oid('1.2'), tlv(1), octets())))),
      'critical',
    ],
  ])('with %s is refused', (_, der, message) => {
    expect(parsing(der)).toThrow(MalformedError);
    expect(parsing(der)).toThrow(message);
  });

  test('every proper prefix and a trailing byte are refused', () => {
    const der = made({ revoked: [{ serial: 1, extensions: [reason(1)] }], extensions: [authorityKeyId(Buffer.of(7))] });
    for (let length = 0; length < der.length; length++)
      expect(parsing(der.subarray(0, length))).toThrow(MalformedError);
    expect(parsing(Buffer.concat([der, Buffer.of(0)]))).toThrow('CRL: trailing bytes');
  });

  test('a hundred thousand entries are read, one more is not; neither are more than 4 MiB', () => {
    const entries = Array.from({ length: MAX_CRL_ENTRIES }, (_, index) => seq(int(index), time(NOW)));
    const parsed = parseCrl(around(...entries));
    expect(parsed.entries).toBe(MAX_CRL_ENTRIES);
    expect(parsed.lists('01869f')).toBe(true);
    expect(parsing(around(...entries, seq(int(7), time(NOW))))).toThrow('too many entries');
    expect(parsing(Buffer.alloc(MAX_CRL_BYTES + 1))).toThrow('more than 4194304 bytes');
  });

  test('no input throws anything but MalformedError', () => {
    const der = made({
      revoked: [{ serial: 1, extensions: [reason(1), extension('1.2.3', false, nil())] }, { serial: 2n ** 90n }],
      extensions: [authorityKeyId(Buffer.of(7)), extension('2.5.29.28', true, seq(on(1)))],
    });
    const edits = fc.array(fc.tuple(fc.nat(der.length - 1), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), edits), (input) => {
        const bytes = input instanceof Uint8Array ? Buffer.from(input) : Buffer.from(der);
        if (!(input instanceof Uint8Array)) for (const [at, byte] of input) bytes[at] = byte;
        try {
          parseCrl(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
