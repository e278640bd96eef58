import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { MAX_CERTIFICATE_BYTES, parseCertificate } from '../../src/crypto/x509.js';
import { parseSpki } from '../../src/crypto/x509-key.js';
import { COMMON_NAME, onlyAttribute } from '../../src/crypto/x509-name.js';
import { signatureScheme, verifyScheme } from '../../src/crypto/x509-signature.js';
import {
  algorithmId,
  authorityKeyId,
  basicConstraints,
  certificate,
  crlDistributionPoint,
  ecKey,
  extendedKeyUsage,
  extension,
  keyUsage,
  NOT_AFTER,
  NOT_BEFORE,
  pssAlgorithm,
  rsaKey,
  subjectAltName,
  subjectKeyId,
  type Algorithm,
  type CertificateSpec,
} from '../helpers/pki.js';
import {
  bits,
  bool,
  context,
  int,
  nameOf,
  nil,
  octets,
  oid,
  primitive,
  printable,
  seq,
  set,
  time,
  tlv,
  utf8String,
} from '../helpers/pki-der.js';

const ec = ecKey();
const rsa = rsaKey();
const ID = Buffer.alloc(20, 7);

const made = (spec: Partial<CertificateSpec> = {}) =>
  certificate({ subject: 'leaf', issuer: 'ca', key: ec, signer: ec, ...spec });
const withExtensions = (...extensions: readonly Buffer[]) => made({ extensions });
const parsing = (der: Buffer) => () => parseCertificate(der);

const FULL = [
  basicConstraints(true, 3),
  keyUsage(5, 6),
  extendedKeyUsage(['2.23.133.8.1', '2.23.133.8.3']),
  subjectKeyId(ID),
  authorityKeyId(Buffer.alloc(32, 9)),
  subjectAltName(true, seq(set(seq(oid('2.23.133.2.1'), utf8String('id:474F4F47'))))),
  crlDistributionPoint('http://crl.example/1.crl'),
  extension('1.3.6.1.4.1.3704.1.1', false, Buffer.of(1, 2, 3)),
];

