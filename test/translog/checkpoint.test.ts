import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { ed25519Verify } from '../../src/crypto/ed25519.js';
import { CheckpointSigner, parseTreeHead, treeHeadText, verifyCheckpoint } from '../../src/translog/checkpoint.js';
import { EMPTY_ROOT, leafHash } from '../../src/translog/merkle.js';
import { parseNote, parseVerifierKey, signatureLine, signaturesOf, TYPE_ED25519 } from '../../src/translog/note.js';
import { noteSigner } from './note-signer.js';

const ORIGIN = 'broker/0011223344556677';
const ROOT = leafHash(Buffer.from('a tree'));
const log = noteSigner(ORIGIN, 1);
const logKey = parseVerifierKey(log.vkey);
const TEXT = `${ORIGIN}\n20852163\n${ROOT.toString('base64')}\n`;
const CHECKPOINT = `${TEXT}\n${log.line(TEXT)}`;
const signed = (text: string) => `${text}\n${log.line(text)}`;
const lines = (size: string, root = ROOT.toString('base64'), origin = ORIGIN, more = '') =>
  `${origin}\n${size}\n${root}\n${more}`;

function reasonOf(checkpoint: string, key = logKey): string {
  const verified = verifyCheckpoint(checkpoint, key);
  return verified.ok ? 'accepted' : verified.reason;
}

