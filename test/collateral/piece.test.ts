import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { contentOf, isSamePiece, parsePiece } from '../../src/collateral/piece.js';
import { MAX_DOCUMENT_BYTES } from '../../src/endorsement/intel/document-body.js';
import { MAX_RIM_BYTES } from '../../src/endorsement/rim/xml.js';
import { pemBlock } from '../helpers/pki.js';
import { crl, MAKERS, qeIdentity, rim, tcbInfo, TCB_CHAIN } from './simulated.js';

const { root, tcbSigning } = MAKERS.intel;
const ROOT_CRL = crl(root);
const rimAnswer = (xml: Buffer) =>
  Buffer.from(JSON.stringify({ id: 'X', rim: xml.toString('base64'), sha256: 'y', last_updated: 'z' }));

describe('a file of collateral', () => {
  test.each([
    ['TCB info', tcbInfo(), 'tcb-info'],
    ['a QE identity', qeIdentity(), 'qe-identity'],
    ['a document with white space around it', Buffer.from(` \n${tcbInfo().toString()}\n`), 'tcb-info'],
    ['a CRL in DER', ROOT_CRL, 'crls'],
    ['CRLs in PEM', Buffer.from(pemBlock('X509 CRL', ROOT_CRL) + pemBlock('X509 CRL', crl(root))), 'crls'],
    ['a certificate in DER', root.certificate, 'chain'],
    ['a chain in PEM', TCB_CHAIN, 'chain'],
    ['a RIM', rim(), 'rim'],
    ['a RIM behind a byte order mark', Buffer.concat([Buffer.of(0xef, 0xbb, 0xbf), rim()]), 'rim'],
    ['what a RIM service answers', rimAnswer(rim()), 'rim'],
  ])('that is %s is told by its content', (_, bytes, kind) => {
    expect(parsePiece(bytes).kind).toBe(kind);
  });

  test('holds what was signed, as it was signed', () => {
    const body = tcbInfo();
    expect(parsePiece(body)).toEqual({ kind: 'tcb-info', body });
    const xml = rim();
    expect(parsePiece(rimAnswer(xml))).toEqual({ kind: 'rim', xml });
    const two = parsePiece(Buffer.from(pemBlock('X509 CRL', ROOT_CRL) + pemBlock('X509 CRL', crl(tcbSigning))));
    expect(two.kind === 'crls' && two.crls.map(({ list }) => list.crlNumber)).toEqual(['05', '05']);
  });

  test('that is a chain from the root down is turned round', () => {
    const down = [root, tcbSigning].map(({ certificate }) => pemBlock('CERTIFICATE', certificate)).join('');
    expect(parsePiece(Buffer.from(down))).toEqual(parsePiece(TCB_CHAIN));
    const [first] = (parsePiece(TCB_CHAIN) as { certificates: readonly Buffer[] }).certificates;
    expect(first?.equals(tcbSigning.certificate)).toBe(true);
  });

  test.each([
    ['nothing', ''],
    ['text', 'README'],
    ['a key', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'],
    ['JSON cut short', tcbInfo().subarray(0, 200)],
    ['other JSON', '{"policy":{}}'],
    ['a document without signature', '{"tcbInfo":{}}'],
    ['a document that is none', '{"tcbInfo":[],"signature":"00"}'],
    ['a member twice', '{"tcbInfo":{},"tcbInfo":{},"signature":"00"}'],
    ['a RIM that is no base64', '{"rim":"<xml/>"}'],
    ['a CRL cut short', ROOT_CRL.subarray(0, -1)],
    ['a CRL with a byte more', Buffer.concat([ROOT_CRL, Buffer.of(0)])],
    [
      'too many certificates',
      Buffer.concat(Array<Buffer>(9).fill(Buffer.from(pemBlock('CERTIFICATE', root.certificate)))),
    ],
    ['too many CRLs', pemBlock('X509 CRL', ROOT_CRL).repeat(65)],
  ])('that is %s is malformed', (_, content) => {
    expect(() => parsePiece(Buffer.from(content))).toThrow(MalformedError);
  });

  test('has the bound of its kind', () => {
    const xml = (length: number) => Buffer.from(`<a>${' '.repeat(length - 7)}</a>`);
    const json = (length: number) => {
      const body = tcbInfo().toString();
      return Buffer.from(body.slice(0, -1) + ' '.repeat(length - body.length) + body.slice(-1));
    };
    expect(parsePiece(xml(MAX_RIM_BYTES)).kind).toBe('rim');
    expect(parsePiece(rimAnswer(xml(MAX_RIM_BYTES))).kind).toBe('rim');
    expect(parsePiece(json(MAX_DOCUMENT_BYTES)).kind).toBe('tcb-info');
    for (const bytes of [xml(MAX_RIM_BYTES + 1), rimAnswer(xml(MAX_RIM_BYTES + 1))]) {
      expect(() => parsePiece(bytes)).toThrow('a RIM of more than 131072 bytes');
    }
    expect(() => parsePiece(json(MAX_DOCUMENT_BYTES + 1))).toThrow('JSON of more than 262144 bytes');
  });

  test('written again is read as the same', () => {
    const pem = Buffer.from(pemBlock('X509 CRL', ROOT_CRL) + pemBlock('X509 CRL', crl(tcbSigning)));
    for (const bytes of [tcbInfo(), ROOT_CRL, pem, TCB_CHAIN, root.certificate, rim(), rimAnswer(rim())]) {
      const piece = parsePiece(bytes);
      expect(isSamePiece(parsePiece(contentOf(piece)), piece)).toBe(true);
    }
    expect(isSamePiece(parsePiece(ROOT_CRL), parsePiece(pem))).toBe(false);
    expect(isSamePiece(undefined, parsePiece(ROOT_CRL))).toBe(false);
  });

  test('of any bytes throws nothing but MalformedError', () => {
    const starts = [
      Buffer.of(0x30),
      Buffer.from('{"tcbInfo":'),
      Buffer.from('<'),
      Buffer.from('-----BEGIN CERTIFICATE-----\n'),
    ];
    fc.assert(
      fc.property(fc.constantFrom(...starts, Buffer.alloc(0)), fc.uint8Array({ maxLength: 300 }), (start, bytes) => {
        try {
          parsePiece(Buffer.concat([start, bytes]));
        } catch (error) {
          if (!(error instanceof MalformedError)) throw error;
        }
      }),
    );
  });
});