describe('a certificate', () => {
  test('is read whole', () => {
    const der = made({ serial: 0xff00n, extensions: FULL });
    const parsed = parseCertificate(der);
    expect(parsed).toMatchObject({
      serial: 'ff00',
      notBeforeMs: NOT_BEFORE,
      notAfterMs: NOT_AFTER,
      spki: ec.spki,
      basicConstraints: { ca: true, pathLength: 3 },
      keyUsage: ['keyCertSign', 'cRLSign'],
      extendedKeyUsage: ['2.23.133.8.1', '2.23.133.8.3'],
      subjectKeyId: ID,
      authorityKeyId: Buffer.alloc(32, 9),
      crlDistributionPoints: ['http://crl.example/1.crl'],
      signatureAlgorithm: algorithmId('ecdsa-sha256'),
    });
    expect(parsed.issuer.der).toEqual(nameOf('ca'));
    expect(onlyAttribute(parsed.subject.attributes, COMMON_NAME)).toBe('leaf');
    expect(parsed.directoryNames?.[0]?.attributes).toEqual([{ oid: '2.23.133.2.1', value: 'id:474F4F47' }]);
    expect([...parsed.extensions.values()].map(({ critical }) => critical)).toEqual([
      true,
      true,
      false,
      false,
      false,
      true,
      false,
      false,
    ]);
    expect(parsed.extensions.get('1.3.6.1.4.1.3704.1.1')?.value).toEqual(Buffer.of(1, 2, 3));
    const scheme = signatureScheme(parsed.signatureAlgorithm)!;
    expect(verifyScheme(scheme, parsed.publicKey(), parsed.tbs, parsed.signature)).toBe(true);
  });

  test('without extensions has none', () => {
    expect(parseCertificate(made())).toMatchObject({ basicConstraints: undefined, keyUsage: undefined });
  });

  test('a serial of zero and one of 20 bytes are read, without sign byte', () => {
    expect(parseCertificate(made({ serial: 0 })).serial).toBe('00');
    expect(parseCertificate(made({ serial: 2n ** 160n - 1n })).serial).toBe('ff'.repeat(20));
  });

  test('a criticality or a cA of FALSE that is written out means the same as none', () => {
    const spelled = seq(oid('2.5.29.19'), bool(false), octets(seq(bool(false))));
    const parsed = parseCertificate(withExtensions(spelled));
    expect(parsed.basicConstraints).toEqual({ ca: false });
    expect(parsed.extensions.get('2.5.29.19')?.critical).toBe(false);
  });

  test('a subject of no names, or of an empty RDN, has no attributes', () => {
    expect(parseCertificate(made({ subject: '' })).subject.attributes).toEqual([]);
    expect(parseCertificate(made({ subject: seq(set()) })).subject.attributes).toEqual([]);
  });

  test('the end of no end is read', () => {
    expect(parseCertificate(made({ notAfter: Date.UTC(9999, 11, 31, 23, 59, 59) })).notAfterMs).toBe(253402300799000);
  });

  const tenth = (index: number) => extension(`1.2.3.${String(index)}`, false, Buffer.of(index));
  test('40 extensions are read, 41 are not', () => {
    const extensions = Array.from({ length: 41 }, (_, index) => tenth(index));
    expect(parseCertificate(withExtensions(...extensions.slice(0, 40))).extensions.size).toBe(40);
    expect(parsing(withExtensions(...extensions))).toThrow('extensions: too many extensions');
  });

  test('8192 bytes are read, one more is not', () => {
    const sized = (bytes: number) =>
      made({ signer: rsa, algorithm: 'rsassa-sha256', extensions: [extension('1.2.3', false, Buffer.alloc(bytes))] });
    const room = 6000 + MAX_CERTIFICATE_BYTES - sized(6000).length;
    expect(sized(room)).toHaveLength(MAX_CERTIFICATE_BYTES);
    expect(parsing(sized(room))).not.toThrow();
    expect(parsing(sized(room + 1))).toThrow('more than 8192 bytes');
  });

  test.each<[string, Buffer, string]>([
    ['v1', made({ version: 0 }), 'version'],
    ['v2', made({ version: 1 }), 'version'],
    ['v4', made({ version: 3 }), 'version'],
    ['a negative serial', made({ serial: Buffer.of(0x80) }), 'serialNumber'],
    ['a serial that is not minimal', made({ serial: Buffer.of(0, 1) }), 'serialNumber'],
    ['an empty serial', made({ serial: Buffer.alloc(0) }), 'serialNumber'],
    ['a serial of 21 bytes', made({ serial: 2n ** 160n }), 'serialNumber'],
    ['another algorithm inside', made({ innerAlgorithm: algorithmId('ecdsa-sha384') }), 'signature'],
    ['another algorithm outside', made({ outerAlgorithm: algorithmId('ecdsa-sha384') }), 'signature'],
    ['a time of no form', made({ notBefore: tlv(0x17, Buffer.from('2601010000Z')) }), 'notBefore'],
    ['a time of another type', made({ notAfter: utf8String('261231235959Z') }), 'notAfter'],
    ['a time before which is none', made({ notAfter: Buffer.alloc(0) }), 'notAfter'],
    [
      'unique identifiers',
      made({ beforeExtensions: primitive(1, Buffer.of(0, 1)), extensions: FULL }),
      'tbsCertificate',
    ],
    ['an empty list of extensions', made({ extensions: [] }), 'extension'],
    ['an extension twice', withExtensions(keyUsage(0), keyUsage(0)), 'twice'],
    ['an unknown extension twice', withExtensions(tenth(1), tenth(1)), 'twice'],
    ['an extension with something behind', withExtensions(seq(oid('1.2.3'), octets(nil()), nil())), 'extension'],
    [
      'an RDN attribute with something behind',
      made({ subject: seq(set(seq(oid(COMMON_NAME), printable('x'), nil()))) }),
      'subject',
    ],
    [
      'a name with invalid UTF-8',
      made({ subject: seq(set(seq(oid(COMMON_NAME), tlv(0x0c, Buffer.of(0xff))))) }),
      'subject',
    ],
    [
      'a name of 65 attributes',
      made({ subject: seq(...Array.from({ length: 65 }, () => set(seq(oid(COMMON_NAME), printable('x'))))) }),
      'subject',
    ],
    [
      'basicConstraints that are no SEQUENCE',
      withExtensions(extension('2.5.29.19', true, bool(true))),
      'basicConstraints',
    ],
    [
      'basicConstraints with something behind',
      withExtensions(extension('2.5.29.19', true, seq(bool(true), int(1), nil()))),
      'basicConstraints',
    ],
    [
      'a negative pathLenConstraint',
      withExtensions(extension('2.5.29.19', true, seq(bool(true), tlv(2, Buffer.of(0xff))))),
      'pathLenConstraint',
    ],
    [
      'a keyUsage that is no BIT STRING',
      withExtensions(extension('2.5.29.15', true, octets(Buffer.of(1)))),
      'keyUsage',
    ],
    [
      'a keyUsage with set unused bits',
      withExtensions(extension('2.5.29.15', true, bits(Buffer.of(0xff), 1))),
      'keyUsage',
    ],
    ['an empty extKeyUsage', withExtensions(extension('2.5.29.37', false, seq())), 'KeyPurposeId'],
    ['65 purposes', withExtensions(extendedKeyUsage(Array.from({ length: 65 }, () => '1.2.3'))), 'extKeyUsage'],
    ['an empty subjectAltName', withExtensions(extension('2.5.29.17', false, seq())), 'subjectAltName'],
    ['an empty key identifier', withExtensions(subjectKeyId(Buffer.alloc(0))), 'subjectKeyIdentifier'],
    ['a key identifier of 65 bytes', withExtensions(authorityKeyId(Buffer.alloc(65))), 'authorityKeyIdentifier'],
    ['an empty cRLDistributionPoints', withExtensions(extension('2.5.29.31', false, seq())), 'DistributionPoint'],
  ])('with %s is refused', (_, der, field) => {
    expect(parsing(der)).toThrow(MalformedError);
    expect(parsing(der)).toThrow(field);
  });

  test('distribution points of another issuer, for some reasons, or by relative name, are no names of a CRL', () => {
    const uri = context(0, context(0, primitive(6, Buffer.from('u'))));
    const points = [
      seq(uri, primitive(1, Buffer.of(0, 2))),
      seq(uri, context(2, context(4, nameOf('x')))),
      seq(context(0, context(1, oid('1.2')))),
    ];
    expect(
      parseCertificate(withExtensions(extension('2.5.29.31', false, seq(...points)))).crlDistributionPoints,
    ).toEqual([]);
  });

  test('every proper prefix and a trailing byte are refused', () => {
    const der = made({ extensions: FULL });
    for (let length = 0; length < der.length; length++)
      expect(parsing(der.subarray(0, length))).toThrow(MalformedError);
    expect(parsing(Buffer.concat([der, Buffer.of(0)]))).toThrow('Certificate: trailing bytes');
  });

  test('no input throws anything but MalformedError', () => {
    const der = made({ extensions: FULL });
    const position = fc.nat(der.length - 1);
    const edits = fc.array(fc.tuple(position, fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), edits), (input) => {
        const bytes = input instanceof Uint8Array ? Buffer.from(input) : Buffer.from(der);
        if (!(input instanceof Uint8Array)) for (const [at, byte] of input) bytes[at] = byte;
        onlyMalformed(() => parseCertificate(bytes).publicKey());
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the key of a certificate', () => {
  const ecSpki = (curve: string, point: Buffer) => seq(seq(oid('1.2.840.10045.2.1'), oid(curve)), bits(point));
  const rsaSpki = (n: Buffer | bigint, e: number) =>
    seq(seq(oid('1.2.840.113549.1.1.1'), nil()), bits(seq(Buffer.isBuffer(n) ? n : int(n), int(e))));
  const N = 2n ** 2047n + 1n;

  test('RSA of 2048 bits and three curves are read', () => {
    expect(parseSpki(rsa.spki)).toMatchObject({ type: 'rsa', bits: 2048 });
    const curves = ['P-256', 'P-384', 'P-521'].map((curve) => parseSpki(ecKey(curve).spki));
    expect(curves.map((key) => key.type === 'ec' && key.curve)).toEqual(['P-256', 'P-384', 'P-521']);
  });

  test('its bytes are those of the certificate', () => {
    for (const { spki } of [rsa, ec]) expect(parseSpki(spki).key.export({ format: 'der', type: 'spki' })).toEqual(spki);
  });

  test('RSA starts at 2048 bits, ends at 8192, with exponents of 3 to 2^32 - 1', () => {
    expect(parseSpki(rsaSpki(N, 3))).toMatchObject({ bits: 2048 });
    expect(parseSpki(rsaSpki(2n ** 8191n + 1n, 0xffffffff))).toMatchObject({ bits: 8192 });
  });

  test.each<[string, Buffer]>([
    ['RSA of 2047 bits', rsaSpki(2n ** 2046n + 1n, 65537)],
    ['RSA of more than 8192 bits', rsaSpki(2n ** 8192n + 1n, 65537)],
    ['an even modulus', rsaSpki(2n ** 2047n, 65537)],
    ['a negative modulus', rsaSpki(tlv(2, Buffer.alloc(256, 0x81)), 65537)],
    ['an exponent of 1', rsaSpki(N, 1)],
    ['an even exponent', rsaSpki(N, 65536)],
    ['an exponent of more than 32 bits', rsaSpki(N, 2 ** 32 + 1)],
    ['something behind the exponent', seq(seq(oid('1.2.840.113549.1.1.1'), nil()), bits(seq(int(N), int(3), nil())))],
    ['no parameters', seq(seq(oid('1.2.840.113549.1.1.1')), bits(seq(int(N), int(3))))],
    ['a key for PSS alone', seq(seq(oid('1.2.840.113549.1.1.10')), bits(seq(int(N), int(3))))],
    ['another curve', ecSpki('1.3.132.0.10', Buffer.alloc(65, 4))],
    ['a compressed point', ecSpki('1.2.840.10045.3.1.7', Buffer.concat([Buffer.of(2), Buffer.alloc(32, 1)]))],
    ['a point off the curve', ecSpki('1.2.840.10045.3.1.7', Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)]))],
    ['the point of another curve', ecSpki('1.3.132.0.34', ec.spki.subarray(-65))],
    ['Ed25519', seq(seq(oid('1.3.101.112')), bits(Buffer.alloc(32)))],
    ['something behind', Buffer.concat([ec.spki, Buffer.of(0)])],
  ])('%s is refused', (_, spki) => {
    expect(() => parseSpki(spki)).toThrow(MalformedError);
  });
});

