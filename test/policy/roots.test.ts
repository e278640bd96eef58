import { X509Certificate } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { parseCertificates } from '../../src/policy/roots.js';
import { makeCertificate } from './certificates.js';

const ONE = makeCertificate('one');
const TWO = makeCertificate('two');

test('a bundle becomes one PEM text for each certificate, without the text around them', () => {
  const bundle = `# roots of a maker\r\n${ONE.replaceAll('\r\n', '\n')}\nand\n${TWO}`;
  const certificates = parseCertificates(bundle, 'roots', 2);
  expect(certificates.map((pem) => new X509Certificate(pem).subject)).toEqual(['CN=one', 'CN=two']);
  expect(certificates.flatMap((pem) => parseCertificates(pem, 'roots', 1))).toEqual(certificates);
});

test.each([
  ['nothing', ''],
  ['text', 'no certificate here'],
  ['a block without end', ONE.slice(0, -30)],
  ['a second block without end', ONE + TWO.slice(0, 200)],
  ['a block with another end', ONE.replace('END CERTIFICATE', 'END X509 CRL')],
  ['a certificate with a byte missing', ONE.replace(/[A-Za-z0-9+/]{4}\r?\n/, '\n')],
  ['a certificate that is no DER', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'],
  ['a public key', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----'],
])('%s is refused', (_, pem) => {
  expect(() => parseCertificates(pem, '/attesters/roots/0', 9)).toThrow(MalformedError);
});

test('a private key beside a certificate is refused, and not quoted', () => {
  const key = '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n';
  const attempt = () => parseCertificates(ONE + key, '/attesters/roots/0', 9);
  expect(attempt).toThrow('/attesters/roots/0: holds a PEM block that is no certificate');
  expect(attempt).not.toThrow('c2VjcmV0');
});

test('as many certificates as allowed pass, one more does not', () => {
  expect(parseCertificates(ONE + TWO, 'roots', 2)).toHaveLength(2);
  expect(() => parseCertificates(ONE + TWO, 'roots', 1)).toThrow('too many');
});

test('no text makes the parser throw anything else, nor take long', () => {
  const piece = fc.constantFrom(
    '-----BEGIN ',
    '-----END ',
    'CERTIFICATE',
    '-----',
    '\n',
    'AAAA',
    ONE,
    'x'.repeat(5000),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      try {
        parseCertificates(pieces.join(''), 'roots', 64);
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedError);
      }
    }),
  );
});
