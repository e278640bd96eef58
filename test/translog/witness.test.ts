import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { Cosigner } from '../../src/translog/cosignature.js';
import { parseVerifierKey } from '../../src/translog/note.js';
import {
  authenticateSubmission,
  cosignatureIn,
  formatAddCheckpoint,
  formatConflict,
  MAX_WITNESS_BYTES,
  originHash,
  parseAddCheckpoint,
  parseConflict,
  parseHeldCheckpoint,
  refusalOf,
  type SignedSubmission,
  type WitnessRefusal,
} from '../../src/translog/witness.js';
import { SignedLog } from '../helpers/signed-log.js';
import { noteSigner } from './note-signer.js';

const log = new SignedLog('broker.example/0011223344556677');
const logs = new Map([[log.origin, parseVerifierKey(log.signer.vkey)]]);
const witness = noteSigner('witness.example/w1', 4);
const witnessKey = parseVerifierKey(witness.vkey);

const submit = (body: string) => authenticateSubmission(parseAddCheckpoint(body), logs);

function signed(body: string): SignedSubmission {
  const submission = submit(body);
  if ('refused' in submission) throw new Error(submission.refused);
  return submission;
}

function refused(outcome: SignedSubmission | WitnessRefusal | undefined): string {
  return outcome !== undefined && 'refused' in outcome ? outcome.refused : 'not refused';
}

/** What is decided where the witness has cosigned the tree of `latestSize` of this log. */
const decided = (body: string, latestSize: number, of = log) =>
  refusalOf(
    signed(body),
    latestSize === 0 ? undefined : { origin: of.origin, size: latestSize, root: of.root(latestSize) },
  );

describe('a request', () => {
  test('is read as the specification writes it, and written as it is read', () => {
    const body = log.body(5, 12);
    const request = parseAddCheckpoint(body);
    expect(request).toEqual({ oldSize: 5, proof: log.proof(5, 12), checkpoint: log.checkpoint(12) });
    expect(formatAddCheckpoint(request)).toBe(body);
    expect(parseAddCheckpoint(log.body(0, 3))).toMatchObject({ oldSize: 0, proof: [] });
  });

  test('the example of the specification parses', () => {
    const body =
      'old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\njrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n' +
      '5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n' +
      'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n' +
      '— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n';
    const { oldSize, proof } = parseAddCheckpoint(body);
    expect([oldSize, proof.length]).toEqual([20852014, 4]);
    expect(refused(submit(body))).toBe('unknown-log');
  });

  const hash = Buffer.alloc(32, 7).toString('base64');
  test.each([
    ['', 'no blank line'],
    ['old 1', 'no blank line'],
    ['old 1\n', 'no blank line'],
    ['\n\nx', 'first line'],
    ['new 1\n\nx', 'first line'],
    ['old  1\n\nx', 'tree size'],
    ['old 01\n\nx', 'tree size'],
    ['old -1\n\nx', 'tree size'],
    ['old +1\n\nx', 'tree size'],
    ['old 1.0\n\nx', 'tree size'],
    ['old 1 \n\nx', 'tree size'],
    ['old 1\r\n\nx', 'tree size'],
    ['old \n\nx', 'tree size'],
    [`old ${String(2 ** 53)}\n\nx`, 'tree size'],
    ['old 18446744073709551616\n\nx', 'tree size'],
    [`old 1\n${hash.slice(0, -1)}\n\nx`, 'base64'],
    [`old 1\n${hash}=\n\nx`, 'base64'],
    [`old 1\n ${hash}\n\nx`, 'base64'],
    [`old 1\n${Buffer.alloc(31).toString('base64')}\n\nx`, '32 bytes'],
    [`old 1\n${Buffer.alloc(33).toString('base64')}\n\nx`, '32 bytes'],
  ])('%j is malformed', (body, why) => {
    expect(() => parseAddCheckpoint(body)).toThrow(MalformedError);
    expect(() => parseAddCheckpoint(body)).toThrow(why);
  });

  test('has at most 63 proof lines, and the largest size is below 2^53', () => {
    const lines = (count: number) => `old ${String(2 ** 53 - 1)}\n${`${hash}\n`.repeat(count)}\nx`;
    expect(parseAddCheckpoint(lines(63))).toMatchObject({ oldSize: 2 ** 53 - 1, checkpoint: 'x' });
    expect(() => parseAddCheckpoint(lines(64))).toThrow('more than 63');
    expect(() => parseAddCheckpoint(lines(5000))).toThrow('more than 63');
  });

  test('no proper prefix of one is signed by the log, and no text makes the parser throw anything else', () => {
    const body = log.body(5, 12);
    for (let end = 0; end < body.length; end++) {
      let outcome = 'malformed';
      try {
        outcome = refused(submit(body.slice(0, end)));
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedError);
      }
      expect(outcome).not.toBe('not refused');
    }
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom('old ', '1', '\n', '=', 'A', '—', ' ') }),
    );
    fc.assert(
      fc.property(text, (input) => {
        try {
          expect(formatAddCheckpoint(parseAddCheckpoint(input))).toBe(input);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });

  test('is written as it is parsed, whatever it holds', () => {
    const proofs = fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 63 });
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 40 }), proofs, fc.string(), (oldSize, hashes, checkpoint) => {
        const request = { oldSize, proof: hashes.map((each) => Buffer.from(each)), checkpoint };
        expect(parseAddCheckpoint(formatAddCheckpoint(request))).toEqual(request);
      }),
    );
  });
});

