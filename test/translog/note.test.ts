import { createPublicKey, verify } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { ed25519Verify } from '../../src/crypto/ed25519.js';
import {
  formatVerifierKey,
  isKeyName,
  keyId,
  MAX_NOTE_CHARACTERS,
  type Note,
  parseNote,
  parseSignatures,
  parseVerifierKey,
  signatureLine,
  signaturesOf,
  TYPE_COSIGNATURE,
  TYPE_ED25519,
} from '../../src/translog/note.js';
import { noteSigner } from './note-signer.js';

const DASH = '\u2014';
const signer = noteSigner('broker/0011223344556677', TYPE_ED25519);
const TEXT = 'first line\n\nafter a blank line\n';
const NOTE = `${TEXT}\n${signer.line(TEXT)}`;
const encode = ({ text, signatures }: Note) =>
  `${text}\n${signatures.map(({ name, keyId: id, signature }) => signatureLine(name, id, signature)).join('')}`;

/** Refused with MalformedError, by what the message begins with. */
function refused(parse: () => unknown, message = ''): void {
  expect(parse).toThrow(MalformedError);
  expect(parse).toThrow(message);
}

describe('the examples that C2SP signed-note prints', () => {
  test('the key of the example verifies its note', () => {
    const key = parseVerifierKey('example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k');
    expect([key.name, key.id.toString('hex'), key.type]).toEqual(['example.com/foo', '530d903a', 1]);
    const note = parseNote(
      `This is an example message.\n\n${DASH} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n`,
    );
    expect(note.text).toBe('This is an example message.\n');
    const [signature, ...more] = signaturesOf(note, key);
    expect(more).toEqual([]);
    expect(ed25519Verify(key.publicKey, Buffer.from(note.text), signature!.signature)).toBe(true);
    expect(ed25519Verify(key.publicKey, Buffer.from('This is an example message!\n'), signature!.signature)).toBe(
      false,
    );
  });

  test('a text with a blank line in it ends at the last one', () => {
    const text = 'Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n';
    const note = parseNote(
      `${text}\n${DASH} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n`,
    );
    expect(note.text).toBe(text);
    expect(note.signatures.map(({ name, signature }) => [name, signature.length])).toEqual([
      ['quasimodo.example/salvatore', 64],
    ]);
  });
});

