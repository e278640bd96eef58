import { createPublicKey, verify } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { CheckpointSigner, parseTreeHead, verifyCheckpoint } from '../../src/translog/checkpoint.js';
import { Cosigner, verifyCosignature } from '../../src/translog/cosignature.js';
import { leafHash } from '../../src/translog/merkle.js';
import { parseNote, parseSignatures, parseVerifierKey, signatureLine } from '../../src/translog/note.js';
import { noteSigner } from './note-signer.js';

const log = new CheckpointSigner('broker/0011223344556677', Buffer.alloc(32, 7));
const CHECKPOINT = log.sign(5, leafHash(Buffer.from('a tree')));
const { text: TEXT } = parseNote(CHECKPOINT);
const witness = noteSigner('witness.example/w', 4);
const witnessKey = parseVerifierKey(witness.vkey);
const cosigner = new Cosigner('witness.example/own', Buffer.alloc(32, 8));
const ownKey = parseVerifierKey(cosigner.verifierKey);
const timeOf = (note: string, key = witnessKey) => verifyCosignature(parseNote(note), key);

/** A line of the witness with a time and a signature as given. */
function line(seconds: bigint, signature: Buffer): string {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(seconds);
  return signatureLine(witness.name, witness.id, Buffer.concat([time, signature]));
}

test('the example that C2SP tlog-cosignature prints: its time stands before 64 bytes of signature', () => {
  const note = parseNote(
    'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n' +
      '\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n' +
      '\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n',
  );
  expect(parseTreeHead(note.text).size).toBe(20_852_163);
  const cosignature = note.signatures[1]!;
  expect([cosignature.name, cosignature.signature.length]).toEqual(['witness.example.com/w1', 8 + 64]);
  expect(cosignature.signature.readBigUInt64BE()).toBe(1_679_315_147n);
});

describe('a cosignature', () => {
  test('that somebody else made is accepted, with its time', () => {
    expect(timeOf(CHECKPOINT + witness.cosignatureLine(TEXT, 1_679_315_147n))).toBe(1_679_315_147n);
    expect(timeOf(CHECKPOINT + witness.cosignatureLine(TEXT, 2n ** 63n - 1n))).toBe(2n ** 63n - 1n);
  });

  test('that is made here verifies over header, time and text, as the specification writes them', () => {
    const [made] = parseSignatures(cosigner.cosign(TEXT, 1_679_315_147));
    expect([made!.name, made!.keyId]).toEqual([cosigner.name, ownKey.id]);
    const publicKey = createPublicKey(ownKey.publicKey.export({ type: 'spki', format: 'pem' }));
    const message = Buffer.from(`cosignature/v1\ntime 1679315147\n${TEXT}`);
    expect(verify(null, message, publicKey, made!.signature.subarray(8))).toBe(true);
    expect(timeOf(CHECKPOINT + cosigner.cosign(TEXT, 1_679_315_147), ownKey)).toBe(1_679_315_147n);
  });

  test('leaves the signature of the log as it was', () => {
    const cosigned = CHECKPOINT + cosigner.cosign(TEXT, 5);
    expect(verifyCheckpoint(cosigned, parseVerifierKey(log.verifierKey))).toMatchObject({ ok: true });
  });

  test('is missing where the witness has no line', () => {
    expect(timeOf(CHECKPOINT)).toBeUndefined();
    expect(timeOf(CHECKPOINT + cosigner.cosign(TEXT, 5))).toBeUndefined();
  });

  test('covers the whole text, the time, and bears the name and the id of the witness', () => {
    const other = parseNote(log.sign(6, leafHash(Buffer.from('a tree')))).text;
    const extended = `${TEXT}extension\n`;
    const { signature } = parseSignatures(witness.cosignatureLine(TEXT, 5n))[0]!;
    const refused = [
      witness.cosignatureLine(other, 5n),
      witness.cosignatureLine(extended, 5n),
      witness.cosignatureLine(TEXT.slice(0, -1), 5n),
      line(6n, signature.subarray(8)),
      line(5n, witness.bare(TEXT)),
      line(5n, witness.bare(`cosignature/v1\ntime 05\n${TEXT}`)),
      line(5n, witness.bare(`cosignature/v2\ntime 5\n${TEXT}`)),
      signatureLine('witness.example/x', witness.id, signature),
      signatureLine(witness.name, Buffer.of(1, 2, 3, 4), signature),
    ];
    for (const one of refused) expect(timeOf(CHECKPOINT + one)).toBeUndefined();
    expect(timeOf(CHECKPOINT + line(5n, signature.subarray(8)))).toBe(5n);
  });

  test.each([0n, 2n ** 63n, 2n ** 64n - 1n])('at the time %d is refused, though it is signed', (seconds) => {
    expect(timeOf(CHECKPOINT + witness.cosignatureLine(TEXT, seconds))).toBeUndefined();
  });

  test('is refused with any one bit flipped, and with every other length', () => {
    const { signature } = parseSignatures(witness.cosignatureLine(TEXT, 5n))[0]!;
    for (let bit = 0; bit < signature.length * 8; bit++) {
      const flipped = Buffer.from(signature);
      flipped[bit >> 3] = flipped[bit >> 3]! ^ (1 << (bit & 7));
      expect(timeOf(CHECKPOINT + signatureLine(witness.name, witness.id, flipped))).toBeUndefined();
    }
    const longer = Buffer.concat([signature, Buffer.alloc(60)]);
    for (const length of [1, 7, 8, 9, 63, 64, 71, 73, 80, 128]) {
      const resized = signatureLine(witness.name, witness.id, longer.subarray(0, length));
      expect(timeOf(CHECKPOINT + resized)).toBeUndefined();
    }
  });

  test('that is bad refuses the good one of the same witness beside it, before or after', () => {
    const [good, bad] = [witness.cosignatureLine(TEXT, 5n), line(6n, Buffer.alloc(64))];
    expect(timeOf(CHECKPOINT + good + bad)).toBeUndefined();
    expect(timeOf(CHECKPOINT + bad + good)).toBeUndefined();
    expect(timeOf(CHECKPOINT + good + line(0n, Buffer.alloc(64)))).toBeUndefined();
  });

  test('counts with its latest time where there are several good ones', () => {
    const [early, late] = [witness.cosignatureLine(TEXT, 5n), witness.cosignatureLine(TEXT, 9n)];
    expect(timeOf(CHECKPOINT + early + late)).toBe(9n);
    expect(timeOf(CHECKPOINT + late + early)).toBe(9n);
  });

  test('is never found under a key of type 01, which signs logs', () => {
    const asLog = noteSigner('witness.example/w', 1);
    const note = CHECKPOINT + asLog.cosignatureLine(TEXT, 5n);
    expect(timeOf(note, parseVerifierKey(asLog.vkey))).toBeUndefined();
    expect(timeOf(CHECKPOINT, parseVerifierKey(log.verifierKey))).toBeUndefined();
  });

  test.each([0, -1, 0.5, NaN, Infinity, 2 ** 53])('is not made at the time %d', (seconds) => {
    expect(() => cosigner.cosign(TEXT, seconds)).toThrow(RangeError);
  });

  test('is made by a witness with a name and a seed of 32 bytes', () => {
    expect(() => new Cosigner('a b', Buffer.alloc(32, 1))).toThrow(RangeError);
    expect(() => new Cosigner('witness', Buffer.alloc(31, 1))).toThrow(RangeError);
    expect(() => new Cosigner('witness', Buffer.alloc(33, 1))).toThrow(RangeError);
  });
});