describe('a submission is refused', () => {
  test('for a log that the witness does not know', () => {
    const other = new SignedLog('other.example/log');
    expect(refused(submit(other.body(0, 3)))).toBe('unknown-log');
    expect(refused(submit(new SignedLog('__proto__').body(0, 3)))).toBe('unknown-log');
  });

  test('without the signature of the known key, or with one that does not verify', () => {
    const impostor = new SignedLog(log.origin);
    expect(refused(submit(impostor.body(0, 3)))).toBe('unsigned');
    const text = log.text(3);
    const line = log.signer.line(text);
    const mangled = log.signer.line(log.text(4));
    const with_ = (lines: string) => log.body(0, 3, { checkpoint: `${text}\n${lines}` });
    expect(refused(submit(with_(mangled)))).toBe('unsigned');
    expect(refused(submit(with_(line + mangled)))).toBe('unsigned');
    expect(refused(submit(with_(mangled + line)))).toBe('unsigned');
    expect(refused(submit(with_(witness.cosignatureLine(text, 1n))))).toBe('unsigned');
    expect(refused(submit(with_(impostor.signer.line(text) + line)))).toBe('not refused');
  });

  test('under a key of the log that is no log key', () => {
    const asWitness = noteSigner(log.origin, 4);
    const text = log.text(3);
    const body = log.body(0, 3, { checkpoint: `${text}\n${asWitness.line(text)}` });
    const keys = new Map([[log.origin, parseVerifierKey(asWitness.vkey)]]);
    expect(refused(authenticateSubmission(parseAddCheckpoint(body), keys))).toBe('unsigned');
  });

  test('where the checkpoint is malformed', () => {
    for (const checkpoint of ['', 'x', log.text(3), `${log.origin}\n3\n\n— a b\n`, `${log.checkpoint(3)}x`]) {
      expect(refused(submit(log.body(0, 3, { checkpoint })))).toBe('malformed');
    }
    for (const text of [
      `${log.origin}\n03\n${log.root(3).toString('base64')}\n`,
      `${log.origin}\n3\nAAAA\n`,
      `${log.origin}\n3\n`,
    ]) {
      const checkpoint = `${text}\n${log.signer.line(text)}`;
      expect(refused(submit(log.body(0, 3, { checkpoint })))).toBe('malformed');
    }
  });

  test('where the old size is larger than the checkpoint', () => {
    expect(refused(submit(log.body(4, 3)))).toBe('malformed');
    expect(refused(submit(log.body(3, 3)))).toBe('not refused');
  });

  test('for an empty tree with another root', () => {
    const text = `${log.origin}\n0\n${Buffer.alloc(32).toString('base64')}\n`;
    expect(refused(submit(log.body(0, 0, { checkpoint: `${text}\n${log.signer.line(text)}` })))).toBe('inconsistent');
    expect(decided(log.body(0, 0), 0)).toBeUndefined();
  });

  test('where the old size is not that of the latest checkpoint, and says which is', () => {
    expect(decided(log.body(3, 9), 5)).toEqual({ refused: 'conflict', size: 5 });
    expect(decided(log.body(3, 9), 0)).toEqual({ refused: 'conflict', size: 0 });
    expect(decided(log.body(0, 9), 9)).toEqual({ refused: 'conflict', size: 9 });
  });

  test('where the proof does not verify, is not empty where it must be, or the root differs at the same size', () => {
    const proof = log.proof(5, 12);
    expect(decided(log.body(5, 12), 5)).toBeUndefined();
    const changed = proof.map((hash, at) => (at === 1 ? Buffer.alloc(32) : hash));
    for (const wrong of [[], proof.slice(1), proof.slice(0, -1), [...proof, Buffer.alloc(32)], changed]) {
      expect(refused(decided(log.body(5, 12, { proof: wrong }), 5))).toBe('inconsistent');
    }
    expect(refused(decided(log.body(0, 12, { proof: [Buffer.alloc(32)] }), 0))).toBe('inconsistent');
    expect(refused(decided(log.body(5, 5, { proof: [Buffer.alloc(32)] }), 5))).toBe('inconsistent');
    expect(decided(log.body(5, 5), 5)).toBeUndefined();
    expect(refused(decided(log.fork(2).body(5, 5), 5))).toBe('inconsistent');
  });

  test('where the log has forked before what was cosigned, whatever proof comes with it; a fork after it is a continuation', () => {
    for (let at = 0; at < 8; at++) {
      const forked = log.fork(at);
      const outcome = refused(decided(forked.body(8, 13), 8));
      expect(outcome).toBe('inconsistent');
      expect(refused(decided(forked.body(8, 13, { proof: log.proof(8, 13) }), 8))).toBe('inconsistent');
    }
    expect(decided(log.fork(8).body(8, 13), 8)).toBeUndefined();
  });

  test('exhaustively: of trees up to 40 leaves a grown one is taken from every size', () => {
    for (let size = 0; size <= 40; size++) {
      for (let old = 0; old <= size; old++) expect(decided(log.body(old, size), old)).toBeUndefined();
    }
  });
});