describe('the text of a tree head', () => {
  test('is read as C2SP tlog-checkpoint prints it', () => {
    const note = parseNote(
      'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n' +
        '\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n',
    );
    expect(parseTreeHead(note.text)).toEqual({
      origin: 'example.com/behind-the-sofa',
      size: 20_852_163,
      root: Buffer.from('0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62', 'hex'),
    });
    expect(treeHeadText(parseTreeHead(note.text))).toBe(note.text);
  });

  test('every proper prefix of it is refused', () => {
    for (let length = 0; length < TEXT.length; length++) {
      expect(() => parseTreeHead(TEXT.slice(0, length))).toThrow(MalformedError);
    }
  });

  test.each(['1', '9', '10', '4294967296', '9007199254740991'])('a size of %s is read', (size) => {
    expect(String(parseTreeHead(lines(size)).size)).toBe(size);
  });

  test.each(
    [
      ['00', '01', '007', '+1', '-1', '-0', ' 1', '1 ', '1.0', '1e3', '0x10', '1n', '', '١', '１', 'NaN', 'Infinity'],
      ['9007199254740992', '9007199254740993', '9999999999999999', '10000000000000000', '18446744073709551616'],
      ['9'.repeat(400)],
    ].flat(),
  )('a size of %s is refused', (size) => {
    expect(() => parseTreeHead(lines(size))).toThrow(MalformedError);
  });

  test('of size 0 has the root of the empty tree', () => {
    expect(parseTreeHead(lines('0', EMPTY_ROOT.toString('base64')))).toEqual({
      origin: ORIGIN,
      size: 0,
      root: EMPTY_ROOT,
    });
    expect(() => parseTreeHead(lines('0'))).toThrow('checkpoint: not the root of an empty tree');
  });

  test('has a root of 32 bytes in canonical base64', () => {
    for (const length of [0, 1, 31, 33, 64]) {
      expect(() => parseTreeHead(lines('1', Buffer.alloc(length).toString('base64')))).toThrow(MalformedError);
    }
    const text = ROOT.toString('base64');
    for (const spelled of [
      text.slice(0, -1),
      `${text}=`,
      ` ${text}`,
      `${text} `,
      ROOT.toString('base64url'),
      'A'.repeat(42) + 'B=',
    ]) {
      expect(() => parseTreeHead(lines('1', spelled))).toThrow('checkpoint root: not canonical base64');
    }
  });

  test('may have extension lines, none of them empty', () => {
    expect(parseTreeHead(lines('5', undefined, ORIGIN, 'one\ntwo\n'))).toEqual({ origin: ORIGIN, size: 5, root: ROOT });
    for (const more of ['\n', 'one\n\n', '\none\n', 'one\n\ntwo\n', 'one']) {
      expect(() => parseTreeHead(lines('5', undefined, ORIGIN, more))).toThrow('checkpoint: not its lines');
    }
  });

  test('has an origin', () => {
    expect(() => parseTreeHead(lines('5', undefined, ''))).toThrow('checkpoint: not its lines');
    expect(parseTreeHead(lines('5', undefined, 'any words + signs')).origin).toBe('any words + signs');
  });

  test('what is written is read the same, and what is read begins with what would be written', () => {
    const head = fc.record({
      origin: fc.string({ unit: fc.constantFrom('a', '/', ' ', '+', 'é'), minLength: 1 }),
      size: fc.maxSafeNat().filter((size) => size > 0),
      root: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
    });
    fc.assert(fc.property(head, (value) => expect(parseTreeHead(treeHeadText(value))).toEqual(value)));
    const pieces = fc.constantFrom(ORIGIN, '\n', '1', '0', ROOT.toString('base64'), EMPTY_ROOT.toString('base64'), 'x');
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 9 }), (parts) => {
        const text = parts.join('');
        try {
          expect(text.startsWith(treeHeadText(parseTreeHead(text)))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a checkpoint', () => {
  test('that somebody else wrote is accepted under the key of its log', () => {
    const verified = verifyCheckpoint(CHECKPOINT, logKey);
    expect(verified).toMatchObject({ ok: true, value: { head: { origin: ORIGIN, size: 20_852_163, root: ROOT } } });
  });

  test('is checkpoint.malformed where it is no note, or no tree head', () => {
    expect(reasonOf('')).toBe('checkpoint.malformed');
    expect(reasonOf('not a note')).toBe('checkpoint.malformed');
    expect(reasonOf(TEXT)).toBe('checkpoint.malformed');
    expect(reasonOf(signed('some text\n'))).toBe('checkpoint.malformed');
    expect(reasonOf(signed(lines('01')))).toBe('checkpoint.malformed');
    expect(reasonOf(signed(lines('5', undefined, ORIGIN, '\n')))).toBe('checkpoint.malformed');
    expect(reasonOf(signed(lines('0')))).toBe('checkpoint.malformed');
    expect(reasonOf('x'.repeat(65_537))).toBe('checkpoint.malformed');
  });

  test('every proper prefix of it is refused', () => {
    for (let length = 0; length < CHECKPOINT.length; length++) {
      expect(reasonOf(CHECKPOINT.slice(0, length))).toBe('checkpoint.malformed');
    }
  });

  test('is checkpoint.origin where it is of another log, though that is signed by the same key', () => {
    for (const origin of ['broker/0011223344556678', 'broker/001122334455667', `${ORIGIN}x`, ORIGIN.toUpperCase()]) {
      expect(reasonOf(signed(lines('5', undefined, origin)))).toBe('checkpoint.origin');
    }
  });

  test('is checkpoint.signature where no line bears name and id of the key', () => {
    const stranger = noteSigner(ORIGIN, 1);
    expect(reasonOf(`${TEXT}\n${stranger.line(TEXT)}`)).toBe('checkpoint.signature');
    expect(reasonOf(`${TEXT}\n${noteSigner('else', 1).line(TEXT)}`)).toBe('checkpoint.signature');
    expect(reasonOf(`${TEXT}\n${signatureLine('else', log.id, log.bare(TEXT))}`)).toBe('checkpoint.signature');
    expect(reasonOf(`${TEXT}\n${signatureLine(ORIGIN, stranger.id, log.bare(TEXT))}`)).toBe('checkpoint.signature');
  });

  test.each([
    ['of another size', lines('20852162')],
    ['of another root', lines('20852163', leafHash(Buffer.from('x')).toString('base64'))],
    ['with an extension line more', lines('20852163', undefined, ORIGIN, 'more\n')],
  ])('is checkpoint.signature with the signature %s', (_, text) => {
    expect(reasonOf(`${TEXT}\n${log.line(text)}`)).toBe('checkpoint.signature');
    expect(reasonOf(`${text}\n${log.line(TEXT)}`)).toBe('checkpoint.signature');
  });

  test('is refused with any one bit of it flipped', () => {
    const bytes = Buffer.from(CHECKPOINT);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = flipped[bit >> 3]! ^ (1 << (bit & 7));
      expect(reasonOf(flipped.toString('utf8'))).toMatch(/^checkpoint\.(malformed|origin|signature)$/);
    }
  });

  test.each([0, 1, 63, 65, 72, 128])('is checkpoint.signature where the signature has %d bytes', (length) => {
    const resized = Buffer.concat([log.bare(TEXT), Buffer.alloc(64)]).subarray(0, length);
    const expected = length === 0 ? 'checkpoint.malformed' : 'checkpoint.signature';
    expect(reasonOf(`${TEXT}\n${signatureLine(ORIGIN, log.id, resized)}`)).toBe(expected);
  });

  test('may bear lines of keys that are unknown here, good or bad, before and after', () => {
    const witness = noteSigner('witness.example/w', 4).cosignatureLine(TEXT, 5n);
    const unknown = signatureLine('unknown', Buffer.of(1, 2, 3, 4), Buffer.alloc(2420));
    const sameName = signatureLine(ORIGIN, Buffer.of(1, 2, 3, 4), Buffer.alloc(64));
    expect(reasonOf(`${TEXT}\n${unknown}${sameName}${log.line(TEXT)}${witness}`)).toBe('accepted');
  });

  test('is refused for a bad signature of the known key, though a good one stands beside it', () => {
    const bad = signatureLine(ORIGIN, log.id, Buffer.alloc(64));
    expect(reasonOf(CHECKPOINT + bad)).toBe('checkpoint.signature');
    expect(reasonOf(`${TEXT}\n${bad}${log.line(TEXT)}`)).toBe('checkpoint.signature');
    expect(reasonOf(CHECKPOINT + log.line(TEXT))).toBe('accepted');
  });

  test('is never accepted under a key of a witness, whatever that signed', () => {
    const witness = noteSigner(ORIGIN, 4);
    const key = parseVerifierKey(witness.vkey);
    expect(reasonOf(`${TEXT}\n${witness.line(TEXT)}`, key)).toBe('checkpoint.signature');
    expect(reasonOf(`${TEXT}\n${witness.cosignatureLine(TEXT, 5n)}`, key)).toBe('checkpoint.signature');
  });

  test('nothing is thrown for any text', () => {
    const pieces = fc.constantFrom(TEXT, log.line(TEXT), '\n', '\u2014 ', ORIGIN, ' ', '1', '\0', '\ud800', CHECKPOINT);
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 6 }), (parts) => {
        const text = parts.join('');
        const verified = verifyCheckpoint(text, logKey);
        if (verified.ok) expect(text.startsWith(`${TEXT}\n\u2014 ${ORIGIN} `)).toBe(true);
      }),
    );
  });
});

