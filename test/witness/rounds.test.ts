import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { parseVerifierKey } from '../../src/translog/note.js';
import { type RoundEnd, Rounds } from '../../src/witness/rounds.js';
import { type Reach, Standing } from '../../src/witness/standing.js';
import { Troubles } from '../../src/witness/troubles.js';
import { Witnesses } from '../../src/witness/witnesses.js';
import { FakeWitness, respond } from '../helpers/fake-witness.js';
import { LocalWitness } from '../helpers/local-witness.js';
import { SignedLog } from '../helpers/signed-log.js';
import { noteSigner } from '../translog/note-signer.js';

const signedLog = new SignedLog('broker.example/0011223344556677');
const tip = { size: 10, checkpoint: signedLog.checkpoint(10) };
const log = { head: async () => tip, consistency: async (old: number, size: number) => signedLog.proof(old, size) };
const signer = noteSigner('witness.example/fake', 4);
const tick = () => new Promise((resolve) => setImmediate(resolve));

/** Remembers what it was told. */
class HeardStanding extends Standing {
  readonly heard: { readonly reach: Reach; readonly atMs: number }[] = [];

  override reached(atMs: number): void {
    this.heard.push({ reach: 'reached', atMs });
    super.reached(atMs);
  }

  override missed(atMs: number): void {
    this.heard.push({ reach: 'missed', atMs });
    super.missed(atMs);
  }
}

let sound: LocalWitness;
let fake: FakeWitness;
let closing: { close(): Promise<void> }[];
beforeEach(async () => {
  sound = await LocalWitness.start({ name: 'witness.example/w1', logs: [signedLog.signer.vkey] });
  fake = await FakeWitness.start();
  fake.answer = (_asked, response) => respond(response, 500, 'out of order\n');
  closing = [sound, fake];
});
afterEach(async () => {
  for (const each of closing) await each.close();
});

/** Rounds over one checkpoint with a sound witness and one that is out of order; none gets old. */
function subject(quorum: number) {
  const witnesses = new Witnesses([sound, { url: fake.url, key: signer.vkey }], { timeoutMs: 2_000 });
  const observer = { failed: () => undefined, recovered: () => undefined, contradicted: () => undefined };
  const troubles = new Troubles(log, observer, 600_000);
  const standing = new HeardStanding(600_000);
  const ends: RoundEnd[] = [];
  const rounds = new Rounds({
    ...{ log, clients: witnesses.clients, quorum, shared: undefined, troubles, standing },
    check: {
      log,
      logKey: parseVerifierKey(signedLog.signer.vkey),
      quorum,
      witnesses: witnesses.clients.map(({ key }) => key),
    },
    intervalMs: 10,
    refreshMs: 600_000,
    caller: {
      isAwaited: () => false,
      ended: (end) => void ends.push(end),
      failed: (fault) => {
        throw fault;
      },
    },
  });
  closing.unshift(rounds, witnesses);
  /** One more round over the same checkpoint; how it ended. */
  const again = async (): Promise<RoundEnd> => {
    const before = ends.length;
    while (ends.length === before) {
      rounds.want(tip);
      await tick();
    }
    return ends.at(-1)!;
  };
  return { rounds, standing, again };
}

test('a round that is gone on with proves no more than when it began, for most of its cosignatures are as old', async () => {
  const { rounds, standing, again } = subject(1);
  for (let turn = 0; turn < 5; turn++) expect(await again()).toBe('done');
  expect(sound.submissions).toBe(1);
  const { beganMs } = rounds.current!;
  expect(new Set(standing.heard.map(({ reach, atMs }) => `${reach} ${String(atMs - beganMs)}`))).toEqual(
    new Set(['reached 0']),
  );
});

test('one that missed the quorum and gets there after all has made up for that, and proves no more', async () => {
  const { standing, again } = subject(2);
  expect(await again()).toBe('failed');
  expect(standing.at(performance.now())).toBe('missed');
  fake.answer = (_asked, response) => respond(response, 200, signer.cosignatureLine(signedLog.text(10), 5n));
  while ((await again()) !== 'done');
  expect(standing.at(performance.now())).toBe('reached');
  const missed = standing.heard.filter(({ reach }) => reach === 'missed').at(-1);
  expect(standing.heard.at(-1)).toEqual({ reach: 'reached', atMs: missed?.atMs });
});