test('what is kept of a submission is the text and the signature of the log, extension lines included, foreign lines not', () => {
  const text = log.text(3, 'an extension\n');
  const foreign = noteSigner('somebody', 1).line(text);
  const checkpoint = `${text}\n${foreign}${log.signer.line(text)}`;
  expect(signed(log.body(0, 3, { checkpoint }))).toMatchObject({
    text,
    checkpoint: `${text}\n${log.signer.line(text)}`,
    head: { origin: log.origin, size: 3, root: log.root(3) },
  });
});

describe('what a witness keeps', () => {
  const text = log.text(3);
  const line = witness.cosignatureLine(text, 1_800_000_000n);
  const note = `${log.checkpoint(3)}${line}`;

  test('is read back under its own cosignature', () => {
    expect(parseHeldCheckpoint(note, witnessKey)).toMatchObject({
      head: { size: 3, root: log.root(3) },
      text,
      checkpoint: note,
      cosignature: line,
      cosignedAt: 1_800_000_000n,
    });
  });

  test('is damaged when a byte of text or cosignature is another, or it is cut off anywhere', () => {
    const bytes = Buffer.from(note);
    const logLine = note.indexOf(log.signer.line(text));
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      // The log's own signature is not looked at again: it was verified before the cosignature was made.
      const inLogLine =
        at >= logLine && at < Buffer.byteLength(note.slice(0, logLine)) + Buffer.byteLength(log.signer.line(text));
      if (!inLogLine) expect(() => parseHeldCheckpoint(changed.toString('utf8'), witnessKey)).toThrow(MalformedError);
      expect(() => parseHeldCheckpoint(bytes.subarray(0, at).toString('utf8'), witnessKey)).toThrow(MalformedError);
    }
    expect(() => parseHeldCheckpoint(log.checkpoint(3), witnessKey)).toThrow('cosignature of this witness');
  });
});

describe('an answer', () => {
  const text = log.text(9);
  const line = witness.cosignatureLine(text, 1_800_000_000n);

  test('has the cosignature of the configured key; lines of others are ignored', () => {
    const others =
      noteSigner('witness.example/w2', 4).cosignatureLine(text, 5n) +
      noteSigner(witness.name, 4).cosignatureLine(text, 5n);
    expect(cosignatureIn(line, text, witnessKey)).toBe(line);
    expect(cosignatureIn(others + line, text, witnessKey)).toBe(line);
  });

  test.each([
    ['nothing', ''],
    ['a line of another witness', noteSigner('witness.example/w2', 4).cosignatureLine(text, 5n)],
    ['a cosignature of another checkpoint', witness.cosignatureLine(log.text(8), 5n)],
    ['a cosignature without a time', witness.cosignatureLine(text, 0n)],
    ['a plain signature', witness.line(text)],
    ['a valid one and one that does not verify', line + witness.cosignatureLine(log.text(8), 5n)],
    ['no newline', line.slice(0, -1)],
    ['text under it', `${line}thanks\n`],
    ['more than can be read', `${'x'.repeat(MAX_WITNESS_BYTES)}\n`],
  ])('with %s is refused', (_what, answer) => {
    expect(() => cosignatureIn(answer, text, witnessKey)).toThrow(MalformedError);
  });

  test('agrees with the Cosigner of the product', () => {
    const cosigner = new Cosigner('witness.example/w3', Buffer.alloc(32, 3));
    const own = cosigner.cosign(text, 1_800_000_000);
    expect(cosignatureIn(own, text, parseVerifierKey(cosigner.verifierKey))).toBe(own);
  });

  test('of a conflict is one size and a newline', () => {
    for (const size of [0, 1, 42, 2 ** 53 - 1]) expect(parseConflict(formatConflict(size))).toBe(size);
    for (const body of ['', '\n', '42', '42\n\n', ' 42\n', '042\n', '-1\n', `${String(2 ** 53)}\n`, '1e3\n']) {
      expect(() => parseConflict(body)).toThrow(MalformedError);
    }
  });
});

test('a log is found by the lower-case hex of SHA-256 of its origin', () => {
  expect(originHash('example.com/behind-the-sofa')).toBe(
    createHash('sha256').update('example.com/behind-the-sofa').digest('hex'),
  );
});
