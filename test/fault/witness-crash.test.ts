import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parseVerifierKey, type VerifierKey } from '../../src/translog/note.js';
import { cosignatureIn, parseHeldCheckpoint } from '../../src/translog/witness.js';
import { ServedWitness } from '../helpers/served-witness.js';
import { SignedLog } from '../helpers/signed-log.js';

const ROUNDS = 8;
const log = new SignedLog('broker.example/0011223344556677');
const hash = createHash('sha256').update(log.origin).digest('hex');

let dir: string;
let key: VerifierKey;
let witness: ServedWitness;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-witness-crash-'));
  witness = await ServedWitness.make(dir, log.signer.vkey);
  key = parseVerifierKey(witness.key);
});
afterAll(async () => {
  await witness.stop('SIGKILL');
  rmSync(dir, { recursive: true });
});

async function post(body: string): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${witness.url}/add-checkpoint`, { method: 'POST', body });
  return { status: answer.status, text: await answer.text() };
}

/** The size on disk, as another process sees it; 0: none. */
function sizeOnDisk(): number {
  try {
    return Number(readFileSync(join(witness.dataDir, 'checkpoints', hash), 'utf8').split('\n')[1]);
  } catch {
    return 0;
  }
}

test('a witness that is killed at any moment has forgotten nothing that it cosigned, and never cosigns a fork', async () => {
  let size = 0;
  let answered = 0;
  let unanswered = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await witness.start();
    // It grows until it is killed, in the moment in which the state on disk changes for the n-th time.
    const target = size + 1 + (round % 4);
    const grow = (async () => {
      for (let next = size + 1; ; next++) {
        const { status, text } = await post(log.body(next - 1, next));
        expect(status).toBe(200);
        cosignatureIn(text, log.text(next), key);
        answered = next;
      }
    })().catch((error: unknown) => {
      if ((error as Error).name !== 'TypeError') throw error;
    });
    while (sizeOnDisk() < target) await new Promise((resolve) => setImmediate(resolve));
    await witness.stop('SIGKILL');
    await grow;

    await witness.start();
    const held = parseHeldCheckpoint(await (await fetch(`${witness.url}/${hash}/checkpoint`)).text(), key);
    size = held.head.size;
    expect(size).toBeGreaterThanOrEqual(Math.max(answered, target));
    expect(held.text).toBe(log.text(size));
    if (size > answered) unanswered++;
    // Another history from any point that was ever answered, or is on disk: no.
    for (const at of new Set([0, size - 1, answered - 1].filter((each) => each >= 0))) {
      const fork = log.fork(at);
      expect((await post(fork.body(at, size))).status).toBe(409);
      expect((await post(fork.body(size, size))).status).toBe(422);
      expect((await post(fork.body(size, size + 1))).status).toBe(422);
    }
    await witness.stop('SIGKILL');
  }
  // Between what was on disk and what was answered lay at least one of the kills: the moment that the test is about.
  expect(unanswered).toBeGreaterThan(0);
}, 240_000);
