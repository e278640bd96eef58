import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type CommitOutcome, type LoggedEntry, type Store, StoreIntegrityError } from '../../src/release/store.js';
import { EMPTY_ROOT } from '../../src/translog/merkle.js';
import type { TestDatabase } from './contract.js';
import { LogAudit, readCheckpoint } from './log-audit.js';
import { commitFor, entriesOf, hash, initialise, key, NOW, testClock } from './samples.js';

/** What every engine promises of the log: the tree over the entries, its checkpoints, and what is made of another one's. */
export function logContract(name: string, makeDatabase: () => Promise<TestDatabase>): void {
  let database: TestDatabase;
  let clock: ReturnType<typeof testClock>;
  const opened: Store[] = [];

  async function open(at: () => number = clock): Promise<Store> {
    const store = await database.open(at);
    opened.push(store);
    return store;
  }

  async function filled(): Promise<Store> {
    const store = await open();
    await initialise(store);
    return store;
  }

  async function append(store: Store, count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, (_, at) => store.appendRecord('denial', { at })));
  }

  function loggedIn(outcome: CommitOutcome): LoggedEntry {
    if (outcome.outcome !== 'committed') throw new Error(outcome.outcome);
    return outcome.logged;
  }

  async function commitMany(stores: readonly Store[], count: number): Promise<readonly LoggedEntry[]> {
    const commits = await Promise.all(Array.from({ length: count }, (_, at) => commitFor(stores[0]!, String(at))));
    const outcomes = await Promise.all(commits.map((each, at) => stores[at % stores.length]!.commitRelease(each)));
    return outcomes.map(loggedIn);
  }

  beforeEach(async () => {
    clock = testClock();
    database = await makeDatabase();
  });

  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    await database.destroy();
  });

  describe(`${name}: the tree of the log`, () => {
    test('is that of its entries, at every size around a tile', async () => {
      const store = await filled();
      for (let size = 1; size <= 8; size++) {
        (await LogAudit.of(store)).expectHead(await store.logHead());
        await append(store, 1);
      }
      await append(store, 245);
      for (let size = 254; size <= 259; size++) {
        const audit = await LogAudit.of(store);
        expect(audit.size).toBe(size);
        audit.expectHead(await store.logHead());
        expect(await store.logHashes(1, 0, 9)).toEqual(audit.tileLevel(1));
        await append(store, 1);
      }
    });

    test('is handed out from any place on, and no further than it goes', async () => {
      const store = await filled();
      await append(store, 1100);
      const audit = await LogAudit.of(store);
      const levels = [0, 1, 2].map((level) => audit.tileLevel(level));
      expect(levels.map((hashes) => hashes.length)).toEqual([1101, 4, 0]);
      const place = { start: fc.integer({ min: 0, max: 1200 }), count: fc.integer({ min: 0, max: 300 }) };
      await fc.assert(
        fc.asyncProperty(fc.record({ level: fc.constantFrom(0, 1, 2), ...place }), async ({ level, start, count }) => {
          const end = start + count;
          expect(await store.logHashes(level, start, count)).toEqual(levels[level]!.slice(start, end));
          expect(await store.logEntries(start, count)).toEqual(audit.entries.slice(start, end));
        }),
      );
    });

    test('grows by every change and every record, and what was signed before is its beginning', async () => {
      const store = await filled();
      const checkpoints: string[] = [];
      const steps: (() => Promise<unknown>)[] = [
        () => store.appendRecord('denial', { reason: 'policy.hash' }),
        () => store.change((change) => change.append('key.created', { key: 'a' })),
        () => store.appendRecord('denial.summary', { counts: { 'quote.magic': 3 } }),
        async () => store.commitRelease(await commitFor(store, 'a')),
      ];
      for (const [at, step] of steps.entries()) {
        checkpoints.push((await store.logHead()).checkpoint);
        await step();
        expect((await store.logHead()).size).toBe(at + 2);
      }
      await store.change(async (change) => {
        for (const each of ['b', 'c', 'd']) await change.append('key.created', { key: each });
      });
      const audit = await LogAudit.of(store);
      audit.expectHead(await store.logHead());
      expect(audit.size).toBe(8);
      for (const checkpoint of checkpoints) audit.expectContains(checkpoint);
    });

    test('stays as it is where nothing is appended: a change without entries, a purge, a probe', async () => {
      const store = await filled();
      const before = await store.logHead();
      await store.change((change) => change.revocations.add(hash('a')));
      await store.change(async () => undefined);
      await store.purgeNonces(NOW);
      await store.probe();
      expect(await store.logHead()).toEqual(before);
    });

    test('stays as it is where a change throws, and goes on from there', async () => {
      const store = await filled();
      const before = await store.logHead();
      const failing = store.change(async (change) => {
        for (const each of ['a', 'b']) await change.append('key.created', { key: each });
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      expect(await store.logHead()).toEqual(before);
      expect(await store.logEntries(0, 9)).toHaveLength(1);
      const logged = loggedIn(await store.commitRelease(await commitFor(store, 'a')));
      expect(logged.index).toBe(1);
      (await LogAudit.of(store)).expectProves(logged);
    });

    test('is shown to a change as the change found it', async () => {
      const store = await filled();
      const before = await store.logHead();
      await store.change(async (change) => {
        await change.append('key.created', {});
        expect(await change.logHead()).toEqual(before);
      });
    });

    test('is the same to another store, and after a restart', async () => {
      const store = await filled();
      const other = await open();
      await append(store, 300);
      expect(await other.logHead()).toEqual(await store.logHead());
      await append(other, 7);
      const head = await store.logHead();
      await store.close();
      const again = await open();
      expect(await again.logHead()).toEqual(head);
      await append(again, 1);
      const audit = await LogAudit.of(again);
      audit.expectHead(await other.logHead());
      audit.expectContains(head.checkpoint);
    });

    test('has a second level of nodes above 65,536 entries, and proofs across it', async () => {
      const store = await filled();
      for (let at = 0; at < 257; at++) await append(store, 256);
      const logged = await commitMany([store], 3);
      const audit = await LogAudit.of(store);
      audit.expectHead(await store.logHead());
      expect(await store.logHashes(2, 0, 9)).toEqual(audit.tileLevel(2));
      expect(await store.logHashes(1, 250, 100)).toEqual(audit.tileLevel(1).slice(250));
      for (const each of logged) audit.expectProves(each);
      for (const size of [1, 256, 65_536, 65_537]) {
        expect(await store.expectLog({ size, root: audit.root(size), where: 'here' })).toBe(true);
      }
    }, 60_000);
  });

  describe(`${name}: the receipt of a commit`, () => {
    test('proves its entry, for every one of many that arrive together on two stores', async () => {
      const store = await filled();
      const other = await open();
      const logged = await commitMany([store, other], 600);
      const audit = await LogAudit.of(store);
      expect(audit.size).toBe(601);
      for (const each of logged) audit.expectProves(each);
      expect(logged.map((each) => (JSON.parse(each.entry) as { release_id: string }).release_id)).toEqual(
        logged.map((_, at) => String(at)),
      );
    });

    test('has one checkpoint with all that were committed with it, which covers them all', async () => {
      const store = await filled();
      const logged = await commitMany([store], 50);
      const notes = new Set(logged.map((each) => each.checkpoint));
      expect(notes.size).toBe(1);
      expect(readCheckpoint([...notes][0]!).size).toBe(51);
      expect((await store.logHead()).checkpoint).toBe([...notes][0]);
    });

    test('of two checkpoints of one size there is one root', async () => {
      const store = await filled();
      const other = await open();
      const roots = new Map<number, string>();
      for (const { checkpoint } of await commitMany([store, other], 300)) {
        const { size, root } = readCheckpoint(checkpoint);
        expect(roots.get(size) ?? root.toString('hex')).toBe(root.toString('hex'));
        roots.set(size, root.toString('hex'));
      }
    });
  });

  describe(`${name}: the times of entries`, () => {
    test('never decrease, though two stores disagree about the time', async () => {
      const slow = testClock();
      slow.now = NOW - 3_600_000;
      const [ahead, behind] = [await filled(), await open(slow)];
      clock.now += 60_000;
      await ahead.appendRecord('denial', {});
      await behind.appendRecord('denial', {});
      await behind.commitRelease(await commitFor(behind, 'a'));
      await behind.change((change) => change.append('key.created', {}));
      const times = (await entriesOf(ahead)).map((each) => Date.parse(each['time'] as string) - NOW);
      expect(times).toEqual([0, 60_000, 60_000, 60_000, 60_000]);
    });
  });

  describe(`${name}: a tree head that was seen elsewhere`, () => {
    const where = '/var/lib/portcullis/log.checkpoint';

    async function grown(): Promise<{ store: Store; audit: LogAudit }> {
      const store = await filled();
      await append(store, 299);
      return { store, audit: await LogAudit.of(store) };
    }

    async function expectRefusal(store: Store, seen: { size: number; root: Buffer }): Promise<void> {
      const commit = await commitFor(store, 'a');
      const before = await store.logHead();
      expect(await store.expectLog({ ...seen, where })).toBe(false);
      const query = { deployment: 'llm', key: 'weights', version: 'latest', akSpkiSha256: undefined };
      const refused: Record<string, () => Promise<unknown>> = {
        commit: () => store.commitRelease(commit),
        facts: () => store.releaseFacts(query),
        change: () => store.change((change) => change.keys.put(key('a'))),
        record: () => store.appendRecord('denial', {}),
        purge: () => store.purgeNonces(NOW),
        probe: () => store.probe(),
      };
      for (const attempt of Object.values(refused)) {
        await expect(attempt()).rejects.toThrow(StoreIntegrityError);
        await expect(attempt()).rejects.toThrow(where);
      }
      // It can be read all the same, or nobody could look into it.
      expect(await store.logHead()).toEqual(before);
      expect(await store.logEntries(0, 400)).toHaveLength(300);
      expect(await store.logHashes(1, 0, 9)).toHaveLength(1);
      expect(await store.broker()).toBeDefined();
      expect(await store.archived('none')).toBeUndefined();
      expect(await store.read((view) => view.state())).toMatchObject({ generation: 1, nonceFloorMs: 0 });
      expect(await entriesOf(store)).toHaveLength(300);
    }

    test('changes nothing where the log contains it, whatever its size', async () => {
      const { store, audit } = await grown();
      for (const size of [1, 2, 255, 256, 257, 299, 300]) {
        expect(await store.expectLog({ size, root: audit.root(size), where })).toBe(true);
      }
      expect(await store.expectLog({ size: 0, root: EMPTY_ROOT, where })).toBe(true);
      expect(await store.commitRelease(await commitFor(store, 'a'))).toMatchObject({ outcome: 'committed' });
    });

    test('stops every write and every release where the log is behind it', async () => {
      const { store, audit } = await grown();
      const ahead = new LogAudit([...audit.entries, '{"more":true}']);
      await expectRefusal(store, { size: 301, root: ahead.root() });
    });

    test.each([1, 256, 300])('stops them where the first %i entries were others', async (size) => {
      const { store, audit } = await grown();
      const other = new LogAudit(audit.entries.with(0, '{"other":true}'));
      await expectRefusal(store, { size, root: other.root(size) });
    });

    test('goes on stopping them, though another one is contained, and though the log grows elsewhere', async () => {
      const { store, audit } = await grown();
      const other = await open();
      expect(await store.expectLog({ size: 301, root: audit.root(), where })).toBe(false);
      expect(await store.expectLog({ size: 300, root: audit.root(), where })).toBe(true);
      await append(other, 5);
      await expect(store.appendRecord('denial', {})).rejects.toThrow(StoreIntegrityError);
    });

    test('of an empty tree with another root is not contained', async () => {
      const { store } = await grown();
      await expectRefusal(store, { size: 0, root: Buffer.alloc(32) });
    });
  });
}
