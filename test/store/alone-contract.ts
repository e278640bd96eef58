import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Store, StoreUnavailableError } from '../../src/release/store.js';
import type { TestDatabase } from './contract.js';
import { commitFor, entriesOf, initialise, testClock } from './samples.js';

/** What every engine promises a release that has everything else wait for it. */
export function aloneContract(name: string, makeDatabase: () => Promise<TestDatabase>): void {
  let database: TestDatabase;
  let clock: ReturnType<typeof testClock>;
  const opened: Store[] = [];

  async function open(): Promise<Store> {
    const store = await database.open(clock);
    opened.push(store);
    return store;
  }

  async function filled(): Promise<Store> {
    const store = await open();
    await initialise(store);
    return store;
  }

  beforeEach(async () => {
    clock = testClock();
    database = await makeDatabase();
  });

  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    await database.destroy();
  });

  describe(`${name}: a release that nothing can overtake`, () => {
    const QUERY = { deployment: 'llm', key: 'weights', version: 'latest', akSpkiSha256: undefined };

    test('is committed by what it has read, while changes of every store wait for it', async () => {
      const store = await filled();
      const other = await open();
      const commit = await commitFor(store, 'a', { archive: { releaseId: 'a', sealed: Buffer.from('sealed') } });
      const changes: Promise<unknown>[] = [];
      const outcome = await store.releaseAlone(async (alone) => {
        const { state } = await alone.releaseFacts(QUERY);
        for (const each of [store, other])
          changes.push(each.change((change) => change.append('denial', { late: true })));
        changes.push(other.commitRelease(await commitFor(other, 'b')));
        await new Promise((resolve) => setTimeout(resolve, 100));
        return alone.commitRelease({ ...commit, generation: state.generation, epoch: state.epoch });
      });
      expect(outcome).toMatchObject({ outcome: 'committed', logged: { index: 1 } });
      await Promise.all(changes);
      expect((await entriesOf(store))[1]).toMatchObject({ release_id: 'a', state_generation: '1' });
      expect(await store.archived('a')).toMatchObject({ index: 1 });
      expect(await other.commitRelease(commit)).toEqual({ outcome: 'changed' });
      const { state } = await other.releaseFacts(QUERY);
      expect(state.generation).toBe(3);
      expect(await other.commitRelease({ ...commit, generation: 3 })).toEqual({ outcome: 'replayed' });
      expect(await store.commitRelease({ ...commit, generation: 3 })).toEqual({ outcome: 'replayed' });
    });

    test('keeps nothing where its work throws, commits twice or takes too long', async () => {
      const store = await filled();
      const commit = await commitFor(store, 'a');
      const failing = store.releaseAlone(async (alone) => {
        await alone.commitRelease(commit);
        throw new Error('of the work');
      });
      await expect(failing).rejects.toThrow('of the work');
      const twice = store.releaseAlone(async (alone) => {
        await alone.commitRelease(commit);
        return alone.commitRelease(await commitFor(store, 'b'));
      });
      await expect(twice).rejects.toThrow('carries one release');
      let late: Promise<unknown> | undefined;
      const slow = store.releaseAlone(async (alone) => {
        await new Promise((resolve) => setTimeout(resolve, 1500));
        late = alone.commitRelease(commit);
        return late;
      });
      await expect(slow).rejects.toThrow(StoreUnavailableError);
      while (late === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
      await expect(late).rejects.toThrow('has ended');
      expect(await entriesOf(store)).toHaveLength(1);
      expect(await store.commitRelease(commit)).toMatchObject({ outcome: 'committed', logged: { index: 1 } });
    });

    test('is refused where it was spent before, and may be none at all', async () => {
      const store = await filled();
      const commit = await commitFor(store, 'a');
      await store.commitRelease(commit);
      expect(await store.releaseAlone((alone) => alone.commitRelease(commit))).toEqual({ outcome: 'replayed' });
      expect(await store.releaseAlone(async () => 'denied')).toBe('denied');
      expect(await entriesOf(store)).toHaveLength(2);
    });

    test('leaves changes of another store a moment, also where one after the other fails', async () => {
      const store = await filled();
      const other = await open();
      const failing = Array.from({ length: 6 }, () =>
        store.releaseAlone(async () => {
          await new Promise((resolve) => setTimeout(resolve, 450));
          throw new Error('of the work');
        }),
      );
      const ended = Promise.allSettled(failing);
      await new Promise((resolve) => setTimeout(resolve, 100));
      await other.change((change) => change.append('denial', { other: true }));
      expect((await ended).map(({ status }) => status)).toEqual(Array(6).fill('rejected'));
    });
  });
}
