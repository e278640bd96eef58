import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { Writer } from '../../../src/bytes/writer.js';
import { encodeToolsCredential, parseToolsCredential } from '../../../src/evidence/tpm/tools-credential.js';

const sized = (content: Uint8Array) => new Writer().sized16(content).finish();
const credential = { credentialBlob: sized(Buffer.alloc(68, 1)), encryptedSecret: sized(Buffer.alloc(256, 2)) };
const file = encodeToolsCredential(credential);
const fileOf = (idObjectBytes: number, secretBytes: number) =>
  encodeToolsCredential({
    credentialBlob: sized(Buffer.alloc(idObjectBytes)),
    encryptedSecret: sized(Buffer.alloc(secretBytes)),
  });

describe('the file of a credential', () => {
  test('is magic, version, and the two structures', () => {
    const head = Buffer.from('badcc0de00000001', 'hex');
    expect(file).toEqual(Buffer.concat([head, credential.credentialBlob, credential.encryptedSecret]));
  });

  test('comes back as it went in', () => {
    const content = (min: number, max: number) => fc.uint8Array({ minLength: min, maxLength: max });
    fc.assert(
      fc.property(content(5, 132), content(1, 512), (idObject, secret) => {
        const made = { credentialBlob: sized(idObject), encryptedSecret: sized(secret) };
        const bytes = encodeToolsCredential(made);
        expect(parseToolsCredential(bytes)).toEqual(made);
        expect(encodeToolsCredential(parseToolsCredential(bytes))).toEqual(bytes);
      }),
    );
  });

  test('is malformed when cut anywhere, or with a byte more', () => {
    for (let length = 0; length < file.length; length++) {
      expect(() => parseToolsCredential(file.subarray(0, length))).toThrow(MalformedError);
    }
    expect(() => parseToolsCredential(Buffer.concat([file, Buffer.alloc(1)]))).toThrow(MalformedError);
  });

  test('has another magic or version in no bit', () => {
    for (let bit = 0; bit < 64; bit++) {
      const changed = Buffer.from(file);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => parseToolsCredential(changed)).toThrow(MalformedError);
    }
  });

  test.each([
    [4, 256],
    [133, 256],
    [68, 0],
    [68, 513],
  ])('is malformed with an identity of %p bytes and a secret of %p', (idObject, secret) => {
    expect(() => parseToolsCredential(fileOf(idObject, secret))).toThrow(MalformedError);
  });

  test('has an identity of 5 to 132 bytes and a secret of up to 512', () => {
    for (const [idObject, secret] of [
      [5, 1],
      [132, 512],
    ] as const) {
      expect(() => parseToolsCredential(fileOf(idObject, secret))).not.toThrow();
    }
  });

  test('whatever the bytes, nothing but MalformedError is thrown', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 800 }), fc.boolean(), (bytes, withHead) => {
        const input = withHead ? Buffer.concat([file.subarray(0, 8), bytes]) : Buffer.from(bytes);
        try {
          expect(encodeToolsCredential(parseToolsCredential(input))).toEqual(input);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });
});
