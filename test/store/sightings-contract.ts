import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Sighting, TpmClock } from '../../src/release/records.js';
import { type Store, StoreUnavailableError } from '../../src/release/store.js';
import type { TestDatabase } from './contract.js';
import { entriesOf, hash, initialise, NOW, testClock } from './samples.js';

/** `seconds` after NOW. */
const at = (seconds: number): number => NOW + 1000 * seconds;

export function tpmClock(seconds: number, members: Partial<TpmClock> = {}): TpmClock {
  return {
    clock: BigInt(Math.round(1000 * seconds)),
    resetCount: 3,
    restartCount: 1,
    safe: true,
    firmwareVersion: 0xffff_ffff_ffff_fffen,
    ...members,
  };
}

export function sighting(name: string, members: Partial<Sighting> = {}): Sighting {
  return {
    spkiSha256: hash(name),
    akName: `000b${hash(`name of ${name}`)}`,
    publicArea: Buffer.from(`public area of ${name}`),
    deployment: 'llm',
    trust: 'ak-certificate',
    state: 'trusted',
    certificates: [Buffer.from(`certificate of ${name}`), Buffer.from('the CA')],
    seenAtMs: NOW,
    ...members,
  };
}

/** A release at `seconds` after NOW, quoted just before, by a TPM that has been on since `clock` seconds. */
const quoted = (seconds: number, clock: number, members: Partial<TpmClock> = {}): Sighting =>
  sighting('node', {
    seenAtMs: at(seconds),
    challengedAtMs: at(seconds) - 200,
    clock: tpmClock(clock, members),
  });