describe('a note', () => {
  test('gives its text with the final newline, and its signatures in order', () => {
    const second = noteSigner('witness.example/w', TYPE_COSIGNATURE);
    const note = parseNote(NOTE + second.cosignatureLine(TEXT, 5n));
    expect(note.text).toBe(TEXT);
    expect(note.signatures.map(({ name, keyId: id }) => [name, id])).toEqual([
      [signer.name, signer.id],
      [second.name, second.id],
    ]);
    expect(note.signatures[0]!.signature).toEqual(signer.bare(TEXT));
  });

  test('every proper prefix of it is refused, and whatever trails', () => {
    for (let length = 0; length < NOTE.length; length++) refused(() => parseNote(NOTE.slice(0, length)));
    for (const trailing of ['\n', ' ', 'x', '\n\n', '\r\n', `${DASH} \n`]) refused(() => parseNote(NOTE + trailing));
  });

  test.each([
    ['no blank line', `text\n${signer.line('text\n')}`, 'note: no blank line'],
    ['no final newline', NOTE.slice(0, -1), 'note: the last line has no newline'],
    ['no signature', 'text\n\n', 'note: the last line has no newline'],
    ['no text', `\n${signer.line('')}`, 'note: no blank line'],
    ['carriage returns', NOTE.replaceAll('\n', '\r\n'), 'note: control characters'],
    ['a tab', `a\tb\n\n${signer.line('a\tb\n')}`, 'note: control characters'],
    ['a zero byte', `a\0b\n\n${signer.line('a\0b\n')}`, 'note: control characters'],
    ['an escape sequence', `\u001b[31m\n\n${signer.line('\u001b[31m\n')}`, 'note: control characters'],
    ['half a surrogate pair', `\ud83d\n\n${signer.line('x\n')}`, 'note: control characters, or not UTF-8'],
    ['the other half', `\ude00\n\n${signer.line('x\n')}`, 'note: control characters, or not UTF-8'],
    ['a hyphen for the dash', NOTE.replace(DASH, '-'), 'note: not a signature line'],
    ['an en dash for the dash', NOTE.replace(DASH, '\u2013'), 'note: not a signature line'],
    ['no space behind the dash', NOTE.replace(`${DASH} `, DASH), 'note: not a signature line'],
    ['two spaces behind the dash', NOTE.replace(`${DASH} `, `${DASH}  `), 'note: not a signature line'],
    ['a space at the end of a line', NOTE.replace(/\n$/, ' \n'), 'note: not a signature line'],
    ['a line that is no signature', NOTE + 'x\n', 'note: not a signature line'],
  ])('with %s is refused', (_, text, message) => refused(() => parseNote(text), message));

  test('each control character but newline is refused, wherever it stands', () => {
    for (let code = 0; code < 0x20; code++) {
      if (code === 0x0a) continue;
      const character = String.fromCharCode(code);
      for (const at of [0, 3, TEXT.length, TEXT.length + 3, NOTE.length - 5]) {
        refused(() => parseNote(NOTE.slice(0, at) + character + NOTE.slice(at)));
      }
    }
  });

  test('may hold any other character of Unicode', () => {
    for (const text of ['\u007f\u0080\n', 'caf\u00e9 \u{1f600} \u2028 \ufeff\n', '\n', `${DASH} like a signature\n`]) {
      expect(parseNote(`${text}\n${signer.line(text)}`).text).toBe(text);
    }
  });

  test.each(['a b', 'a+b', '', 'a\u00a0b', 'a\u2003b', 'a\u0085b', 'a\u007fb', '\u3000'])(
    'a signature of the key name %j is refused',
    (name) => {
      expect(isKeyName(name)).toBe(false);
      refused(() => parseNote(`x\n\n${DASH} ${name} AAAAAAA=\n`), 'note: not a signature line');
    },
  );

  test.each(['a', 'broker/00', 'caf\u00e9', '\u{1f600}', '-', 'a:b'])(
    'a signature of the key name %j is read',
    (name) => {
      expect(parseNote(`x\n\n${DASH} ${name} AAAAAAA=\n`).signatures[0]!.name).toBe(name);
    },
  );

  test('a key name has up to 512 characters', () => {
    const line = (length: number) => `${DASH} ${'n'.repeat(length)} AAAAAAA=\n`;
    expect(parseSignatures(line(512))).toHaveLength(1);
    refused(() => parseSignatures(line(513)), 'note: not a signature line');
  });

  test('a name of half a surrogate pair is no name: its UTF-8 would be that of another', () => {
    expect(isKeyName('a\ud800')).toBe(false);
    refused(() => parseSignatures(`${DASH} a\ud800 AAAAAAA=\n`), 'note: not a signature line');
  });

  test.each(['AAAAAAA', 'AAAAAAB=', 'AAAAAAA==', 'AAAA_AA=', 'AAAAAA=A', '=', 'AAAAAAA=\u00a0', 'AAAAAAAA===='])(
    'a signature spelled %j is refused',
    (spelled) => refused(() => parseNote(`x\n\n${DASH} name ${spelled}\n`), 'note signature: not canonical base64'),
  );

  test('a signature is longer than its key id', () => {
    for (const length of [0, 1, 4]) {
      const line = `${DASH} name ${Buffer.alloc(length).toString('base64')}\n`;
      refused(() => parseNote(`x\n\n${line}`), 'note: a signature is too short');
    }
    expect(parseNote(`x\n\n${DASH} name ${Buffer.alloc(5).toString('base64')}\n`).signatures[0]!.signature.length).toBe(
      1,
    );
  });

  test('has up to 64 signatures', () => {
    const lines = (count: number) =>
      Array.from({ length: count }, (_, at) => `${DASH} key${String(at)} AAAAAAA=\n`).join('');
    expect(parseNote(`x\n\n${lines(64)}`).signatures).toHaveLength(64);
    expect(parseSignatures(lines(64))).toHaveLength(64);
    refused(() => parseNote(`x\n\n${lines(65)}`), 'note: too many signatures');
    refused(() => parseSignatures(lines(65)), 'note: too many signatures');
  });

  test('has up to 64 Ki characters, and so have signature lines alone', () => {
    const ofLength = (length: number) => {
      const rest = `\n\n${DASH} key AAAAAAA=\n`;
      return 'x'.repeat(length - rest.length) + rest;
    };
    expect(parseNote(ofLength(MAX_NOTE_CHARACTERS)).text).toHaveLength(65_536 - 16);
    refused(() => parseNote(ofLength(MAX_NOTE_CHARACTERS + 1)), 'note: too long');
    const line = (length: number) => `${DASH} key ${'A'.repeat(length - 7)}\n`;
    expect(parseSignatures(line(MAX_NOTE_CHARACTERS - 1))).toHaveLength(1);
    refused(() => parseSignatures(line(MAX_NOTE_CHARACTERS + 3)), 'note: too long');
  });

  test('what is read is written the same, and nothing but MalformedError is thrown', () => {
    const pieces = [TEXT, NOTE, signer.line(TEXT), '\n', '\n\n', `${DASH} `, ' ', 'key', 'AAAAAAA=', '\ud800', '\t'];
    const texts = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: 'binary', maxLength: 8 })));
    fc.assert(
      fc.property(texts, (parts) => {
        const text = parts.join('');
        let note: Note;
        try {
          note = parseNote(text);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
          return;
        }
        expect(encode(note)).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });

  test('what is written is read the same', () => {
    const name = fc.string({ unit: fc.constantFrom('a', '/', '.', '0', 'é', '-'), minLength: 1, maxLength: 20 });
    const bytes = (minLength: number, maxLength: number) =>
      fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array));
    const signature = fc.record({ name, keyId: bytes(4, 4), signature: bytes(1, 80) });
    const lines = fc.array(fc.string({ unit: fc.constantFrom('x', ' ', '—', '+', '\u{1f600}'), maxLength: 8 }), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(lines, fc.array(signature, { minLength: 1, maxLength: 5 }), (text, signatures) => {
        const note = { text: `${text.join('\n')}\n`, signatures };
        expect(parseNote(encode(note))).toEqual(note);
      }),
    );
  });
});