describe('the signer of a log', () => {
  const signer = new CheckpointSigner(ORIGIN, Buffer.alloc(32, 7));
  const key = parseVerifierKey(signer.verifierKey);

  test('signs what its own key verifies, and what is one signature over the text', () => {
    const checkpoint = signer.sign(7, ROOT);
    expect(checkpoint.startsWith(lines('7') + '\n\u2014 ')).toBe(true);
    expect(verifyCheckpoint(checkpoint, key)).toMatchObject({ ok: true, value: { head: { size: 7, root: ROOT } } });
    const [signature] = signaturesOf(parseNote(checkpoint), key);
    expect(ed25519Verify(key.publicKey, Buffer.from(lines('7')), signature!.signature)).toBe(true);
    expect([signer.origin, key.name, key.type]).toEqual([ORIGIN, ORIGIN, TYPE_ED25519]);
  });

  test('signs the empty tree and the largest', () => {
    for (const [size, root] of [
      [0, EMPTY_ROOT],
      [2 ** 32, ROOT],
      [Number.MAX_SAFE_INTEGER, ROOT],
    ] as const) {
      expect(verifyCheckpoint(signer.sign(size, root), key)).toMatchObject({
        ok: true,
        value: { head: { size, root } },
      });
    }
  });

  test.each([-1, 0.5, NaN, Infinity, 2 ** 53, 1e21])('signs no tree of %d leaves', (size) => {
    expect(() => signer.sign(size, ROOT)).toThrow(RangeError);
  });

  test.each([0, 31, 33])('signs no root of %d bytes', (length) => {
    expect(() => signer.sign(7, Buffer.alloc(length))).toThrow(RangeError);
  });

  test('wants a seed of 32 bytes and an origin that can be the name of a key', () => {
    for (const length of [0, 31, 33, 64]) {
      expect(() => new CheckpointSigner(ORIGIN, Buffer.alloc(length))).toThrow(RangeError);
    }
    for (const origin of ['', 'a b', 'a+b', 'a\nb']) {
      expect(() => new CheckpointSigner(origin, Buffer.alloc(32, 7))).toThrow(RangeError);
    }
  });
});