/** What every engine promises of the inventory. */
export function sightingsContract(name: string, makeDatabase: () => Promise<TestDatabase>): void {
  // One group: its hooks are for no other test of the file.
  describe(name, () => {
    let database: TestDatabase;
    let store: Store;
    const opened: Store[] = [];

    async function open(): Promise<Store> {
      const another = await database.open(testClock());
      opened.push(another);
      return another;
    }

    /** As it comes back: when its nonce was issued is not kept. */
    const stored = (given: Sighting, members: object = {}) => {
      const kept = { ...given, firstSeenAtMs: given.seenAtMs, regressions: 0, ...members };
      return Object.fromEntries(Object.entries(kept).filter(([name]) => name !== 'challengedAtMs'));
    };

    beforeEach(async () => {
      database = await makeDatabase();
      store = await open();
      await initialise(store);
    });

    afterEach(async () => {
      for (const each of opened.splice(0)) await each.close();
      await database.destroy();
    });

    describe('the inventory of AKs', () => {
      test('gives back what was noted, to other processes and after a restart', async () => {
        const node = sighting('node', { clock: tpmClock(12), challengedAtMs: NOW - 5 });
        const bare = sighting('bare', {
          akName: 'unknown',
          publicArea: Buffer.alloc(0),
          certificates: [],
          state: 'pending',
        });
        const other = await open();
        expect(await store.noteSightings([node, bare])).toEqual([]);
        for (const each of [store, other]) {
          expect(await each.sighting(hash('node'))).toEqual(stored(node));
          expect(await each.sighting(hash('bare'))).toEqual(stored(bare));
          for (const id of [hash('nobody'), '', 'a\0b', "'; --", hash('node').toUpperCase()]) {
            expect(await each.sighting(id)).toBeUndefined();
          }
        }
        for (const each of [store, other]) await each.close();
        expect(await (await open()).sighting(hash('node'))).toEqual(stored(node));
      });

      test('is listed by SPKI hash, page by page', async () => {
        const all = Array.from({ length: 23 }, (_, each) => sighting(String(each)));
        await store.noteSightings(all);
        const sorted = all.map(({ spkiSha256 }) => spkiSha256).sort();
        const found: string[] = [];
        for (let after: string | undefined; ; after = found.at(-1)) {
          const page = await store.listSightings({ limit: 10, ...(after === undefined ? {} : { after }) });
          found.push(...page.map(({ spkiSha256 }) => spkiSha256));
          if (page.length < 10) break;
        }
        expect(found).toEqual(sorted);
        const cut = sorted[4]!.slice(0, 16);
        expect((await store.listSightings({ limit: 1, after: cut }))[0]?.spkiSha256).toBe(sorted[4]);
      });

      test('changes no state, makes no entry, and comes with nothing before init', async () => {
        const before = [await store.read((view) => view.state()), await entriesOf(store), await store.logHead()];
        await store.noteSightings([sighting('node')]);
        await store.noteSightings([]);
        expect([await store.read((view) => view.state()), await entriesOf(store), await store.logHead()]).toEqual(
          before,
        );
        await store.close();
        await database.destroy();
        database = await makeDatabase();
        const empty = await open();
        await expect(empty.noteSightings([sighting('node')])).rejects.toThrow(StoreUnavailableError);
      });

      test('takes a batch as a whole, in its order, also while releases and changes go on', async () => {
        const many = Array.from({ length: 300 }, (_, each) =>
          sighting(`node ${String(each % 100)}`, { seenAtMs: at(each) }),
        );
        const others = await Promise.all([open(), open()]);
        await Promise.all([
          store.noteSightings(many),
          ...others.map((each, of) => each.noteSightings([sighting(`other ${String(of)}`)])),
          ...others.map((each) => each.appendRecord('denial', {})),
        ]);
        expect(await store.listSightings({ limit: 1000 })).toHaveLength(102);
        expect(await store.sighting(hash('node 7'))).toMatchObject({ firstSeenAtMs: at(7), seenAtMs: at(207) });
      });

      test('has what is newest of an AK, and what only an older sighting had', async () => {
        const first = sighting('node', { clock: tpmClock(10), challengedAtMs: NOW });
        const later = sighting('node', {
          akName: 'unknown',
          publicArea: Buffer.alloc(0),
          certificates: [],
          deployment: 'other',
          trust: 'pinned',
          state: 'pending',
          seenAtMs: at(9),
        });
        await store.noteSightings([first]);
        await store.noteSightings([later]);
        const { akName, publicArea, certificates, clock } = first;
        const both = stored({ ...later, akName, publicArea, certificates, clock: clock! }, { firstSeenAtMs: NOW });
        expect(await store.sighting(hash('node'))).toEqual(both);
        await store.noteSightings([sighting('node', { deployment: 'late', seenAtMs: at(-5), trust: 'simulator' })]);
        expect(await store.sighting(hash('node'))).toEqual({ ...both, firstSeenAtMs: at(-5) });
      });

      test('leaves out what is over its bounds, and keeps what is at them', async () => {
        const bytes = (length: number) => Buffer.alloc(length, 1);
        const most = sighting('most', {
          publicArea: bytes(1024),
          certificates: Array(8).fill(bytes(8192)) as Buffer[],
        });
        const over = sighting('over', {
          publicArea: bytes(1025),
          certificates: [bytes(8193), ...(Array(9).fill(bytes(8192)) as Buffer[])],
        });
        await store.noteSightings([most, over]);
        expect(await store.sighting(hash('most'))).toEqual(stored(most));
        const found = await store.sighting(hash('over'));
        expect(found?.publicArea).toEqual(Buffer.alloc(0));
        expect(found?.certificates.map((each) => each.length)).toEqual(Array(8).fill(8192));
      });

      test('keeps the 100,000 AKs that wait and were seen last, and every one that was believed', async () => {
        const waiting = (from: number, count: number) =>
          Array.from({ length: count }, (_, each) =>
            sighting(`waiting ${String(from + each)}`, {
              state: 'pending',
              certificates: [],
              seenAtMs: at(1 + from + each),
            }),
          );
        await store.noteSightings([sighting('believed')]);
        await store.noteSightings(waiting(0, 99_999));
        await store.noteSightings(waiting(99_999, 1));
        expect(await store.sighting(hash('waiting 0'))).toBeDefined();
        await store.noteSightings(waiting(100_000, 3));
        const left = await Promise.all(
          [0, 1, 2, 3, 4, 100_002].map((each) => store.sighting(hash(`waiting ${String(each)}`))),
        );
        expect(left.map((each) => each !== undefined)).toEqual([false, false, false, true, true, true]);
        expect(await store.sighting(hash('believed'))).toBeDefined();
        expect(await store.listSightings({ limit: 200_000 })).toHaveLength(100_001);
      }, 120_000);

      test('is closed with the store', async () => {
        await store.close();
        const attempts = [
          () => store.noteSightings([sighting('node')]),
          () => store.sighting(hash('node')),
          () => store.listSightings({ limit: 1 }),
        ];
        for (const attempt of attempts) await expect(attempt()).rejects.toThrow(StoreUnavailableError);
      });
    });

    describe('the clock of a TPM', () => {
      const regressionsOf = async () => (await store.sighting(hash('node')))?.regressions;

      test('that goes on is no event, also over an ordinary reboot, suspension, and one that was not orderly', async () => {
        const history = [
          quoted(0, 600),
          quoted(60, 660),
          quoted(120, 715, { restartCount: 2 }),
          quoted(180, 760, { resetCount: 4, restartCount: 0 }),
          quoted(240, 800, { resetCount: 4, restartCount: 0 }),
          // It may lose what it has not written yet, and says so.
          quoted(300, 500, { resetCount: 5, restartCount: 0, safe: false }),
          quoted(360, 560, { resetCount: 5, restartCount: 0, safe: false }),
          quoted(420, 400, { resetCount: 5, restartCount: 1, safe: false }),
        ];
        for (const each of history) expect(await store.noteSightings([each])).toEqual([]);
        expect(await store.sighting(hash('node'))).toMatchObject({
          regressions: 0,
          clock: history.at(-1)!.clock,
          firstSeenAtMs: at(0),
        });
      });

      test.each([
        ['its clock falls', quoted(60, 599)],
        ['its clock falls, and is not safe, though it was not restarted', quoted(60, 599, { safe: false })],
        ['its resetCount falls', quoted(60, 9999, { resetCount: 2, restartCount: 9 })],
        ['its restartCount falls within one resetCount', quoted(60, 9999, { restartCount: 0 })],
        ['its clock falls over a reboot, which it calls orderly', quoted(60, 599, { resetCount: 4, restartCount: 0 })],
        ['it was cleared', quoted(60, 1, { resetCount: 0, restartCount: 0 })],
      ])('is an event where %s, which is counted once', async (_, later) => {
        await store.noteSightings([quoted(0, 600)]);
        const [regression, ...more] = await store.noteSightings([later]);
        expect(regression).toEqual({ spkiSha256: hash('node'), before: tpmClock(600), after: later.clock });
        expect(more).toEqual([]);
        expect(await regressionsOf()).toBe(1);
        expect(await store.noteSightings([{ ...later, seenAtMs: at(90), challengedAtMs: at(89) }])).toEqual([]);
        expect(await regressionsOf()).toBe(1);
      });

      test('shows that a TPM was copied: two that quote in turn, at different replicas', async () => {
        const replica = await open();
        // The copy was made from a snapshot ten minutes old.
        const lag = 600;
        for (let round = 0; round < 4; round++) {
          const seconds = 7 * round;
          expect(await store.noteSightings([quoted(seconds, 6000 + seconds)])).toEqual([]);
          const found = await replica.noteSightings([quoted(seconds + 3, 6000 + seconds + 3 - lag)]);
          expect(found).toHaveLength(1);
        }
        expect(await regressionsOf()).toBe(4);
      });

      test('shows a copy that was rebooted less often, however quickly they take turns', async () => {
        let found = 0;
        for (let round = 0; round < 20; round++) {
          found += (await store.noteSightings([quoted(3 * round, 6000 + round)])).length;
          found += (await store.noteSightings([quoted(3 * round + 1, 7000 + round, { resetCount: 2 })])).length;
        }
        expect(found).toBeGreaterThan(2);
        expect(await regressionsOf()).toBe(found);
      });

      test('is told both sides of what one process has seen between two flushes', async () => {
        const found = await store.noteSightings([quoted(0, 600), quoted(9, 5), quoted(10, 6)]);
        expect(found).toEqual([{ spkiSha256: hash('node'), before: tpmClock(600), after: tpmClock(5) }]);
      });

      test('is not taken to go back where quotes overtake each other, in a worker or between replicas', async () => {
        const replica = await open();
        await replica.noteSightings([quoted(120, 720)]);
        // The other one was down for a while, and writes only now what it has seen before.
        expect(await store.noteSightings([quoted(0, 600), quoted(60, 660)])).toEqual([]);
        // Its quote waited for the network while another one was made and presented.
        const held = sighting('node', { seenAtMs: at(121), challengedAtMs: at(61), clock: tpmClock(662) });
        expect(await store.noteSightings([held])).toEqual([]);
        // Its own clock is 4 s behind that of the replica.
        const behind = sighting('node', { seenAtMs: at(117), challengedAtMs: at(116.5), clock: tpmClock(721) });
        expect(await replica.noteSightings([behind])).toEqual([]);
        expect(await store.noteSightings([quoted(121, 720.9)])).toEqual([]);
        // A quote of before the reboot comes after one of since then.
        await replica.noteSightings([quoted(180, 750, { resetCount: 4, restartCount: 0 })]);
        expect(await store.noteSightings([{ ...quoted(179, 730), seenAtMs: at(182) }])).toEqual([]);
        expect(await store.sighting(hash('node'))).toMatchObject({ regressions: 0, clock: { resetCount: 4 } });
      });
    });
  });
}