describe('signatures and keys', () => {
  const key = parseVerifierKey(signer.vkey);

  test('those of other keys are left out, though they share the name or the id', () => {
    const other = Buffer.of(1, 2, 3, 4);
    const note = parseNote(
      NOTE + signatureLine(signer.name, other, Buffer.alloc(64)) + signatureLine('else', signer.id, Buffer.alloc(64)),
    );
    expect(note.signatures).toHaveLength(3);
    expect(signaturesOf(note, key)).toEqual([note.signatures[0]]);
  });

  test('all that bear name and id are given, good or bad', () => {
    const note = parseNote(NOTE + signatureLine(signer.name, signer.id, Buffer.alloc(64)));
    expect(signaturesOf(note, key)).toEqual(note.signatures);
  });

  test('one public key has another id for each type and each name', () => {
    const ids = [
      keyId('a', TYPE_ED25519, signer.publicKey),
      keyId('a', TYPE_COSIGNATURE, signer.publicKey),
      keyId('b', TYPE_ED25519, signer.publicKey),
    ].map((id) => id.toString('hex'));
    expect(new Set(ids).size).toBe(3);
  });
});

describe('a verifier key', () => {
  test.each([TYPE_ED25519, TYPE_COSIGNATURE] as const)('of type %d is read and written', (type) => {
    const { name, id, vkey, publicKey, bare } = noteSigner('witness.example/w', type);
    const key = parseVerifierKey(vkey);
    expect([key.name, key.id, key.type]).toEqual([name, id, type]);
    expect(ed25519Verify(key.publicKey, Buffer.from('m'), bare('m'))).toBe(true);
    expect(formatVerifierKey(name, type, publicKey)).toBe(vkey);
  });

  test('every proper prefix is refused, and whatever trails', () => {
    const { vkey } = signer;
    for (let length = 0; length < vkey.length; length++) refused(() => parseVerifierKey(vkey.slice(0, length)));
    for (const trailing of ['\n', ' ', '=', 'A', '+', '+x']) refused(() => parseVerifierKey(vkey + trailing));
    for (const leading of ['\n', ' ', '+', '\ufeff']) refused(() => parseVerifierKey(leading + vkey));
  });

  test.each([0, 2, 3, 5, 6, 0x84, 0xff])('of type %d is refused', (type) => {
    refused(() => parseVerifierKey(noteSigner('name', type).vkey), 'verifier key: neither an Ed25519 key');
  });

  const parts = signer.vkey.split('+');
  const encoded = parts.slice(2).join('+');
  const id = signer.id.toString('hex');
  test.each([
    ['the key id of another', `${signer.name}+${id === '00000000' ? '00000001' : '00000000'}+${encoded}`, 'key id'],
    ['another name', `${signer.name}x+${id}+${encoded}`, 'key id'],
    ['an upper-case key id', `${signer.name}+ABCDEF01+${encoded}`, 'key id: not lower-case hex'],
    ['a short key id', `${signer.name}+${id.slice(2)}+${encoded}`, 'key id'],
    ['a long key id', `${signer.name}+${id}00+${encoded}`, 'key id'],
    ['no name', `+${id}+${encoded}`, 'not a verifier key'],
    ['no key id', `${signer.name}++${encoded}`, 'not a verifier key'],
    ['a name with a space', `a b+${id}+${encoded}`, 'not a verifier key'],
    ['no key', `${signer.name}+${id}+`, 'not a verifier key'],
    ['unpadded base64', formatVerifierKey('name', 1, Buffer.alloc(33, 7)).replace(/=+$/, ''), 'verifier key'],
    ['base64url', `${signer.name}+${id}+${'A_'.repeat(22)}`, 'verifier key: not canonical base64'],
  ])('with %s is refused', (_, text, message) => {
    refused(() => parseVerifierKey(text), message);
  });

  test.each([0, 1, 31, 33, 64])('with a public key of %d bytes is refused', (length) => {
    refused(
      () => parseVerifierKey(formatVerifierKey('name', TYPE_ED25519, Buffer.alloc(length, 9))),
      'verifier key: an Ed25519 key has 32 bytes',
    );
  });

  test('that anybody can sign for, a point of small order, is refused', () => {
    const zero = Buffer.alloc(32);
    const publicKey = createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: zero.toString('base64url') },
      format: 'jwk',
    });
    expect(verify(null, Buffer.from('x'), publicKey, Buffer.alloc(64))).toBe(true);
    refused(() => parseVerifierKey(formatVerifierKey('name', TYPE_ED25519, zero)), 'verifier key: a key that anybody');
  });

  test.each(['', 'a b', 'a+b', 'a\nb', '\ud800'])('is not written for the name %j', (name) => {
    expect(() => formatVerifierKey(name, TYPE_ED25519, signer.publicKey)).toThrow(RangeError);
  });

  test('nothing but MalformedError is thrown, and what is read is written the same', () => {
    const pieces = [signer.vkey, signer.name, id, encoded, '+', '=', 'AQ==', ' ', '\n', '\ud800'];
    const texts = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: 'binary', maxLength: 8 })));
    fc.assert(
      fc.property(texts, (some) => {
        const text = some.join('');
        try {
          const key = parseVerifierKey(text);
          const raw = key.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
          expect(formatVerifierKey(key.name, key.type, raw)).toBe(text);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
