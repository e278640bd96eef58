import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { sha256 } from '../../src/crypto/digest.js';
import { acceptRollback, type AcceptedRollback, examineLog, settledHeads } from '../../src/release/rollback.js';
import type { LogHead } from '../../src/release/store.js';
import { verifyCheckpoint } from '../../src/translog/checkpoint.js';
import { leafHash } from '../../src/translog/merkle.js';
import { parseVerifierKey } from '../../src/translog/note.js';
import { verifyReceipt } from '../../src/translog/receipt.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ADMIN, bootedMachine, released, TestBroker, valueOf } from '../helpers/test-broker.js';

const ASKED = { deployment: 'llm', key: 'weights' };
let broker: TestBroker;
let machine: SimulatorAttester;

beforeEach(async () => {
  broker = await TestBroker.start();
  machine = await bootedMachine();
  await broker.deploy('llm');
  await broker.pin(machine, 'llm');
  await broker.key('weights', 'llm');
  await broker.key('Other-Key', 'llm');
});

afterEach(() => broker.close());

const database = () => join(broker.dataDir, 'portcullis.db');
const head = (): Promise<LogHead> => broker.context.store.logHead();
const accept = (missing: { size: number; root: Buffer }): Promise<AcceptedRollback> =>
  acceptRollback(broker.context, { missing: { ...missing, where: 'the file /v/log.checkpoint' } });

/** Restores the database as it was before `work`; what the log had come to then. */
async function losing(work: () => Promise<void>): Promise<LogHead> {
  const copy = `${database()}.copy`;
  // Closing folds the WAL into the file.
  await broker.restart(() => copyFileSync(database(), copy));
  await work();
  const lost = await head();
  await broker.restart(() => {
    for (const suffix of ['-wal', '-shm']) rmSync(database() + suffix, { force: true });
    copyFileSync(copy, database());
  });
  return lost;
}

const draw = async () => released(await broker.release(machine, ASKED));
const drawn = async (): Promise<void> => {
  await draw();
};

describe('a log that is held against what was seen of it', () => {
  test('lacks what was lost, and nothing else; the largest first', async () => {
    const before = await head();
    const lost = await losing(drawn);
    await broker.key('third', 'llm');
    const seen = [
      { ...before, where: 'before' },
      { ...lost, where: 'the lost one' },
      { size: lost.size + 5, root: Buffer.alloc(32, 1), where: 'further' },
      { size: 1, root: Buffer.alloc(32, 1), where: 'another history' },
    ];
    const survived = await examineLog(broker.context.store, seen);
    expect(survived.missing.map(({ where }) => where)).toEqual(['further', 'the lost one', 'another history']);
    expect(survived.head).toEqual(await head());
    expect(Date.parse(survived.newestEntryAt ?? '')).toBeLessThanOrEqual(Date.now());
    // Looking changes nothing.
    await draw();
  });
});