describe('signature algorithms', () => {
  const accepted: Algorithm[] = [
    'rsassa-sha256',
    'rsassa-sha384',
    'rsassa-sha512',
    'rsapss-sha256',
    'rsapss-sha384',
    'rsapss-sha512',
    'ecdsa-sha256',
    'ecdsa-sha384',
    'ecdsa-sha512',
  ];

  test.each(accepted)('%s verifies, and not over other bytes or by a key of another type', (algorithm) => {
    const [signer, other] = algorithm.startsWith('ecdsa') ? [ec, rsa] : [rsa, ec];
    const { tbs, signature, signatureAlgorithm } = parseCertificate(made({ signer, algorithm }));
    const scheme = signatureScheme(signatureAlgorithm)!;
    expect(`${scheme.scheme}-${scheme.hash}`).toBe(algorithm);
    expect(verifyScheme(scheme, parseSpki(signer.spki), tbs, signature)).toBe(true);
    expect(verifyScheme(scheme, parseSpki(signer.spki), tbs.subarray(1), signature)).toBe(false);
    expect(verifyScheme(scheme, parseSpki(signer.spki), tbs, signature.subarray(1))).toBe(false);
    expect(verifyScheme(scheme, parseSpki(other.spki), tbs, signature)).toBe(false);
  });

  test('absent RSA parameters are NULL, and a default trailer may be written out', () => {
    expect(signatureScheme(seq(oid('1.2.840.113549.1.1.11')))).toEqual({ scheme: 'rsassa', hash: 'sha256' });
    expect(signatureScheme(pssAlgorithm('sha384', 'sha384', 48, 1))).toEqual({ scheme: 'rsapss', hash: 'sha384' });
  });

  test.each<[string, Buffer]>([
    ['MD5', algorithmId('rsassa-md5')],
    ['SHA-1 with RSA', algorithmId('rsassa-sha1')],
    ['SHA-1 with PSS', algorithmId('rsapss-sha1')],
    ['SHA-1 with ECDSA', algorithmId('ecdsa-sha1')],
    ['Ed25519', seq(oid('1.3.101.112'))],
    ['PSS with the defaults, which are SHA-1', seq(oid('1.2.840.113549.1.1.10'), seq())],
    ['PSS with two hashes', pssAlgorithm('sha256', 'sha384', 32)],
    ['PSS with a shorter salt', pssAlgorithm('sha256', 'sha256', 31)],
    ['PSS with a longer salt', pssAlgorithm('sha256', 'sha256', 33)],
    ['PSS with the default salt', pssAlgorithm('sha256', 'sha256', null)],
    ['PSS with another trailer', pssAlgorithm('sha256', 'sha256', 32, 2)],
  ])('%s is not believed', (_, algorithm) => {
    expect(signatureScheme(algorithm)).toBeUndefined();
  });

  test.each<[string, Buffer]>([
    ['ECDSA with parameters', seq(oid('1.2.840.10045.4.3.2'), nil())],
    ['RSA with parameters that are not NULL', seq(oid('1.2.840.113549.1.1.11'), int(1))],
    ['PSS without parameters', seq(oid('1.2.840.113549.1.1.10'))],
    ['something behind', Buffer.concat([algorithmId('ecdsa-sha256'), nil()])],
  ])('%s is malformed', (_, algorithm) => {
    expect(() => signatureScheme(algorithm)).toThrow(MalformedError);
  });
});

test('a name has the only attribute of a type, or none', () => {
  const attributes = [
    { oid: '1', value: 'a' },
    { oid: '2', value: 'b' },
    { oid: '2', value: 'c' },
    { oid: '3', value: null },
  ];
  expect(['1', '2', '3', '4'].map((type) => onlyAttribute(attributes, type))).toEqual([
    'a',
    undefined,
    undefined,
    undefined,
  ]);
});

test('texts of names are read by their types', () => {
  const value = (der: Buffer) =>
    parseCertificate(made({ subject: seq(set(seq(oid(COMMON_NAME), der))), notAfter: time(NOT_AFTER) })).subject
      .attributes[0]?.value;
  expect(value(utf8String('Zürich'))).toBe('Zürich');
  expect(value(printable('Genf'))).toBe('Genf');
  expect(value(tlv(0x1e, Buffer.of(0, 65)))).toBeNull();
});

function onlyMalformed(run: () => void): void {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedError);
  }
}
