/** What EK and AK certificates say of their TPM and of their Google instance. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { parseCertificate } from '../../src/crypto/x509.js';
import { gceInstance } from '../../src/endorsement/gce-instance.js';
import { tpmIdentity } from '../../src/endorsement/tpm-identity.js';
import { extension, subjectAltName } from '../helpers/pki.js';
import { makeLeaf } from '../helpers/pki-chain.js';
import { bool, context, int, nil, oid, primitive, seq, set, tlv, utf8String } from '../helpers/pki-der.js';

const attribute = (last: number, value: string | Buffer) =>
  seq(oid(`2.23.133.2.${String(last)}`), Buffer.isBuffer(value) ? value : utf8String(value));
const MAKER = attribute(1, 'id:53544D20');
const MODEL = attribute(2, 'ST33');
const VERSION = attribute(3, 'id:00010102');

const identityOf = (...rdns: readonly Buffer[]) =>
  tpmIdentity(parseCertificate(makeLeaf({ extensions: [subjectAltName(true, seq(...rdns))] })));
const ST = { manufacturer: 'id:53544D20', model: 'ST33', version: 'id:00010102' };

describe('the TPM of an EK certificate', () => {
  test('is named in one RDN or in several, in any order, and beside other names', () => {
    expect(identityOf(set(MAKER), set(MODEL), set(VERSION))).toEqual(ST);
    expect(identityOf(set(MAKER, MODEL, VERSION))).toEqual(ST);
    expect(identityOf(set(VERSION), set(seq(oid('2.5.4.3'), utf8String('x'))), set(MODEL, MAKER))).toEqual(ST);
    const several = extension(
      '2.5.29.17',
      true,
      seq(primitive(2, Buffer.from('a')), context(4, seq(set(MAKER, MODEL))), context(4, seq(set(VERSION)))),
    );
    expect(tpmIdentity(parseCertificate(makeLeaf({ extensions: [several] })))).toEqual(ST);
  });

  test.each<[string, readonly Buffer[]]>([
    ['the maker is missing', [MODEL, VERSION]],
    ['the model is missing', [MAKER, VERSION]],
    ['the version is missing', [MAKER, MODEL]],
    ['the maker stands there twice', [MAKER, MODEL, VERSION, attribute(1, 'id:494E5443')]],
    ['a value is empty', [MAKER, attribute(2, ''), VERSION]],
    ['a value is too long', [MAKER, attribute(2, 'x'.repeat(65)), VERSION]],
    ['a value has a line end', [MAKER, attribute(2, 'a\nb'), VERSION]],
    ['a value is not ASCII', [MAKER, attribute(2, 'ST33é'), VERSION]],
    ['a value is no text', [MAKER, attribute(2, int(1)), VERSION]],
  ])('is not named where %s', (_, attributes) => {
    expect(identityOf(set(...attributes))).toBeUndefined();
  });

  test('is not named without subjectAltName', () => {
    expect(tpmIdentity(parseCertificate(makeLeaf()))).toBeUndefined();
  });
});

const FIELDS = [utf8String('europe-west4-a'), int(42), utf8String('project'), int(2n ** 63n), utf8String('vm-1')];
const property = (tag: number, value: Buffer) => context(tag, value);
const secure = (...properties: readonly Buffer[]) => context(0, seq(...properties));
const instanceOf = (value: Buffer) =>
  gceInstance(parseCertificate(makeLeaf({ extensions: [extension('1.3.6.1.4.1.11129.2.1.21', false, value)] })));
const replaced = (index: number, value: Buffer) => seq(...FIELDS.with(index, value));

describe('the Google instance of a certificate', () => {
  const expected = {
    zone: 'europe-west4-a',
    projectNumber: '42',
    projectId: 'project',
    instanceId: '9223372036854775808',
    instanceName: 'vm-1',
  };

  test('is read, production or not', () => {
    expect(instanceOf(seq(...FIELDS))).toEqual({ ...expected, production: false });
    expect(instanceOf(seq(...FIELDS, secure()))).toEqual({ ...expected, production: false });
    expect(instanceOf(seq(...FIELDS, secure(property(1, bool(true)))))).toEqual({ ...expected, production: true });
    expect(
      instanceOf(seq(...FIELDS, secure(property(0, int(7)), property(1, bool(false)), property(2, bool(true))))),
    ).toEqual({ ...expected, production: false });
  });

  test('is none without the extension', () => {
    expect(gceInstance(parseCertificate(makeLeaf()))).toBeUndefined();
  });

  test.each<[string, Buffer]>([
    ['no SEQUENCE', nil()],
    ['a field less', seq(...FIELDS.slice(0, 4))],
    ['something behind', Buffer.concat([seq(...FIELDS), nil()])],
    ['a field more', seq(...FIELDS, nil())],
    ['an empty zone', replaced(0, utf8String(''))],
    ['a zone of another type', replaced(0, int(1))],
    ['a name of 256 characters', replaced(4, utf8String('x'.repeat(256)))],
    ['a name with a control character', replaced(4, utf8String('a\u0000b'))],
    ['a negative project number', replaced(1, tlv(2, Buffer.of(0xff)))],
    ['an instance id of 65 bits', replaced(3, int(2n ** 64n))],
    ['a production that is no BOOLEAN', seq(...FIELDS, secure(property(1, int(1))))],
    ['a production with something behind', seq(...FIELDS, secure(context(1, bool(true), nil())))],
    ['production twice', seq(...FIELDS, secure(property(1, bool(false)), property(1, bool(true))))],
    ['properties out of order', seq(...FIELDS, secure(property(1, bool(true)), property(0, int(1))))],
  ])('with %s is refused', (_, value) => {
    expect(() => instanceOf(value)).toThrow(MalformedError);
  });

  test('no value throws anything but MalformedError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        try {
          instanceOf(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });
});
