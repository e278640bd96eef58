import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson, type Json } from '../../src/bytes/canonical-json.js';
import type { BrokerState } from '../../src/release/records.js';
import {
  type LogIdentity,
  type ReleaseQuery,
  type Store,
  type StoreChange,
  StoreUnavailableError,
  type WritableChildRecords,
  type WritableRecords,
} from '../../src/release/store.js';
import { EMPTY_ROOT } from '../../src/translog/merkle.js';
import {
  attester,
  brokerRecord,
  commitFor,
  deployment,
  enrolment,
  entriesOf,
  hash,
  initialise,
  key,
  link,
  nonce,
  NOW,
  policy,
  testClock,
  token,
  version,
} from './samples.js';

/** An empty database of one engine. `open` gives a store on it, authenticated; each call is another process, or a restart. */
export interface TestDatabase {
  /** Under the identity of the test log, unless another one is given. */
  open(clock: () => number, log?: LogIdentity): Promise<Store>;
  destroy(): Promise<void>;
}

/** What every engine promises: the whole of the Store port, and what the design asks of it. */
export function storeContract(name: string, makeDatabase: () => Promise<TestDatabase>): void {
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

  const stateOf = (store: Store): Promise<BrokerState> => store.read((view) => view.state());

  beforeEach(async () => {
    clock = testClock();
    database = await makeDatabase();
  });

  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    await database.destroy();
  });

  describe(`${name}: a fresh store`, () => {
    test('has no broker until init sets it', async () => {
      const store = await open();
      expect(await store.broker()).toBeUndefined();
      await initialise(store);
      expect(await store.broker()).toEqual(brokerRecord());
      expect(await stateOf(store)).toEqual({ generation: 1, epoch: 1, nonceFloorMs: 0 });
    });

    test('does nothing else before init', async () => {
      const store = await open();
      const query = { deployment: 'llm', key: 'weights', version: 'latest', akSpkiSha256: undefined };
      const commit = {
        generation: 0,
        epoch: 1,
        nonce: nonce('a'),
        nonceIssuedAtMs: NOW,
        nonceExpiresAtMs: NOW + 1,
        entry: {},
        detail: '',
      };
      const attempts = [
        () => stateOf(store),
        () => store.change((change) => change.keys.put(key('weights'))),
        () => store.releaseFacts(query),
        () => store.commitRelease(commit),
        () => store.appendRecord('denial', {}),
        () => store.purgeNonces(NOW),
        () => store.probe(),
        () => store.logHead(),
        () => store.logHashes(0, 0, 1),
        () => store.logEntries(0, 1),
        () => store.expectLog({ size: 0, root: EMPTY_ROOT, where: 'here' }),
      ];
      for (const attempt of attempts) await expect(attempt()).rejects.toThrow(StoreUnavailableError);
      expect(await store.broker()).toBeUndefined();
    });

    test('can have its broker record replaced, as a rotation of the KEK does', async () => {
      const store = await filled();
      const rotated = { ...brokerRecord(), kek: 'kek-2', wrappedRootSecret: Buffer.from('wrapped anew') };
      await store.change((change) => change.setBroker(rotated));
      expect(await store.broker()).toEqual(rotated);
    });
  });

  describe(`${name}: records`, () => {
    /** Two records of a kind, with and without what is optional, and an altered first one. */
    const kinds = {
      deployments: {
        of: (change: StoreChange) => change.deployments,
        a: deployment('a'),
        b: deployment('b', NOW + 5),
        c: deployment('a', NOW + 9),
      },
      policies: {
        of: (change: StoreChange) => change.policies,
        a: policy('a'),
        b: { sha256: hash('b'), createdAtMs: NOW },
        c: { sha256: hash('a'), content: Buffer.alloc(0), createdAtMs: NOW },
      },
      keys: {
        of: (change: StoreChange) => change.keys,
        a: key('a'),
        b: {
          name: 'b',
          kty: 'EC',
          curve: 'P-256',
          deployments: [],
          state: 'deleted',
          createdAtMs: NOW,
          purgeAtMs: NOW + 1,
        },
        c: key('a', { state: 'disabled', deployments: ['x', 'y'] }),
      },
      attesters: {
        of: (change: StoreChange) => change.attesters,
        a: attester('a'),
        b: attester('b', {
          enrolments: [
            enrolment('llm', { spkiSha256: hash('ek'), certificates: [Buffer.from('leaf'), Buffer.from('CA')] }),
            enrolment('other'),
          ],
          quarantinedAtMs: NOW + 1,
        }),
        c: attester('a', { deployments: [], enrolments: [] }),
      },
      tokens: {
        of: (change: StoreChange) => change.tokens,
        a: token('a'),
        b: token('b', { role: 'auditor', expiresAtMs: NOW + 1, revokedAtMs: NOW + 2 }),
        c: token('a', { revokedAtMs: NOW }),
      },
    } as unknown as Record<
      string,
      { of: (change: StoreChange) => WritableRecords<unknown>; a: unknown; b: unknown; c: unknown }
    >;
    const ids: Record<string, (each: string) => string> = {
      deployments: (each) => each,
      policies: hash,
      keys: (each) => each,
      attesters: hash,
      tokens: (each) => hash(each).slice(0, 16),
    };

    test.each(Object.keys(kinds))('%s come back as they were put, are replaced and removed', async (kind) => {
      const { of, a, b, c } = kinds[kind]!;
      const id = ids[kind]!;
      const store = await filled();
      const get = (each: string): Promise<unknown> => store.read((view) => of(view as StoreChange).get(id(each)));
      await store.change(async (change) => {
        await of(change).put(a);
        await of(change).put(b);
      });
      expect(await get('a')).toEqual(a);
      expect(await get('b')).toEqual(b);
      expect(await get('c')).toBeUndefined();
      await store.change((change) => of(change).put(c));
      expect(await get('a')).toEqual(c);
      await store.change(async (change) => {
        await of(change).remove(id('a'));
        await of(change).remove(id('never there'));
      });
      expect(await get('a')).toBeUndefined();
      expect(await store.read((view) => of(view as StoreChange).list({ limit: 10 }))).toEqual([b]);
    });

    const childKinds = {
      policyLinks: {
        of: (change: StoreChange) => change.policyLinks,
        id: hash('a'),
        a: link('p', 'a'),
        b: link('p', 'b', { origin: 'document', sha384: 'cd'.repeat(48), notBeforeMs: NOW, notAfterMs: NOW + 1 }),
        c: link('p', 'a', { notAfterMs: NOW }),
        other: link('q', 'a'),
      },
      keyVersions: {
        of: (change: StoreChange) => change.keyVersions,
        id: version('p', 1).version,
        a: version('p', 1),
        b: version('p', 2, {
          state: 'deleted',
          purgeAtMs: NOW,
          ciphertext: Buffer.alloc(0),
          wrappedDek: Buffer.alloc(0),
        }),
        c: version('p', 1, { state: 'disabled' }),
        other: version('q', 1),
      },
    } as unknown as Record<
      string,
      {
        of: (change: StoreChange) => WritableChildRecords<unknown>;
        id: string;
        a: unknown;
        b: unknown;
        c: unknown;
        other: unknown;
      }
    >;

    test.each(Object.keys(childKinds))('%s belong to their parent', async (kind) => {
      const { of, id, a, b, c, other } = childKinds[kind]!;
      const store = await filled();
      const all = (parent: string): Promise<readonly unknown[]> =>
        store.read((view) => of(view as StoreChange).of(parent));
      await store.change(async (change) => {
        for (const each of [b, other, a]) await of(change).put(each);
      });
      expect(await all('p')).toHaveLength(2);
      expect(await all('p')).toEqual(expect.arrayContaining([a, b]));
      expect(await all('q')).toEqual([other]);
      expect(await all('nobody')).toEqual([]);
      expect(await store.read((view) => of(view as StoreChange).get('p', id))).toEqual(a);
      expect(await store.read((view) => of(view as StoreChange).get('nobody', id))).toBeUndefined();
      await store.change((change) => of(change).put(c));
      expect(await store.read((view) => of(view as StoreChange).get('P', id))).toEqual(c);
      await store.change((change) => of(change).remove('p', id));
      expect(await all('p')).toEqual([b]);
      expect(await all('q')).toEqual([other]);
    });

    test('links come in the order of their hashes, versions in the order of their sequence', async () => {
      const store = await filled();
      await store.change(async (change) => {
        for (const each of ['c', 'a', 'b', 'd']) await change.policyLinks.put(link('p', each));
        for (const each of [11, 2, 10, 1]) await change.keyVersions.put(version('p', each));
      });
      const links = await store.read((view) => view.policyLinks.of('p'));
      expect(links.map((each) => each.sha256)).toEqual(['a', 'b', 'c', 'd'].map(hash).sort());
      const versions = await store.read((view) => view.keyVersions.of('p'));
      expect(versions.map((each) => each.sequence)).toEqual([1, 2, 10, 11]);
    });

    test('names are found in any case and come back as they were written last', async () => {
      const store = await filled();
      await store.change(async (change) => {
        await change.deployments.put(deployment('Llm-Inference'));
        await change.keys.put(key('Weights'));
        await change.keyVersions.put(version('Weights', 1));
        await change.policyLinks.put(link('Llm-Inference', 'a'));
        await change.attesters.put(attester('Node-1'));
      });
      await store.read(async (view) => {
        expect((await view.deployments.get('LLM-inference'))?.deployment.name).toBe('Llm-Inference');
        expect((await view.keys.get('WEIGHTS'))?.name).toBe('Weights');
        expect((await view.keyVersions.get('weights', version('Weights', 1).version))?.key).toBe('Weights');
        expect((await view.keyVersions.of('wEIGHTS')).map((each) => each.key)).toEqual(['Weights']);
        expect((await view.policyLinks.of('llm-inference')).map((each) => each.deployment)).toEqual(['Llm-Inference']);
        expect((await view.attesters.get('NODE-1'))?.spkiSha256).toBe(hash('Node-1'));
        expect((await view.attesters.get(hash('Node-1').toUpperCase()))?.name).toBe('Node-1');
      });
      await store.change(async (change) => {
        await change.keys.put(key('WEIGHTS'));
        await change.deployments.remove('LLM-INFERENCE');
      });
      await store.read(async (view) => {
        expect((await view.keys.list({ limit: 10 })).map((each) => each.name)).toEqual(['WEIGHTS']);
        expect(await view.deployments.list({ limit: 10 })).toEqual([]);
      });
    });

    test('only ASCII letters have a case, so that a look-alike is another name', async () => {
      const store = await filled();
      await store.change((change) => change.keys.put(key('key-k')));
      // U+212A KELVIN SIGN is a k to toLowerCase().
      expect(await store.read((view) => view.keys.get('key-\u212a'))).toBeUndefined();
      await expect(store.change((change) => change.keys.put(key('\u212aey')))).rejects.toThrow(RangeError);
    });

    test('what looks like an SPKI hash is never taken for the name of an attester', async () => {
      const store = await filled();
      await store.change((change) => change.attesters.put(attester('a', { name: hash('b') })));
      expect(await store.read((view) => view.attesters.get(hash('b')))).toBeUndefined();
    });

    test('two attesters cannot have one name, and the first one stays', async () => {
      const store = await filled();
      await store.change((change) => change.attesters.put(attester('a')));
      await expect(store.change((change) => change.attesters.put(attester('b', { name: 'A' })))).rejects.toThrow(
        RangeError,
      );
      expect(await store.read((view) => view.attesters.list({ limit: 10 }))).toEqual([attester('a')]);
    });

    test('attesters are found by the EK of their newest enrolment: those that have one, as long as they have it', async () => {
      const store = await filled();
      const other = await open();
      const ekOf = (ek: string) => ({ spkiSha256: hash(ek), certificates: [Buffer.from(ek)] });
      const by = (ek: string) => ({ enrolments: [enrolment('llm', ekOf(ek))] });
      const names = async (from: Store, ek: string) =>
        (await from.read((view) => view.attesters.ofEk(hash(ek)))).map((each) => each.name).sort();
      await store.change(async (change) => {
        for (const each of ['a', 'b']) await change.attesters.put(attester(each, by('one')));
        await change.attesters.put(
          attester('c', { enrolments: [...by('one').enrolments, enrolment('x', ekOf('two'))] }),
        );
        await change.attesters.put(attester('none'));
        expect((await change.attesters.ofEk(hash('one'))).map((each) => each.name).sort()).toEqual(['a', 'b']);
      });
      for (const from of [store, other, await open()]) {
        expect([await names(from, 'one'), await names(from, 'two'), await names(from, 'never')]).toEqual([
          ['a', 'b'],
          ['c'],
          [],
        ]);
        expect(await from.read((view) => view.attesters.ofEk(''))).toEqual([]);
      }
      await store.change(async (change) => {
        await change.attesters.put(attester('a'));
        await change.attesters.put(attester('none', by('one')));
        await change.attesters.put(attester('b', by('two')));
      });
      await other.change((change) => change.attesters.remove(hash('c')));
      for (const from of [store, other, await open()]) {
        expect([await names(from, 'one'), await names(from, 'two')]).toEqual([['none'], ['b']]);
        expect(await from.read((view) => view.attesters.get(hash('a')))).toEqual(attester('a'));
      }
    });

    test('lists are paged in the order of ids, in any case, without gaps', async () => {
      const store = await filled();
      const names = ['a', 'B', 'a-b', 'c', 'A-a', 'b.1', 'Z'];
      await store.change(async (change) => {
        for (const each of names) {
          await change.keys.put(key(each));
          for (const sequence of [1, 2]) await change.keyVersions.put(version(each, sequence));
        }
      });
      const ordered = [...names].sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1));
      const pages: string[][] = [];
      for (let after: string | undefined; ; after = pages.at(-1)?.at(-1)) {
        const page = await store.read((view) =>
          view.keys.list({ limit: 3, ...(after === undefined ? {} : { after: after.toUpperCase() }) }),
        );
        if (page.length === 0) break;
        pages.push(page.map((each) => each.name));
      }
      expect(pages.map((page) => page.length)).toEqual([3, 3, 1]);
      expect(pages.flat()).toEqual(ordered);

      const versions = await store.read((view) => view.keyVersions.list({ limit: 100 }));
      expect(versions.map((each) => each.key)).toEqual(ordered.flatMap((each) => [each, each]));
      for (const [at, each] of versions.entries()) {
        const after = `${each.key}/${each.version}`;
        expect(await store.read((view) => view.keyVersions.list({ limit: 2, after }))).toEqual(
          versions.slice(at + 1, at + 3),
        );
      }
    });

    test('guarded sets hold what was added and no longer what was deleted', async () => {
      const store = await filled();
      await store.change(async (change) => {
        for (const each of ['b', 'a', 'b']) await change.revocations.add(hash(each));
        await change.freezes.add('key/weights');
        await change.freezes.add('deployment/llm');
      });
      await store.change(async (change) => {
        await change.freezes.delete('key/weights');
        await change.freezes.delete('key/never');
      });
      await store.read(async (view) => {
        expect(await view.revocations.all()).toEqual(['a', 'b'].map(hash).sort());
        expect(await view.revocations.has(hash('a'))).toBe(true);
        expect(await view.revocations.has(hash('c'))).toBe(false);
        expect(await view.freezes.all()).toEqual(['deployment/llm']);
        expect(await view.freezes.has('key/weights')).toBe(false);
      });
    });

    test('any sequence of puts and removals leaves what a map would hold', async () => {
      const store = await filled();
      const step = fc.record({
        name: fc.constantFrom('a', 'A', 'b', 'a/b', 'A/B', 'c'),
        remove: fc.boolean(),
        size: fc.integer({ min: 1, max: 9 }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(fc.array(step, { maxLength: 4 }), { maxLength: 4 }), async (changes) => {
          const model = new Map<string, ReturnType<typeof key>>();
          await store.change(async (change) => {
            for (const each of await change.keys.list({ limit: 100 })) await change.keys.remove(each.name);
          });
          for (const steps of changes) {
            await store.change(async (change) => {
              for (const { name: id, remove, size } of steps) {
                const record = key(id, { sizeBits: size });
                if (remove) await change.keys.remove(id);
                else await change.keys.put(record);
                if (remove) model.delete(id.toLowerCase());
                else model.set(id.toLowerCase(), record);
              }
            });
          }
          const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, record]) => record);
          expect(await store.read((view) => view.keys.list({ limit: 100 }))).toEqual(expected);
        }),
        { numRuns: 25 },
      );
    });
  });

  describe(`${name}: a change`, () => {
    test('raises the generation by one, unless it wrote nothing', async () => {
      const store = await filled();
      await store.change(async (change) => {
        await change.keys.put(key('a'));
        await change.keys.put(key('b'));
        await change.append('key.created', { key: 'a' });
        await change.append('key.created', { key: 'b' });
      });
      expect((await stateOf(store)).generation).toBe(2);
      await store.change(async () => undefined);
      await store.change((change) => change.keys.get('a'));
      expect((await stateOf(store)).generation).toBe(2);
    });

    test('returns what its work returns, and sees what it has written', async () => {
      const store = await filled();
      const seen = await store.change(async (change) => {
        await change.keys.put(key('a'));
        await change.keyVersions.put(version('a', 1));
        await change.revocations.add(hash('r'));
        const before = [
          await change.keys.list({ limit: 9 }),
          await change.keyVersions.of('a'),
          await change.revocations.has(hash('r')),
        ];
        await change.keys.remove('a');
        return [...before, await change.keys.get('a')];
      });
      expect(seen).toEqual([[key('a')], [version('a', 1)], true, undefined]);
    });

    test('that throws leaves nothing, and its error passes through', async () => {
      const store = await filled();
      await store.change((change) => change.keys.put(key('kept')));
      const before = await stateOf(store);
      const failure = new Error('no');
      const failing = store.change(async (change) => {
        await change.keys.put(key('kept', { state: 'disabled' }));
        await change.keys.put(key('new'));
        await change.policies.put(policy('new'));
        await change.revocations.add(hash('r'));
        await change.freezes.add('key/kept');
        await change.raiseEpoch();
        await change.append('key.created', { key: 'new' });
        throw failure;
      });
      await expect(failing).rejects.toBe(failure);
      expect(await stateOf(store)).toEqual(before);
      await store.read(async (view) => {
        expect(await view.keys.list({ limit: 9 })).toEqual([key('kept')]);
        expect(await view.policies.list({ limit: 9 })).toEqual([]);
        expect(await view.revocations.all()).toEqual([]);
        expect(await view.freezes.all()).toEqual([]);
      });
      expect(await entriesOf(store)).toHaveLength(1);
      await store.change((change) => change.append('key.created', {}));
      expect((await entriesOf(store)).map((each) => each['index'])).toEqual([0, 1]);
    });

    test('is not seen by others before it is complete', async () => {
      const store = await filled();
      await store.change(async (change) => {
        await change.keys.put(key('a'));
        expect(await store.read((view) => view.keys.get('a'))).toBeUndefined();
        const facts = await store.releaseFacts({
          deployment: 'llm',
          key: 'a',
          version: 'latest',
          akSpkiSha256: undefined,
        });
        expect(facts.key).toBeUndefined();
        expect(facts.state.generation).toBe(1);
      });
      expect(await store.read((view) => view.keys.get('a'))).toEqual(key('a'));
    });

    test('waits for the one before it, also on another store, so that no update is lost', async () => {
      const store = await filled();
      const other = await open();
      await store.change((change) => change.keys.put(key('counter', { sizeBits: 0 })));
      const increment = (on: Store): Promise<void> =>
        on.change(async (change) => {
          const { sizeBits = 0 } = (await change.keys.get('counter'))!;
          await Promise.resolve();
          await change.keys.put(key('counter', { sizeBits: sizeBits + 1 }));
        });
      await Promise.all([1, 2, 3, 4, 5].flatMap(() => [increment(store), increment(other)]));
      expect((await store.read((view) => view.keys.get('counter')))?.sizeBits).toBe(10);
      expect(await stateOf(other)).toEqual(await stateOf(store));
      expect((await stateOf(store)).generation).toBe(12);
    });

    test('cannot be used after its end', async () => {
      const store = await filled();
      let kept: StoreChange | undefined;
      await store.change(async (change) => {
        kept = change;
      });
      await expect(kept!.keys.put(key('late'))).rejects.toThrow('closed');
      await expect(kept!.append('late', {})).rejects.toThrow('closed');
      expect(await store.read((view) => view.keys.get('late'))).toBeUndefined();
    });

    test('can raise the nonce epoch, by one, and with it the floor to the present', async () => {
      const store = await filled();
      await store.change((change) => change.raiseEpoch());
      expect(await stateOf(store)).toEqual({ generation: 2, epoch: 2, nonceFloorMs: NOW });
    });
  });

  describe(`${name}: a view`, () => {
    test('stays as it was when it was opened', async () => {
      const store = await filled();
      await store.read(async (view) => {
        await store.change((change) => change.keys.put(key('a')));
        expect(await view.keys.get('a')).toBeUndefined();
        expect((await view.state()).generation).toBe(1);
        expect(await view.keys.list({ limit: 9 })).toEqual([]);
      });
    });

    test('is one of many that are open at the same time, each with its own state', async () => {
      const store = await filled();
      const generations: number[] = [];
      const views = Array.from({ length: 30 }, async (_, at) => {
        if (at % 3 === 0) await store.change((change) => change.keys.put(key(`k${String(at)}`)));
        return store.read(async (view) => {
          const { generation } = await view.state();
          await Promise.resolve();
          expect(await view.keys.list({ limit: 100 })).toHaveLength(generation - 1);
          generations.push(generation);
        });
      });
      await Promise.all(views);
      expect(generations).toHaveLength(30);
    });

    test('passes an error of its work through, and cannot be used after its end', async () => {
      const store = await filled();
      const failure = new Error('no');
      await expect(store.read(async () => Promise.reject(failure))).rejects.toBe(failure);
      const kept = await store.read(async (view) => [view]);
      await expect(kept[0]!.state()).rejects.toThrow('closed');
      expect((await stateOf(store)).generation).toBe(1);
    });
  });

  describe(`${name}: the log`, () => {
    test('counts its entries from 0, without gaps, whoever appends', async () => {
      const store = await filled();
      await store.appendRecord('denial', { reason: 'quote.signature' }, '{"met":false}');
      await store.commitRelease(await commitFor(store, 'a'));
      await store.change((change) => change.append('key.created', { key: 'k' }));
      await store.commitRelease(await commitFor(store, 'b'));
      const entries = await entriesOf(store);
      expect(entries.map((each) => each['index'])).toEqual([0, 1, 2, 3, 4]);
      expect(entries.map((each) => each['type'])).toEqual([
        'broker.started',
        'denial',
        'release',
        'key.created',
        'release',
      ]);
      expect(entries.map((each) => each['state_generation'])).toEqual(['1', '1', '1', '2', '2']);
    });

    test('holds canonical JSON of the body with type, time and state_generation', async () => {
      const store = await filled();
      const body = {
        zebra: 1,
        alpha: ['ü', null, true],
        left_out: undefined,
        type: 'forged',
        time: 'forged',
        state_generation: '99',
      };
      await store.appendRecord('denial', body, '{"detail":1}');
      const [newest] = await store.read((view) => view.entries({ limit: 1 }));
      const expected: Json = {
        alpha: ['ü', null, true],
        zebra: 1,
        state_generation: '1',
        time: '2026-11-20T12:00:00.123Z',
        type: 'denial',
      };
      expect(newest).toEqual({
        index: 1,
        type: 'denial',
        entry: canonicalJson(expected).toString(),
        detail: '{"detail":1}',
      });
    });

    test('has times that never decrease, though the clock does', async () => {
      const store = await filled();
      clock.now = NOW - 60_000;
      await store.appendRecord('denial', {});
      await store.change(async (change) => {
        await change.append('key.created', {});
        clock.now = NOW + 5;
        await change.append('key.created', {});
        clock.now = NOW - 1;
        await change.append('key.created', {});
      });
      await store.close();
      clock.now = 0;
      const again = await open();
      await again.commitRelease(await commitFor(again, 'a'));
      const times = (await entriesOf(again)).map((each) => Date.parse(each['time'] as string) - NOW);
      expect(times).toEqual([0, 0, 0, 5, 5, 5]);
    });

    test('takes an entry of 16 KiB and refuses one byte more, keeping nothing of it', async () => {
      const store = await filled();
      const overhead = canonicalJson({
        pad: '',
        state_generation: '1',
        time: new Date(NOW).toISOString(),
        type: 'denial',
      }).length;
      await store.appendRecord('denial', { pad: 'x'.repeat(16_384 - overhead) });
      await expect(store.appendRecord('denial', { pad: 'x'.repeat(16_385 - overhead) })).rejects.toThrow(RangeError);
      await expect(
        store.change(async (change) => {
          await change.keys.put(key('k'));
          await change.append('key.created', { pad: 'x'.repeat(16_384) });
        }),
      ).rejects.toThrow(RangeError);
      expect(await entriesOf(store)).toHaveLength(2);
      expect(await store.read((view) => view.keys.get('k'))).toBeUndefined();
    });

    test('is read newest first, by type, by deployment in any case, and in pages', async () => {
      const store = await filled();
      for (let at = 1; at <= 12; at++) {
        await store.appendRecord(
          at % 2 === 0 ? 'denial' : 'denial.summary',
          at % 3 === 0 ? { deployment: 'Llm' } : { deployment: 'other' },
        );
      }
      const indexes = async (query: {
        type?: string;
        deployments?: readonly string[];
        before?: number;
        limit: number;
      }): Promise<number[]> => (await store.read((view) => view.entries(query))).map((each) => each.index);
      expect(await indexes({ limit: 3 })).toEqual([12, 11, 10]);
      expect(await indexes({ limit: 3, before: 10 })).toEqual([9, 8, 7]);
      expect(await indexes({ limit: 100, before: 1 })).toEqual([0]);
      expect(await indexes({ limit: 100, before: 0 })).toEqual([]);
      expect(await indexes({ limit: 3, type: 'denial' })).toEqual([12, 10, 8]);
      expect(await indexes({ limit: 9, deployments: ['LLM'] })).toEqual([12, 9, 6, 3]);
      expect(await indexes({ limit: 9, deployments: ['llm'], type: 'denial' })).toEqual([12, 6]);
      expect(await indexes({ limit: 1, deployments: ['llm'], type: 'denial', before: 12 })).toEqual([6]);
      expect(await indexes({ limit: 9, type: 'nothing' })).toEqual([]);
    });

    test('gets records without the generation being raised', async () => {
      const store = await filled();
      const before = await stateOf(store);
      await Promise.all([store.appendRecord('denial', {}), store.appendRecord('denial', {})]);
      expect(await stateOf(store)).toEqual(before);
      expect(await entriesOf(store)).toHaveLength(3);
    });
  });

  describe(`${name}: the facts of a release`, () => {
    const query: ReleaseQuery = { deployment: 'LLM', key: 'WEIGHTS', version: 'latest', akSpkiSha256: hash('node') };

    async function ready(): Promise<Store> {
      const store = await filled();
      await store.change(async (change) => {
        await change.deployments.put(deployment('llm'));
        for (const each of ['a', 'b']) await change.policyLinks.put(link('llm', each));
        await change.policyLinks.put(link('other', 'c'));
        await change.keys.put(key('weights'));
        for (const sequence of [1, 10, 9]) await change.keyVersions.put(version('weights', sequence));
        await change.keyVersions.put(version('other', 20));
        await change.attesters.put(attester('node'));
      });
      return store;
    }

    test('are everything that decides it', async () => {
      const store = await ready();
      expect(await store.releaseFacts(query)).toEqual({
        state: { generation: 2, epoch: 1, nonceFloorMs: 0 },
        deployment: deployment('llm'),
        deploymentFrozen: false,
        policies: [link('llm', 'a'), link('llm', 'b')].sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1)),
        key: key('weights'),
        keyFrozen: false,
        version: version('weights', 10),
        attester: attester('node'),
        akRevoked: false,
        revoked: [],
      });
    });

    test('have the newest version by sequence, whatever its state, until there is a newer one', async () => {
      const store = await ready();
      expect((await store.releaseFacts(query)).version?.sequence).toBe(10);
      await store.change((change) => change.keyVersions.put(version('weights', 11, { state: 'disabled' })));
      expect((await store.releaseFacts(query)).version).toEqual(version('weights', 11, { state: 'disabled' }));
      await store.change((change) => change.keyVersions.remove('weights', version('weights', 11).version));
      expect((await store.releaseFacts(query)).version?.sequence).toBe(10);
    });

    test('have a version by its id only if it is one of the key', async () => {
      const store = await ready();
      const { version: older } = version('weights', 9);
      expect((await store.releaseFacts({ ...query, version: older })).version?.sequence).toBe(9);
      const { version: foreign } = version('other', 20);
      expect((await store.releaseFacts({ ...query, version: foreign })).version).toBeUndefined();
      expect((await store.releaseFacts({ ...query, version: older.toUpperCase() })).version).toBeUndefined();
    });

    test('are absent where there is nothing', async () => {
      const store = await ready();
      const facts = await store.releaseFacts({
        deployment: 'no',
        key: 'other',
        version: 'latest',
        akSpkiSha256: undefined,
      });
      expect(facts).toEqual({
        state: { generation: 2, epoch: 1, nonceFloorMs: 0 },
        deployment: undefined,
        deploymentFrozen: false,
        policies: [],
        key: undefined,
        keyFrozen: false,
        version: undefined,
        attester: undefined,
        akRevoked: false,
        revoked: [],
      });
      const strange = { deployment: 'a\0b', key: '\ud800', version: "'; --", akSpkiSha256: hash('unknown') };
      expect(await store.releaseFacts(strange)).toMatchObject({
        deployment: undefined,
        key: undefined,
        akRevoked: false,
      });
    });

    test('say what is frozen or revoked, on every store, from the change on', async () => {
      const store = await ready();
      const other = await open();
      expect(await other.releaseFacts(query)).toMatchObject({
        deploymentFrozen: false,
        keyFrozen: false,
        akRevoked: false,
      });
      await store.change(async (change) => {
        await change.freezes.add('deployment/llm');
        await change.freezes.add('key/weights');
        await change.revocations.add(hash('node'));
        await change.revocations.add(hash('never seen'));
      });
      expect(await other.releaseFacts(query)).toMatchObject({
        deploymentFrozen: true,
        keyFrozen: true,
        akRevoked: true,
      });
      expect(await other.releaseFacts({ ...query, akSpkiSha256: hash('never seen') })).toMatchObject({
        akRevoked: true,
      });
      await store.change((change) => change.freezes.delete('key/weights'));
      expect(await other.releaseFacts(query)).toMatchObject({
        deploymentFrozen: true,
        keyFrozen: false,
        akRevoked: true,
      });
    });

    test('say which of the identities that vouch for the AK were revoked, in their order, on every store', async () => {
      const store = await ready();
      const other = await open();
      const [ek, ca, chip] = [`ek/${hash('ek')}`, `ca/${hash('ca')}`, `chip/${'ab'.repeat(16)}`];
      const certificate = `certificate/${hash('issuer')}/00ff`;
      const identities = [certificate, ca, ek, chip];
      const revoked = async (of: Store, asked: readonly string[]) =>
        (await of.releaseFacts({ ...query, identities: asked })).revoked;
      for (const each of [store, other]) expect(await revoked(each, identities)).toEqual([]);
      await store.change(async (change) => {
        for (const each of [ek, certificate, hash('node')]) await change.revocations.add(each);
      });
      for (const each of [store, other, await open()]) {
        expect(await revoked(each, identities)).toEqual([certificate, ek]);
        expect(await revoked(each, [ek, chip])).toEqual([ek]);
        expect(await revoked(each, [])).toEqual([]);
        expect(await revoked(each, [`ek/${hash('EK')}`, "'; --", '', 'a\0b'])).toEqual([]);
        expect((await each.releaseFacts(query)).revoked).toEqual([]);
        const many = Array.from({ length: 63 }, (_, at) => `ca/${hash(String(at))}`);
        expect(await revoked(each, [...many, certificate])).toEqual([certificate]);
      }
      await store.change((change) => change.revocations.delete(ek));
      for (const each of [store, other]) expect(await revoked(each, identities)).toEqual([certificate]);
    });

    test('have all that is known of the attester, and what has changed of it', async () => {
      const store = await ready();
      const other = await open();
      const enrolled = attester('node', {
        enrolments: [
          enrolment('other', { spkiSha256: hash('another ek'), certificates: [] }),
          enrolment('llm', {
            spkiSha256: hash('ek'),
            certificates: [Buffer.from([1, 0, 255]), Buffer.alloc(8192, 7)],
          }),
        ],
        quarantinedAtMs: NOW,
      });
      for (const record of [enrolled, attester('node', { enrolments: [] }), attester('node')]) {
        await store.change((change) => change.attesters.put(record));
        for (const each of [store, other]) expect((await each.releaseFacts(query)).attester).toEqual(record);
      }
    });
  });

  describe(`${name}: the commit of a release`, () => {
    test('spends the nonce and appends the entry', async () => {
      const store = await filled();
      expect(await store.commitRelease(await commitFor(store, 'a'))).toMatchObject({
        outcome: 'committed',
        logged: { index: 1 },
      });
      const [entry] = await store.read((view) => view.entries({ limit: 1 }));
      expect(entry).toMatchObject({ index: 1, type: 'release', detail: '{"met":true}' });
      expect(JSON.parse(entry!.entry)).toMatchObject({ type: 'release', release_id: 'a', state_generation: '1' });
    });

    test('happens once for a nonce: one after the other, in the same tick, on two stores, after a restart', async () => {
      const store = await filled();
      const other = await open();
      const commit = await commitFor(store, 'a');
      const attempts = Array.from({ length: 40 }, (_, at) => (at % 2 === 0 ? store : other).commitRelease(commit));
      const outcomes = (await Promise.all(attempts)).map((each) => each.outcome);
      expect(outcomes.filter((each) => each === 'committed')).toHaveLength(1);
      expect(outcomes.filter((each) => each === 'replayed')).toHaveLength(39);
      expect(await store.commitRelease(commit)).toEqual({ outcome: 'replayed' });
      await store.close();
      await other.close();
      const again = await open();
      expect(await again.commitRelease(commit)).toEqual({ outcome: 'replayed' });
      expect((await entriesOf(again)).filter((each) => each['type'] === 'release')).toHaveLength(1);
    });

    test('commits every one of many that arrive together, on two stores, with contiguous indexes', async () => {
      const store = await filled();
      const other = await open();
      const commits = await Promise.all(Array.from({ length: 600 }, (_, at) => commitFor(store, String(at))));
      const outcomes = await Promise.all(commits.map((each, at) => (at % 2 === 0 ? store : other).commitRelease(each)));
      const indexes = outcomes.map((each) => (each.outcome === 'committed' ? each.logged.index : Number.NaN));
      expect([...indexes].sort((a, b) => a - b)).toEqual(Array.from({ length: 600 }, (_, at) => at + 1));
      const entries = await entriesOf(store);
      for (const [at, each] of indexes.entries()) expect(entries[each]?.['release_id']).toBe(String(at));
    });

    test('is refused at another generation or epoch, and nothing is written', async () => {
      const store = await filled();
      const stale = await commitFor(store, 'a');
      await store.change((change) => change.revocations.add(hash('node')));
      expect(await store.commitRelease(stale)).toEqual({ outcome: 'changed' });
      expect(await store.commitRelease({ ...stale, generation: 2, epoch: 2 })).toEqual({ outcome: 'changed' });
      expect(await store.commitRelease({ ...stale, generation: 3 })).toEqual({ outcome: 'changed' });
      expect(await entriesOf(store)).toHaveLength(1);
      expect(await store.commitRelease({ ...stale, generation: 2 })).toMatchObject({ outcome: 'committed' });
    });

    test('is refused once its nonce has expired by the clock of the store', async () => {
      const store = await filled();
      const commit = await commitFor(store, 'a', { nonceExpiresAtMs: clock.now + 5 });
      clock.now += 5;
      expect(await store.commitRelease(commit)).toEqual({ outcome: 'expired' });
      clock.now--;
      expect(await store.commitRelease(commit)).toMatchObject({ outcome: 'committed' });
    });

    test('is refused when a change comes between, in flight or on another store', async () => {
      const store = await filled();
      const other = await open();
      const [first, second] = [await commitFor(store, 'a'), await commitFor(store, 'b')];
      const change = store.change((each) => each.freezes.add('key/weights'));
      const overtaken = store.commitRelease(first);
      await change;
      expect(await overtaken).toEqual({ outcome: 'changed' });
      expect(await other.commitRelease(second)).toEqual({ outcome: 'changed' });
    });

    test('stands alone: a replay, and an entry that is too large, undo nothing of their neighbours', async () => {
      const store = await filled();
      await store.commitRelease(await commitFor(store, 'spent'));
      const [a, spent, large, b] = [
        await commitFor(store, 'a'),
        await commitFor(store, 'spent'),
        await commitFor(store, 'large', { entry: { pad: 'x'.repeat(20_000) } }),
        await commitFor(store, 'b'),
      ];
      const results = await Promise.allSettled([a, spent, large, b].map((each) => store.commitRelease(each)));
      expect(results).toMatchObject([
        { value: { outcome: 'committed', logged: { index: 2 } } },
        { value: { outcome: 'replayed' } },
        { reason: expect.any(RangeError) },
        { value: { outcome: 'committed', logged: { index: 3 } } },
      ]);
      expect(await store.commitRelease({ ...large, entry: {} })).toMatchObject({ outcome: 'committed' });
    });

    test('demands 32 bytes of nonce', async () => {
      const store = await filled();
      for (const length of [0, 31, 33]) {
        const commit = await commitFor(store, 'a', { nonce: Buffer.alloc(length, 1) });
        await expect(store.commitRelease(commit)).rejects.toThrow(RangeError);
      }
      expect(await entriesOf(store)).toHaveLength(1);
    });
  });

  describe(`${name}: the archive`, () => {
    const archive = (seed: string) => ({ releaseId: seed, sealed: Buffer.from(`sealed for ${seed}`) });

    test('keeps what is sealed for a release, with the index of its entry, over a restart and for every store', async () => {
      const store = await filled();
      const other = await open();
      const commits = await Promise.all(
        ['a', 'b', 'c'].map((seed) => commitFor(store, seed, { archive: archive(seed) })),
      );
      await store.commitRelease(await commitFor(store, 'before'));
      await Promise.all(commits.map((each, at) => (at === 1 ? other : store).commitRelease(each)));
      const entries = await entriesOf(store);
      await store.close();
      for (const reader of [other, await open()]) {
        for (const seed of ['a', 'b', 'c']) {
          const { index, sealed } = (await reader.archived(seed))!;
          expect(sealed).toEqual(archive(seed).sealed);
          expect(entries[index]).toMatchObject({ index, release_id: seed });
        }
      }
    });

    test('has nothing of a release that archived nothing, or did not happen', async () => {
      const store = await filled();
      await store.commitRelease(await commitFor(store, 'a'));
      const replayed = { ...(await commitFor(store, 'a')), archive: archive('replayed') };
      const stale = await commitFor(store, 'stale', { generation: 0, archive: archive('stale') });
      const expired = await commitFor(store, 'expired', { nonceIssuedAtMs: 0, archive: archive('expired') });
      expect(await store.commitRelease(replayed)).toEqual({ outcome: 'replayed' });
      expect(await store.commitRelease(stale)).toEqual({ outcome: 'changed' });
      expect(await store.commitRelease(expired)).toEqual({ outcome: 'expired' });
      const large = { entry: { pad: 'x'.repeat(20_000) }, archive: archive('large') };
      await expect(store.commitRelease(await commitFor(store, 'large', large))).rejects.toThrow(RangeError);
      for (const id of ['a', 'replayed', 'stale', 'expired', 'large', '']) {
        expect(await store.archived(id)).toBeUndefined();
      }
    });
  });

  describe(`${name}: a page of entries`, () => {
    test('ends with the entry that makes it large enough, however small the bound', async () => {
      const store = await filled();
      for (const at of ['1', '2', '3']) await store.appendRecord('denial', { at }, 'x'.repeat(100));
      const page = (maxCharacters: number) =>
        store.read((view) => view.entries({ limit: 9, type: 'denial', maxCharacters }));
      expect(await page(1)).toHaveLength(1);
      expect(await page(300)).toHaveLength(2);
      expect(await page(100_000)).toHaveLength(3);
    });
  });

  describe(`${name}: a purge of nonces`, () => {
    test('deletes what was issued up to then, raises the floor, and no generation', async () => {
      const store = await filled();
      for (const [seed, at] of [
        ['a', NOW],
        ['b', NOW + 1],
        ['c', NOW + 2],
      ] as const) {
        await store.commitRelease(await commitFor(store, seed, { nonceIssuedAtMs: at }));
      }
      expect(await store.purgeNonces(NOW + 1)).toBe(2);
      expect(await stateOf(store)).toEqual({ generation: 1, epoch: 1, nonceFloorMs: NOW + 1 });
      expect(await store.purgeNonces(NOW + 1)).toBe(0);
    });

    test('never makes a nonce usable again, and leaves later ones spent', async () => {
      const store = await filled();
      const [old, late] = [await commitFor(store, 'a'), await commitFor(store, 'b', { nonceIssuedAtMs: NOW + 1 })];
      await store.commitRelease(old);
      await store.commitRelease(late);
      await store.purgeNonces(NOW);
      expect(await store.commitRelease(old)).toEqual({ outcome: 'expired' });
      expect(await store.commitRelease(late)).toEqual({ outcome: 'replayed' });
      const unused = await commitFor(store, 'c', { nonceIssuedAtMs: NOW });
      expect(await store.commitRelease(unused)).toEqual({ outcome: 'expired' });
      expect(await store.commitRelease({ ...unused, nonceIssuedAtMs: NOW + 1 })).toMatchObject({
        outcome: 'committed',
      });
    });

    test('never lowers the floor, which other stores and a restart see', async () => {
      const store = await filled();
      const other = await open();
      await store.purgeNonces(NOW + 10);
      expect(await other.purgeNonces(NOW)).toBe(0);
      expect((await stateOf(other)).nonceFloorMs).toBe(NOW + 10);
      const commit = await commitFor(other, 'a', { nonceIssuedAtMs: NOW + 10 });
      expect(await other.commitRelease(commit)).toEqual({ outcome: 'expired' });
      await store.change((change) => change.keys.put(key('a')));
      await store.close();
      const again = await open();
      expect((await stateOf(again)).nonceFloorMs).toBe(NOW + 10);
    });

    test('deletes thousands while releases go on', async () => {
      const store = await filled();
      const commits = await Promise.all(Array.from({ length: 4500 }, (_, at) => commitFor(store, String(at))));
      await Promise.all(commits.map((each) => store.commitRelease(each)));
      const late = await commitFor(store, 'late', { nonceIssuedAtMs: NOW + 1 });
      const [purged, outcome] = await Promise.all([store.purgeNonces(NOW), store.commitRelease(late)]);
      expect(purged).toBe(4500);
      expect(outcome).toMatchObject({ outcome: 'committed' });
    });

    test('takes a time only', async () => {
      const store = await filled();
      for (const time of [-1, 0.5, Number.NaN, Infinity])
        await expect(store.purgeNonces(time)).rejects.toThrow(RangeError);
      expect((await stateOf(store)).nonceFloorMs).toBe(0);
    });
  });

  describe(`${name}: the store as a whole`, () => {
    test('keeps everything over a restart', async () => {
      const store = await filled();
      await store.change(async (change) => {
        await change.deployments.put(deployment('llm'));
        await change.policies.put(policy('a'));
        await change.policyLinks.put(link('llm', 'a'));
        await change.keys.put(key('weights'));
        await change.keyVersions.put(version('weights', 1));
        await change.attesters.put(attester('node'));
        await change.attesters.put(attester('n2', { enrolments: [enrolment('a')] }));
        await change.tokens.put(token('t'));
        await change.revocations.add(hash('r'));
        await change.revocations.add(`ek/${hash('ek')}`);
        await change.freezes.add('key/weights');
        await change.raiseEpoch();
        await change.append('key.created', { key: 'weights' }, '{}');
      });
      const everything = (from: Store): Promise<unknown> =>
        from.read(async (view) => [
          await view.state(),
          await view.deployments.list({ limit: 9 }),
          await view.policies.list({ limit: 9 }),
          await view.policyLinks.list({ limit: 9 }),
          await view.keys.list({ limit: 9 }),
          await view.keyVersions.list({ limit: 9 }),
          await view.attesters.list({ limit: 9 }),
          await view.tokens.list({ limit: 9 }),
          await view.revocations.all(),
          await view.freezes.all(),
          await view.entries({ limit: 9 }),
        ]);
      const before = await everything(store);
      await store.close();
      const again = await open();
      expect(await everything(again)).toEqual(before);
      expect(await again.broker()).toEqual(brokerRecord());
    });

    test('proves that it can write', async () => {
      const store = await filled();
      const before = [await stateOf(store), await entriesOf(store)];
      await store.probe();
      clock.now += 5000;
      await Promise.all([store.probe(), store.probe()]);
      expect([await stateOf(store), await entriesOf(store)]).toEqual(before);
    });

    test('finishes what it has been asked for when it is closed, and then does nothing more', async () => {
      const store = await filled();
      const commit = await commitFor(store, 'a');
      const pending = [store.commitRelease(commit), store.appendRecord('denial', {}), store.purgeNonces(1)];
      const reading = store.read((view) => view.keys.list({ limit: 1 }));
      await Promise.all([store.close(), store.close()]);
      expect((await Promise.allSettled([...pending, reading])).map((each) => each.status)).toEqual(
        Array(4).fill('fulfilled'),
      );
      const attempts = [
        () => store.broker(),
        () => stateOf(store),
        () => store.change((change) => change.keys.put(key('late'))),
        () => store.releaseFacts({ deployment: 'a', key: 'b', version: 'latest', akSpkiSha256: undefined }),
        () => store.commitRelease(commit),
        () => store.appendRecord('denial', {}),
        () => store.purgeNonces(NOW),
        () => store.probe(),
        () => store.logHead(),
        () => store.logHashes(0, 0, 1),
        () => store.logEntries(0, 1),
        () => store.expectLog({ size: 0, root: EMPTY_ROOT, where: 'here' }),
      ];
      for (const attempt of attempts) await expect(attempt()).rejects.toThrow(StoreUnavailableError);
      const again = await open();
      expect(await again.commitRelease(commit)).toEqual({ outcome: 'replayed' });
    });
  });
}
