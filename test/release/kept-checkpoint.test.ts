import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CheckpointSeal, type KeptBy, readKeptCheckpoint } from '../../src/release/kept-checkpoint.js';
import { CheckpointSigner } from '../../src/translog/checkpoint.js';
import { parseVerifierKey } from '../../src/translog/note.js';

const BROKER = '0123456789abcdef0123456789abcdef';
const ROOT = Buffer.alloc(32, 5);
const own = new CheckpointSigner(`${BROKER}/1111111111111111`, Buffer.alloc(32, 1));
const next = new CheckpointSigner(`${BROKER}/2222222222222222`, Buffer.alloc(32, 2));
const seal = new CheckpointSeal(BROKER, Buffer.alloc(32, 9));
const keptBy: KeptBy = { logKey: parseVerifierKey(own.verifierKey), seal, settled: () => false };
const standing = (text: string, by: Partial<KeptBy> = {}) => readKeptCheckpoint(text, { ...keptBy, ...by }).standing;

describe('a checkpoint that the broker kept outside of its store', () => {
  test('is of its log, with what it says', () => {
    expect(readKeptCheckpoint(seal.seal(own.sign(7, ROOT)), keptBy)).toEqual({
      standing: 'own',
      head: { origin: own.origin, size: 7, root: ROOT },
    });
  });

  test('counts without the mark of the broker, as a client has it, if the log key has signed it', () => {
    expect(standing(own.sign(7, ROOT))).toBe('own');
  });

  test('of another log of the broker counts with its mark alone', () => {
    expect(standing(seal.seal(next.sign(7, ROOT)))).toBe('other');
    expect(standing(next.sign(7, ROOT))).toBe('unproven');
  });

  test('of a log whose loss was accepted says nothing any more', () => {
    const settled: KeptBy['settled'] = ({ origin, size }) => origin === next.origin && size === 7;
    expect(standing(seal.seal(next.sign(7, ROOT)), { settled })).toBe('former');
    expect(standing(seal.seal(next.sign(8, ROOT)), { settled })).toBe('other');
    expect(standing(seal.seal(own.sign(7, ROOT)), { settled: () => true })).toBe('own');
  });

  test('of another broker proves nothing, marked by that one', () => {
    const stranger = new CheckpointSigner('another/3333333333333333', Buffer.alloc(32, 3));
    for (const mark of [
      new CheckpointSeal('another', Buffer.alloc(32, 8)),
      new CheckpointSeal(BROKER, Buffer.alloc(32, 8)),
    ]) {
      expect(standing(mark.seal(stranger.sign(7, ROOT)))).toBe('unproven');
      expect(standing(mark.seal(next.sign(7, ROOT)))).toBe('unproven');
    }
  });

  test('of the log under another key proves nothing, though the broker has marked it', () => {
    const forged = new CheckpointSigner(own.origin, Buffer.alloc(32, 4));
    expect(standing(seal.seal(forged.sign(7, ROOT)))).toBe('unproven');
  });

  test('proves nothing when one bit of it is another, but for the mark where the log key suffices', () => {
    for (const signer of [own, next]) {
      const text = seal.seal(signer.sign(7, ROOT));
      const expected = standing(text);
      const bytes = Buffer.from(text);
      const lastLine = bytes.lastIndexOf('\n— ') + 1;
      const firstLine = bytes.indexOf('\n\n') + 2;
      for (let at = 0; at < bytes.length; at++) {
        for (let bit = 0; bit < 8; bit++) {
          const changed = Buffer.from(bytes);
          changed[at]! ^= 1 << bit;
          const found = standing(changed.toString('utf8'));
          // The log's own line vouches for its own log, the mark for the other one: the line that is not needed may be anything.
          const needed = at < firstLine || (signer === own ? at < lastLine : at >= lastLine);
          expect([at, bit, needed ? found : 'unneeded']).toEqual([at, bit, needed ? 'unproven' : 'unneeded']);
          if (!needed) expect(['unproven', expected]).toContain(found);
        }
      }
    }
  });

  test.each([
    ['nothing', ''],
    ['a cut one', seal.seal(own.sign(7, ROOT)).slice(0, -10)],
    ['half of one', own.sign(7, ROOT).slice(0, 40)],
    ['zeros', '\0'.repeat(300)],
    ['an endless one', own.sign(7, ROOT).padEnd(70_000, 'x')],
  ])('that is %s proves nothing, and says why', (_, text) => {
    const kept = readKeptCheckpoint(text, keptBy);
    expect(kept).toMatchObject({ standing: 'unproven', why: expect.stringMatching(/./) as unknown });
  });

  test('can be anything at all', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => expect(standing(text)).toBe('unproven')));
  });
});
