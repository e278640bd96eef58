import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { LogIdentity, Store, StoreChange } from '../../src/release/store.js';
import { CheckpointSigner, verifyCheckpoint } from '../../src/translog/checkpoint.js';
import { parseVerifierKey } from '../../src/translog/note.js';
import { TEST_ORIGIN, testLogIdentity } from '../helpers/log-identity.js';
import type { TestDatabase } from './contract.js';
import { LogAudit } from './log-audit.js';
import { commitFor, entriesOf, initialise, testClock } from './samples.js';

const NEXT: LogIdentity = {
  ...testLogIdentity(),
  signer: new CheckpointSigner('test-broker/fedcba9876543210', Buffer.alloc(32, 8)),
};

/** Size and root of a checkpoint that must be signed by this log. */
function headOf(checkpoint: string, { signer }: LogIdentity) {
  const verified = verifyCheckpoint(checkpoint, parseVerifierKey(signer.verifierKey));
  if (!verified.ok) throw new Error(verified.detail);
  const { size, root } = verified.value.head;
  return { size, root };
}

/** What every engine promises of a log that is given another identity. */
export function restartContract(name: string, makeDatabase: () => Promise<TestDatabase>): void {
  let database: TestDatabase;
  const opened: Store[] = [];

  async function open(log?: LogIdentity): Promise<Store> {
    const store = await database.open(testClock(), log);
    opened.push(store);
    return store;
  }

  /** 300 entries: the first tile is full, the second begun. */
  async function grown(): Promise<Store> {
    const store = await open();
    await initialise(store);
    await Promise.all(Array.from({ length: 299 }, (_, at) => store.appendRecord('denial', { at })));
    return store;
  }

  const restart = (store: Store, more: (change: StoreChange) => Promise<void> = () => Promise.resolve()) =>
    store.change(async (change) => {
      await change.restartLog(NEXT.signer);
      await change.append('log.rollback_accepted', {});
      await more(change);
    });

  beforeEach(async () => {
    database = await makeDatabase();
  });

  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    await database.destroy();
  });

  describe(`${name}: a log that is restarted`, () => {
    test('goes on from what it holds, under the new name and key, in that store and after a restart', async () => {
      const store = await grown();
      const before = await LogAudit.of(store);
      await restart(store);
      const commit = await store.commitRelease(await commitFor(store, 'a'));
      if (commit.outcome !== 'committed') throw new Error(commit.outcome);
      expect(commit.logged.index).toBe(301);
      const after = await LogAudit.of(store);
      expect(after.entries.slice(0, 300)).toEqual(before.entries);
      expect(headOf(commit.logged.checkpoint, NEXT)).toEqual({ size: 302, root: after.root() });
      const head = await store.logHead();
      expect([head.origin, head.checkpoint]).toEqual([NEXT.signer.origin, commit.logged.checkpoint]);

      const again = await open(NEXT);
      await again.appendRecord('denial', {});
      expect(headOf((await again.logHead()).checkpoint, NEXT)).toEqual({
        size: 303,
        root: (await LogAudit.of(again)).root(),
      });
      expect(await again.expectLog({ size: 300, root: before.root(), where: 'here' })).toBe(true);
    });

    test('signs nothing of its own under the former key', async () => {
      const store = await grown();
      await restart(store);
      await store.appendRecord('denial', {});
      const { checkpoint } = await store.logHead();
      expect(() => headOf(checkpoint, testLogIdentity())).toThrow();
      expect(checkpoint).not.toContain(TEST_ORIGIN);
    });

    test('is no longer the one of other stores: they refuse until they are opened anew', async () => {
      const store = await grown();
      const other = await open();
      const commit = await commitFor(other, 'a');
      await restart(store);
      for (const attempt of [
        () => other.commitRelease(commit),
        () => other.appendRecord('denial', {}),
        () => other.change((change) => change.append('key.created', {})),
        () => other.logHead(),
      ]) {
        await expect(attempt()).rejects.toThrow('another identity now; restart the broker');
      }
      await expect(open()).rejects.toThrow('another identity');
      expect(await entriesOf(store)).toHaveLength(301);
    });

    test('is what it was where the change fails, or has appended before', async () => {
      const store = await grown();
      const head = await store.logHead();
      const failing = restart(store, () => Promise.reject(new Error('changed my mind')));
      await expect(failing).rejects.toThrow('changed my mind');
      const late = store.change(async (change) => {
        await change.append('key.created', {});
        await change.restartLog(NEXT.signer);
      });
      await expect(late).rejects.toThrow('before anything is appended');
      expect(await store.logHead()).toEqual(head);
      await store.appendRecord('denial', {});
      expect(headOf((await store.logHead()).checkpoint, testLogIdentity()).size).toBe(301);
    });

    test('has a checkpoint of its own though nothing is appended', async () => {
      const store = await grown();
      const { root } = await store.logHead();
      await store.change((change) => change.restartLog(NEXT.signer));
      expect(headOf((await store.logHead()).checkpoint, NEXT)).toEqual({ size: 300, root });
    });

    test('cannot be one that has not begun', async () => {
      const store = await open();
      await expect(restart(store)).rejects.toThrow('before anything is appended');
    });

    test('does not change what was seen of it elsewhere: a store that refuses cannot restart it', async () => {
      const store = await grown();
      expect(await store.expectLog({ size: 999, root: Buffer.alloc(32), where: 'there' })).toBe(false);
      await expect(restart(store)).rejects.toThrow('there');
    });
  });
}
