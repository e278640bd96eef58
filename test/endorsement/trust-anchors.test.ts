import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { MAX_ANCHORS, trustAnchors, trustAnchorsOf } from '../../src/endorsement/trust-anchors.js';
import { basicConstraints, ecKey, extendedKeyUsage, extension, keyUsage, pem, pemBlock } from '../helpers/pki.js';
import { CA_USAGE, KEYS, makeLeaf, makeRoot, ROOT_EXTENSIONS } from '../helpers/pki-chain.js';
import { int, nil, seq } from '../helpers/pki-der.js';

const good = makeRoot();
const rootWith = (...extensions: readonly Buffer[]) => makeRoot({ extensions: [...ROOT_EXTENSIONS, ...extensions] });

describe('trust anchors', () => {
  test('are found by their subject; what stands twice counts once', () => {
    const sameName = makeRoot({ key: KEYS.other, signer: KEYS.other });
    const other = makeRoot({ subject: 'Other', issuer: 'Other' });
    const anchors = trustAnchors(pem(good, sameName, other, good));
    expect(anchors.certificates).toHaveLength(3);
    expect([...anchors.bySubject.values()].map((list) => list.length)).toEqual([2, 1]);
  });

  test('may stand among text, with other line ends', () => {
    const text = `subject=CN = Root\n${pem(good)}\nsome text\n${pem(makeRoot({ serial: 2 }))}`.replaceAll('\n', '\r\n');
    expect(trustAnchors(text).certificates).toHaveLength(2);
  });

  test('may have a critical extKeyUsage', () => {
    expect(trustAnchors(pem(rootWith(extendedKeyUsage(['2.23.133.8.1'], true)))).certificates).toHaveLength(1);
  });

  test.each<[string, string, string]>([
    ['no block', '', 'no certificate'],
    ['text alone', 'roots', 'no certificate'],
    ['a private key', pem(good) + pemBlock('PRIVATE KEY', Buffer.of(1)), 'PEM block 2: not a CERTIFICATE'],
    ['a block that is not closed', pem(good).split('\n').slice(0, 3).join('\n'), 'PEM block 1: not closed'],
    ['a block inside a block', pem(good).replace('\n', '\n-----BEGIN CERTIFICATE-----\n'), 'PEM block 1: not closed'],
    ['an end without beginning', `${pem(good)}-----END CERTIFICATE-----\n`, 'PEM block 2: not opened'],
    ['what is not base64', pem(good).replace('\nM', '\n*'), 'PEM block 1: not canonical base64'],
    ['a certificate of more than 8192 bytes', pem(Buffer.alloc(8193)), 'PEM block 1: more than 8192 bytes'],
    ['bytes that are no certificate', pem(good, seq(int(1))), 'certificate 2 of the trust anchors: Certificate tbs'],
    ['a leaf', pem(good, good, makeLeaf()), 'certificate 3 of the trust anchors: not a CA certificate'],
    [
      'a root without basicConstraints',
      pem(makeRoot({ extensions: [CA_USAGE] })),
      'certificate 1 of the trust anchors: not a CA',
    ],
    ['a root without a name', pem(makeRoot({ subject: '' })), 'a CA without a name'],
    [
      'a root that may not sign',
      pem(makeRoot({ extensions: [basicConstraints(true), keyUsage(0)] })),
      'not allowed to sign',
    ],
    [
      'a root with an unknown critical extension',
      pem(rootWith(extension('1.2.3', true, nil()))),
      'critical extension 1.2.3',
    ],
    ['a root with name constraints', pem(rootWith(extension('2.5.29.30', false, seq()))), 'constrained'],
    ['a root with a key that is not used here', pem(makeRoot({ key: ecKey('secp256k1') })), 'curve'],
  ])('with %s are refused', (_, text, message) => {
    expect(() => trustAnchors(text)).toThrow(MalformedError);
    expect(() => trustAnchors(text)).toThrow(message);
  });

  test('are at most 256', () => {
    const block = pem(good);
    expect(trustAnchors(block.repeat(MAX_ANCHORS)).certificates).toHaveLength(1);
    expect(() => trustAnchors(block.repeat(MAX_ANCHORS + 1))).toThrow('more than 256 PEM blocks');
    expect(() => trustAnchorsOf(Array.from({ length: MAX_ANCHORS + 1 }, () => good))).toThrow('too many certificates');
    expect(() => trustAnchors(' '.repeat(MAX_ANCHORS * 20_480 + 1))).toThrow('PEM text is too long');
  });

  test('no text throws anything but MalformedError', () => {
    const line = fc.constantFrom(
      '-----BEGIN CERTIFICATE-----',
      '-----END CERTIFICATE-----',
      'MIIB',
      '',
      'x',
      ...pem(good).split('\n'),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 30 }), (lines) => {
        try {
          trustAnchors(lines.join('\n'));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });
});
