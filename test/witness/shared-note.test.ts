import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parseVerifierKey } from '../../src/translog/note.js';
import { type NoteCheck, sharedFile, sizeOfCosigned } from '../../src/witness/shared-note.js';
import { SignedLog } from '../helpers/signed-log.js';
import { noteSigner } from '../translog/note-signer.js';

const log = new SignedLog('broker.example/0011223344556677');
const signers = ['w1', 'w2', 'w3'].map((name) => noteSigner(`witness.example/${name}`, 4));
const [one, two, three] = signers as [(typeof signers)[0], (typeof signers)[0], (typeof signers)[0]];

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'portcullis-shared-'));
});
afterEach(() => rmSync(scratch, { recursive: true }));

describe('the shared file', () => {
  test('gives what was written last, whole, and is its owner’s alone', async () => {
    const path = join(scratch, 'log.cosigned');
    const shared = sharedFile(path);
    expect(await shared.read()).toBeUndefined();
    const texts = Array.from({ length: 20 }, (_, at) => String(at).repeat(5_000));
    await Promise.all(texts.map((text) => sharedFile(path).write(text)));
    expect(texts).toContain(await shared.read());
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(scratch)).toEqual(['log.cosigned']);
  });

  test('is read up to what a note may have', async () => {
    const path = join(scratch, 'log.cosigned');
    writeFileSync(path, 'x'.repeat(200_000));
    expect(await sharedFile(path).read()).toBe('x'.repeat(64 * 1024));
  });

  test('that cannot be written or read is none', async () => {
    const shared = sharedFile(join(scratch, 'missing', 'log.cosigned'));
    await shared.write('x');
    expect(await shared.read()).toBeUndefined();
    expect(readdirSync(scratch)).toEqual([]);
  });
});

describe('a shared checkpoint', () => {
  const check = (quorum: number, size = 20): NoteCheck => ({
    log: {
      head: async () => ({ size, checkpoint: log.checkpoint(size) }),
      consistency: async (oldSize, newSize) => log.proof(oldSize, newSize),
    },
    logKey: parseVerifierKey(log.signer.vkey),
    witnesses: signers.map(({ vkey }) => parseVerifierKey(vkey)),
    quorum,
  });
  const note = (size: number, by: readonly (typeof one)[], of = log) =>
    `${of.checkpoint(size)}${by.map((each) => each.cosignatureLine(of.text(size), 5n)).join('')}`;

  test('counts with a quorum of distinct witnesses, of any size that the log has had', async () => {
    expect(await sizeOfCosigned(note(12, [one, two]), check(2))).toBe(12);
    expect(await sizeOfCosigned(note(20, [three, one]), check(2))).toBe(20);
    expect(await sizeOfCosigned(note(20, [one, two, three]), check(2))).toBe(20);
  });

  test.each([
    ['too few witnesses', note(12, [one])],
    ['one witness twice', note(12, [one, one])],
    ['a witness that nobody configured', note(12, [one, noteSigner('witness.example/w2', 4)])],
    ['a cosignature of another size', `${note(12, [one])}${two.cosignatureLine(log.text(13), 5n)}`],
    ['another key of the log', note(12, [one, two], new SignedLog(log.origin))],
    ['another log', note(12, [one, two], new SignedLog('other.example/log'))],
    ['another history under the same key', note(12, [one, two], log.fork(3))],
    ['another history of the same size', note(20, [one, two], log.fork(3))],
    ['a tree that the log has not reached', note(21, [one, two])],
    ['nothing', ''],
    ['noise', 'noise'],
  ])('does not count with %s', async (_what, text) => {
    expect(await sizeOfCosigned(text, check(2))).toBeUndefined();
  });
});