describe('a rollback that is accepted', () => {
  test('begins a log of another name and key with what survived', async () => {
    const lost = await losing(drawn);
    const survived = await head();
    const entries = await broker.context.store.logEntries(0, 1000);
    const former = parseVerifierKey(broker.context.logKey);
    const accepted = await accept(lost);

    const logKey = parseVerifierKey(accepted.logKey);
    expect(accepted).toMatchObject({ previousOrigin: survived.origin, previousSize: survived.size, frozenKeys: 2 });
    expect(logKey.name).not.toBe(former.name);
    expect(logKey.name.split('/')[0]).toBe(former.name.split('/')[0]);
    expect(logKey.publicKey.equals(former.publicKey)).toBe(false);
    const verified = valueOf(verifyCheckpoint(accepted.head.checkpoint, logKey));
    expect(verified.head).toEqual({ origin: logKey.name, size: survived.size + 1, root: accepted.head.root });
    expect(verifyCheckpoint(accepted.head.checkpoint, former).ok).toBe(false);

    await broker.restart();
    expect(broker.context.logKey).toBe(accepted.logKey);
    const after = await broker.context.store.logEntries(0, 1000);
    expect(after.slice(0, -1)).toEqual(entries);
    expect(JSON.parse(after.at(-1) ?? '')).toMatchObject({
      type: 'log.rollback_accepted',
      log_origin: logKey.name,
      previous_origin: survived.origin,
      previous_size: String(survived.size),
      previous_root: survived.root.toString('hex'),
      newest_known_size: String(lost.size),
      newest_known_root: lost.root.toString('hex'),
      frozen_keys: 2,
    });
  });

  test('kills every nonce of before, and freezes every key until it is unfrozen', async () => {
    const lost = await losing(drawn);
    const { request } = await broker.request(machine, ASKED);
    const before = await broker.context.store.read((view) => view.state());
    const { epoch } = await accept(lost);
    expect(epoch).toBe(before.epoch + 1);
    await broker.restart();
    expect(await broker.broker.release(request)).toMatchObject({ reason: 'challenge.invalid' });
    expect(await broker.release(machine, ASKED)).toMatchObject({ reason: 'key.frozen' });
    for (const name of ['weights', 'Other-Key']) {
      expect(valueOf(await broker.broker.showKey(name)).frozen).toBe(true);
      valueOf(await broker.broker.setKeyFrozen(ADMIN, name, false));
    }
    const { receipt, jwe } = await draw();
    const logKey = parseVerifierKey(broker.context.logKey);
    expect(verifyReceipt(receipt, { logKey, jwe }).ok).toBe(true);
    expect(await broker.broker.release(request)).toMatchObject({ reason: 'challenge.invalid' });
  });

  test('does not take the receipt of a release that was lost, nor lets the former key vouch for the new log', async () => {
    const former = parseVerifierKey(broker.context.logKey);
    let receipt: unknown;
    let jwe = '';
    const lost = await losing(async () => {
      ({ receipt, jwe } = await draw());
    });
    await accept(lost);
    await broker.restart();
    const logKey = parseVerifierKey(broker.context.logKey);
    expect(verifyReceipt(receipt, { logKey, jwe }).ok).toBe(false);
    // It was released, and whoever holds the former key can still show it.
    expect(verifyReceipt(receipt, { logKey: former, jwe }).ok).toBe(true);
    expect(verifyCheckpoint((await head()).checkpoint, former).ok).toBe(false);
  });

  test('keeps why beside the log, with its hash in the entry', async () => {
    await acceptRollback(broker.context, { reason: 'disk of node-7 lost' });
    const [newest] = await broker.context.store.read((view) => view.entries({ limit: 1 }));
    const entry = JSON.parse(newest?.entry ?? '') as Record<string, unknown>;
    expect(newest?.entry).not.toContain('node-7');
    expect(entry).not.toHaveProperty('newest_known_size');
    expect(entry['detail_sha256']).toBe(sha256(Buffer.from(newest?.detail ?? '')).toString('hex'));
    expect(JSON.parse(newest?.detail ?? '')).toMatchObject({ reason: 'disk of node-7 lost' });
  });

  test('can be followed by another one', async () => {
    const origins = [broker.context.logKey];
    for (let round = 0; round < 3; round++) {
      await acceptRollback(broker.context, { reason: 'again' });
      await broker.restart();
      origins.push(broker.context.logKey);
    }
    expect(new Set(origins).size).toBe(4);
    const settled = await settledHeads(broker.context.store);
    for (const logKey of origins) {
      const origin = parseVerifierKey(logKey).name;
      expect([origin, settled({ origin, size: 9, root: Buffer.alloc(32) })]).toEqual([
        origin,
        logKey !== origins.at(-1),
      ]);
    }
  });

  test('works under a KEK that was rotated, and is refused by nobody who reads with it', async () => {
    valueOf(await broker.broker.rotateKek(ADMIN));
    await acceptRollback(broker.context, { reason: 'a test' });
    await broker.restart();
    valueOf(await broker.broker.rotateKek(ADMIN));
    await broker.restart();
    valueOf(await broker.broker.setKeyFrozen(ADMIN, 'weights', false));
    await draw();
  });
});

describe('what accepted rollbacks have settled', () => {
  test('is the logs before, and the head that showed the loss under whatever name', async () => {
    const lost = await losing(drawn);
    const former = (await head()).origin;
    expect((await settledHeads(broker.context.store))(lost)).toBe(false);
    await accept(lost);
    const settled = await settledHeads(broker.context.store);
    expect(settled({ ...lost, origin: 'b/other' })).toBe(true);
    expect(settled({ origin: former, size: 1, root: Buffer.alloc(32) })).toBe(true);
    expect(settled({ origin: 'b/other', size: lost.size + 1, root: lost.root })).toBe(false);
    expect(settled({ origin: 'b/other', size: lost.size, root: Buffer.alloc(32) })).toBe(false);
  });

  test('cannot be added with SQL: the entry must be in the tree that the head authenticates', async () => {
    const text = JSON.stringify({ previous_origin: 'b/forged', type: 'log.rollback_accepted' });
    const db = new Database(database());
    db.prepare('UPDATE log_entries SET entry = ?, leaf_hash = ? WHERE log_index = 3').run(
      text,
      leafHash(Buffer.from(text)),
    );
    db.close();
    const settled = await settledHeads(broker.context.store);
    expect(settled({ origin: 'b/forged', size: 1, root: Buffer.alloc(32) })).toBe(false);
  });
});
