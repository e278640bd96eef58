import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Store, StoreChange } from '../../src/release/store.js';
import type { TestDatabase } from './contract.js';
import { attester, hash, initialise, key, link, NOW, testClock, version } from './samples.js';

const MANY = 5000;
/** Names in an order that is not that of their numbers. */
const nameOf = (at: number): string => `key-${hash(String(at)).slice(0, 8)}-${String(at)}`;

/** What every engine promises of many rows, and of rows that another process changes. */
export function contentsContract(name: string, makeDatabase: () => Promise<TestDatabase>): void {
  let database: TestDatabase;
  const opened: Store[] = [];

  async function open(): Promise<Store> {
    const store = await database.open(testClock());
    opened.push(store);
    return store;
  }

  /** A change with an entry, as administration makes them. */
  const change = (store: Store, work: (change: StoreChange) => Promise<unknown>): Promise<void> =>
    store.change(async (each) => {
      await each.append('change', {});
      await work(each);
    });

  beforeEach(async () => {
    database = await makeDatabase();
  });

  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    await database.destroy();
  });

  describe(`${name}: another process`, () => {
    let a: Store;
    let b: Store;

    beforeEach(async () => {
      a = await open();
      await initialise(a);
      b = await open();
      await change(a, async (each) => {
        for (const one of ['a', 'b', 'c']) await each.keys.put(key(one));
        await each.attesters.put(attester('node'));
      });
      expect((await b.read((view) => view.keys.list({ limit: 9 }))).length).toBe(3);
    });

    const names = (store: Store): Promise<readonly string[]> =>
      store.read(async (view) => (await view.keys.list({ limit: 99 })).map((each) => each.name));

    test('finds what was set, replaced, removed and set again, one change after the other or many at once', async () => {
      const steps: ((each: StoreChange) => Promise<void>)[] = [
        (each) => each.keys.put(key('d')),
        (each) => each.keys.remove('b'),
        (each) => each.keys.put(key('a', { state: 'disabled' })),
        (each) => each.keys.remove('d'),
        (each) => each.keys.put(key('b', { state: 'disabled' })),
        (each) => each.freezes.add('key/a'),
        (each) => each.freezes.delete('key/a'),
        (each) => each.keyVersions.put(version('a', 1)),
        (each) => each.policyLinks.put(link('llm', 'x')),
      ];
      const late = await open();
      await names(late);
      for (const step of steps) {
        await change(a, step);
        expect(await names(b)).toEqual(await names(a));
      }
      for (const store of [b, late, await open()]) {
        expect(await names(store)).toEqual(['a', 'b', 'c']);
        expect((await store.read((view) => view.keys.get('a')))?.state).toBe('disabled');
        expect(await store.read((view) => view.keys.get('d'))).toBeUndefined();
        expect(await store.read((view) => view.freezes.all())).toEqual([]);
        expect(await store.read((view) => view.keyVersions.of('a'))).toEqual([version('a', 1)]);
        expect(await store.read((view) => view.policyLinks.of('llm'))).toEqual([link('llm', 'x')]);
      }
    });

    test('finds what changes without an entry have set, which share the index of the next one', async () => {
      await a.change((each) => each.keys.put(key('x')));
      expect(await names(b)).toEqual(['a', 'b', 'c', 'x']);
      await a.change((each) => each.keys.put(key('y')));
      await a.change((each) => each.keys.remove('x'));
      expect(await names(b)).toEqual(['a', 'b', 'c', 'y']);
      await b.change((each) => each.keys.put(key('z')));
      await change(b, (each) => each.keys.remove('y'));
      expect(await names(a)).toEqual(['a', 'b', 'c', 'z']);
    });

    test('takes turns with this one, and neither loses track', async () => {
      for (let at = 0; at < 12; at++) {
        const [one, other] = at % 2 === 0 ? [a, b] : [b, a];
        await change(one, async (each) => {
          await each.keys.put(key(`turn-${String(at)}`));
          if (at > 3) await each.keys.remove(`turn-${String(at - 3)}`);
        });
        await change(other, (each) => each.keys.put(key('c', { createdAtMs: NOW + at })));
      }
      expect(await names(a)).toEqual(await names(b));
      expect(await names(await open())).toEqual(await names(a));
    });

    test('leaves a view that is open as it was, whoever makes the change', async () => {
      for (const [at, writer] of [a, b, a, b].entries()) {
        const before = await names(a);
        await a.read(async (view) => {
          expect((await view.state()).generation).toBeGreaterThan(0);
          await change(writer, async (each) => {
            await each.keys.put(key(`late-${String(at)}`));
            await each.keys.put(key('a', { createdAtMs: NOW + at + 1 }));
            await each.keys.remove('c');
          });
          expect((await view.keys.list({ limit: 99 })).map((each) => each.name)).toEqual(before);
          expect((await view.keys.list({ limit: 2, after: 'a' })).map((each) => each.name)).toEqual(before.slice(1, 3));
          expect(await view.keys.get('a')).toEqual(key('a', { createdAtMs: NOW + at }));
          expect((await view.keys.get('c')) === undefined).toBe(at > 0);
          expect(await view.keys.get(`late-${String(at)}`)).toBeUndefined();
        });
        expect(await names(a)).toEqual([...before.filter((each) => each !== 'c'), `late-${String(at)}`].sort());
      }
    });
  });

  describe(`${name}: attesters`, () => {
    test('are found by SPKI hash, name and AK Name, in any case, and no longer by what they were called before', async () => {
      const a = await open();
      await initialise(a);
      const b = await open();
      const get = (store: Store, id: string) => store.read((view) => view.attesters.get(id));
      const node = attester('Node-1');
      await change(a, async (each) => {
        await each.attesters.put(node);
        await each.attesters.put(attester('node-2'));
      });
      for (const store of [a, b]) {
        for (const id of [node.spkiSha256, 'NODE-1', node.akName, node.akName.toUpperCase()]) {
          expect(await get(store, id)).toEqual(node);
        }
        for (const id of [hash('nobody'), 'node', `000b${hash('no name')}`]) {
          expect(await get(store, id)).toBeUndefined();
        }
      }
      const renamed = { ...node, name: 'other', akName: `000b${hash('another name')}` };
      await change(a, (each) => each.attesters.put(renamed));
      await change(a, (each) => each.attesters.put(attester('node-1', { spkiSha256: hash('successor') })));
      for (const store of [a, b, await open()]) {
        expect(await get(store, 'other')).toEqual(renamed);
        expect(await get(store, renamed.akName)).toEqual(renamed);
        expect(await get(store, node.akName)).toBeUndefined();
        expect((await get(store, 'Node-1'))?.spkiSha256).toBe(hash('successor'));
      }
      await change(b, (each) => each.attesters.remove(node.spkiSha256));
      for (const store of [a, b, await open()]) {
        for (const id of ['other', renamed.akName, node.spkiSha256]) expect(await get(store, id)).toBeUndefined();
        expect((await get(store, 'node-2'))?.name).toBe('node-2');
      }
    });

    test('cannot share a name: nothing of the change is kept', async () => {
      const store = await open();
      await initialise(store);
      await change(store, (each) => each.attesters.put(attester('node')));
      const twice = change(store, (each) => each.attesters.put(attester('NODE', { spkiSha256: hash('other') })));
      await expect(twice).rejects.toThrow(RangeError);
      expect(await store.read((view) => view.attesters.list({ limit: 9 }))).toEqual([attester('node')]);
    });
  });

  describe(`${name}: what is to be destroyed`, () => {
    test('is what is due, in whatever state it is; of versions, those that have material', async () => {
      const store = await open();
      await initialise(store);
      const empty = Buffer.alloc(0);
      const due = version('a', 1, { purgeAtMs: NOW });
      await change(store, async (each) => {
        await each.keys.put(key('a'));
        await each.keys.put(key('due', { state: 'deleted', purgeAtMs: NOW }));
        await each.keys.put(key('later', { state: 'deleted', purgeAtMs: NOW + 1 }));
        await each.keyVersions.put(due);
        await each.keyVersions.put(version('a', 2, { purgeAtMs: NOW + 1 }));
        await each.keyVersions.put(version('a', 3, { purgeAtMs: NOW, ciphertext: empty, wrappedDek: empty }));
        await each.keyVersions.put(version('a', 4));
      });
      const at = (time: number) => store.read((view) => view.purgeable(time));
      expect(await at(NOW - 1)).toEqual({ keys: [], versions: [] });
      expect(await at(NOW)).toEqual({
        keys: [key('due', { state: 'deleted', purgeAtMs: NOW })],
        versions: [due],
      });
      expect((await at(NOW + 1)).keys.map((each) => each.name).sort()).toEqual(['due', 'later']);
    });
  });

  describe(`${name}: thousands of rows`, () => {
    const sorted = Array.from({ length: MANY }, (_, at) => nameOf(at)).sort();

    async function pages(store: Store, limit: number, from?: string): Promise<string[]> {
      const found: string[] = [];
      for (let after = from; ; after = found.at(-1)) {
        const page = await store.read((view) => view.keys.list({ limit, ...(after === undefined ? {} : { after }) }));
        found.push(...page.map((each) => each.name));
        if (page.length < limit) return found;
      }
    }

    test('come page by page, to the process that made them, to another one and after a restart; also while they change', async () => {
      const a = await open();
      await initialise(a);
      const b = await open();
      for (let start = 0; start < MANY; start += 1000) {
        await change(a, async (each) => {
          for (let at = start; at < start + 1000; at++) await each.keys.put(key(nameOf(at)));
        });
      }
      for (const store of [a, b, await open()]) {
        expect(await pages(store, 700)).toEqual(sorted);
        expect(await pages(store, 33, sorted[MANY - 100])).toEqual(sorted.slice(MANY - 99));
      }
      const gone = sorted.filter((_, at) => at % 7 === 0);
      await change(b, async (each) => {
        for (const one of gone) await each.keys.remove(one);
        await each.keys.put(key('key-zzz'));
        const page = await each.keys.list({ limit: 300, after: sorted[2000]! });
        expect(page.map(({ name: one }) => one)).toEqual(left.slice(left.indexOf(sorted[2001]!)).slice(0, 300));
      });
      for (const store of [a, b, await open()]) expect(await pages(store, 999)).toEqual([...left, 'key-zzz']);
    });

    const left = sorted.filter((_, at) => at % 7 !== 0);
  });
}
