import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type ReleaseFacts,
  type ReleaseQuery,
  type StoreChange,
  StoreIntegrityError,
} from '../../src/release/store.js';
import { StateWatch } from '../../src/store/rows/state-watch.js';
import { Connection } from '../../src/store/sqlite/connection.js';
import { KnownFacts } from '../../src/store/sqlite/known-facts.js';
import { openSqliteStore, type SqliteStore } from '../../src/store/sqlite/open.js';
import { Readers } from '../../src/store/sqlite/readers.js';
import { StoredLog } from '../../src/store/sqlite/stored-log.js';
import { testLogIdentity } from '../helpers/log-identity.js';
import { attester, commitFor, deployment, hash, initialise, key, link, testClock, version } from './samples.js';
import { insert, row, tamper } from './tamper.js';

const MAC_KEY = Buffer.alloc(32, 7);
const CA = `ca/${hash('ca')}`;

const clock = testClock();
let directory: string;
let ours: SqliteStore;
let another: SqliteStore;
const readers: Readers[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'portcullis-store-'));
  ours = await open(true);
  await initialise(ours);
  await ours.change(async (change) => {
    await change.append('seed', {});
    await change.deployments.put(deployment('llm'));
    await change.policyLinks.put(link('llm', 'a'));
    await change.keys.put(key('weights', { deployments: ['llm'] }));
    await change.keyVersions.put(version('weights', 1));
    for (const each of ['a', 'b', 'c']) await change.attesters.put(attester(each));
  });
  another = await open(false);
});

afterEach(async () => {
  for (const each of readers.splice(0)) await each.close();
  await ours.close();
  await another.close();
  rmSync(directory, { recursive: true });
});

const file = () => join(directory, 'portcullis.db');

async function open(create: boolean): Promise<SqliteStore> {
  const store = await openSqliteStore(file(), { create, clock });
  store.authenticate(MAC_KEY, testLogIdentity());
  return store;
}

function of(machine: string, members: Partial<ReleaseQuery> = {}): ReleaseQuery {
  return { deployment: 'llm', key: 'weights', version: 'latest', akSpkiSha256: hash(machine), ...members };
}

/** Facts of a process that has looked for changes before all that is committed in the test. */
function knownFacts(): KnownFacts {
  const watch = new StateWatch();
  watch.authenticate(MAC_KEY);
  const own = new Readers(() => new Connection(file(), 'read'));
  readers.push(own);
  return new KnownFacts(() => 1, own, watch, new StoredLog(watch, own, clock));
}

function expectSameRows(facts: ReleaseFacts, before: ReleaseFacts): void {
  for (const part of ['deployment', 'policies', 'key', 'version'] as const) {
    expect(facts[part]).toBeDefined();
    expect(facts[part]).toBe(before[part]);
  }
}

describe('what deployment and key bring', () => {
  test('is read once for any number of AKs, which have rows of their own', async () => {
    const a = await ours.releaseFacts(of('a'));
    const b = await ours.releaseFacts(of('b'));
    expectSameRows(b, a);
    expect([a.attester?.name, b.attester?.name]).toEqual(['a', 'b']);
    const stranger = await ours.releaseFacts(of('nobody'));
    expectSameRows(stranger, a);
    expect(stranger.attester).toBeUndefined();
    const none = await ours.releaseFacts(of('a', { akSpkiSha256: undefined }));
    expectSameRows(none, a);
    expect([none.attester, none.akRevoked]).toEqual([undefined, false]);
  });

  test('is kept while more AKs come than are known at one time, and so is what is found of them', async () => {
    const a = await ours.releaseFacts(of('a'));
    for (let at = 0; at < 1100; at++) await ours.releaseFacts(of(`stranger ${String(at)}`));
    const again = await ours.releaseFacts(of('a'));
    expect(again).toEqual(a);
    expect(again.attester).not.toBe(a.attester);
  });

  test('is known of each deployment by itself', async () => {
    await ours.change(async (change) => {
      await change.deployments.put(deployment('other'));
      await change.freezes.add('deployment/other');
    });
    const llm = await ours.releaseFacts(of('a'));
    const other = await ours.releaseFacts(of('a', { deployment: 'OTHER' }));
    expect([llm.deploymentFrozen, other.deploymentFrozen]).toEqual([false, true]);
    expect([llm.policies.length, other.policies]).toEqual([1, []]);
    expect(other.key).toBe(llm.key);
    expect(other.attester).toBe(llm.attester);
  });
});

describe('a revocation', () => {
  test.each([
    ['this store', () => ours],
    ['another process', () => another],
  ])('by %s is seen by the next release', async (_who, by) => {
    const query = of('a', { identities: [`ek/${hash('ek')}`, CA] });
    expect(await ours.releaseFacts(query)).toMatchObject({ akRevoked: false, revoked: [] });
    await by().change((change) => change.revocations.add(CA));
    expect(await ours.releaseFacts(query)).toMatchObject({ akRevoked: false, revoked: [CA] });
    await by().change((change) => change.revocations.add(hash('a')));
    expect(await ours.releaseFacts(query)).toMatchObject({ akRevoked: true, revoked: [CA] });
    expect(await ours.releaseFacts(of('b'))).toMatchObject({ akRevoked: false, revoked: [] });
  });

  test('of what vouches for several AKs is found for each of them', async () => {
    await ours.change((change) => change.revocations.add(CA));
    for (const each of ['a', 'b']) {
      const query = of(each, { identities: [CA, `ek/${hash(each)}`] });
      for (let time = 0; time < 2; time++) expect((await ours.releaseFacts(query)).revoked).toEqual([CA]);
    }
  });
});

describe('a change that is committed after it was looked for changes', () => {
  test('is in all of what an AK that was not known is judged by', async () => {
    const known = knownFacts();
    const before = known.of(of('a'));
    await another.change(async (change) => {
      await change.freezes.add('deployment/llm');
      await change.policyLinks.remove('llm', hash('a'));
      await change.keyVersions.put(version('weights', 2, { state: 'disabled' }));
      await change.revocations.add(hash('a'));
      await change.attesters.put(attester('b', { deployments: [] }));
    });
    const b = known.of(of('b'));
    expect(b.state.generation).toBe(before.state.generation + 1);
    expect(b).toMatchObject({ deploymentFrozen: true, policies: [], attester: { deployments: [] } });
    expect(b.version).toMatchObject({ sequence: 2, state: 'disabled' });
    // And what was known of the other one is not: it is of before.
    const a = known.of(of('a'));
    expect(a.akRevoked).toBe(true);
    expectSameRows({ ...a, policies: b.policies }, b);
  });

  test('never meets what was known before it, whatever part is not known', async () => {
    const known = knownFacts();
    const identities = [CA];
    const queries = [
      of('b'),
      of('a', { identities }),
      of('a', { deployment: 'other' }),
      of('a', { version: version('weights', 1).version }),
      of('a', { key: 'other' }),
    ];
    let { generation } = known.of(of('a')).state;
    for (const query of queries) {
      await another.change(async (change) => {
        await change.attesters.put(attester('a', { createdAtMs: generation }));
        await change.attesters.put(attester('b', { createdAtMs: generation }));
        await change.keys.put(key('weights', { createdAtMs: generation }));
        await change.deployments.put(deployment('llm', generation));
      });
      const facts = known.of(query);
      expect(facts.state.generation).toBe(generation + 1);
      expect(facts.attester?.createdAtMs).toBe(generation);
      expect(facts.deployment?.createdAtMs ?? generation).toBe(generation);
      expect(facts.key?.createdAtMs ?? generation).toBe(generation);
      generation = known.of(of('a')).state.generation;
    }
  });

  test('is seen where it only raised the floor of nonces', async () => {
    const known = knownFacts();
    const { nonceFloorMs } = known.of(of('a')).state;
    await another.purgeNonces(nonceFloorMs + 5);
    expect(known.of(of('b')).state.nonceFloorMs).toBe(nonceFloorMs + 5);
    expect(known.of(of('a')).state.nonceFloorMs).toBe(nonceFloorMs + 5);
  });
});

test('a change of another process is seen, though releases of that process came with it', async () => {
  const { state } = await ours.releaseFacts(of('a'));
  await ours.commitRelease(await commitFor(ours, 'a'));
  await another.commitRelease(await commitFor(another, 'b'));
  await another.change((change) => change.freezes.add('key/weights'));
  await another.commitRelease(await commitFor(another, 'c'));
  expect(await ours.releaseFacts(of('a'))).toMatchObject({
    keyFrozen: true,
    state: { generation: state.generation + 1 },
  });
});

describe('what SQL does', () => {
  test('to the rows of an AK is noticed by whoever asks for it, and no other', async () => {
    const known = knownFacts();
    known.of(of('a'));
    tamper(file(), (db) => db.prepare(`UPDATE attesters SET deployments = '["x"]' WHERE name = 'b'`).run());
    expect(() => known.of(of('b'))).toThrow(StoreIntegrityError);
    expect(known.of(of('c')).attester?.name).toBe('c');
    tamper(file(), (db) => db.prepare(`DELETE FROM attesters WHERE name = 'b'`).run());
    expect(() => known.of(of('b'))).toThrow(StoreIntegrityError);
  });

  test('to the rows of the deployment is noticed by the next release, of any AK', async () => {
    for (const machine of ['a', 'b', 'nobody']) {
      await ours.releaseFacts(of('a'));
      tamper(file(), (db) => db.exec(`UPDATE deployments SET created_at_ms = created_at_ms + 1`));
      await expect(ours.releaseFacts(of(machine))).rejects.toThrow(StoreIntegrityError);
      tamper(file(), (db) => db.exec(`UPDATE deployments SET created_at_ms = created_at_ms - 1`));
      expect((await ours.releaseFacts(of(machine))).deployment).toBeDefined();
    }
  });

  test('to the state, with an AK to be read beside what is known, is noticed', async () => {
    const known = knownFacts();
    const older = tamper(file(), (db) => row(db, 'state', 'id = 1'));
    await ours.change((change) => change.revocations.add(hash('b')));
    known.of(of('a'));
    const now = tamper(file(), (db) => row(db, 'state', 'id = 1'));
    for (const each of [older, { ...now, epoch: 9 }, { ...now, mac: older['mac']! }, undefined]) {
      tamper(file(), (db) => {
        db.exec('DELETE FROM state');
        if (each !== undefined) insert(db, 'state', each);
      });
      expect(() => known.of(of('b'))).toThrow(StoreIntegrityError);
    }
    tamper(file(), (db) => insert(db, 'state', now));
    expect(known.of(of('b')).akRevoked).toBe(true);
  });
});

describe('facts in parts', () => {
  const CHANGES: readonly ((change: StoreChange) => Promise<void>)[] = [
    (change) => change.freezes.add('deployment/llm'),
    (change) => change.freezes.delete('deployment/llm'),
    (change) => change.freezes.add('key/weights'),
    (change) => change.freezes.delete('key/weights'),
    (change) => change.revocations.add(hash('a')),
    (change) => change.revocations.delete(hash('a')),
    (change) => change.revocations.add(CA),
    (change) => change.revocations.delete(CA),
    (change) => change.attesters.put(attester('a', { deployments: [] })),
    (change) => change.attesters.put(attester('a')),
    (change) => change.attesters.remove(hash('b')),
    (change) => change.policyLinks.put(link('llm', 'b')),
    (change) => change.keyVersions.put(version('weights', 2)),
    (change) => change.deployments.remove('llm'),
    (change) => change.deployments.put(deployment('llm')),
    (change) => change.raiseEpoch(),
  ];

  const QUERIES = ['a', 'b', 'c', 'nobody'].flatMap((machine) => [of(machine), of(machine, { identities: [CA] })]);

  test('are all of one generation, and of the present one unless a change was missed, whoever changes what', async () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ ask: fc.nat(QUERIES.length - 1) }),
        fc.record({ change: fc.nat(CHANGES.length - 1), by: fc.boolean() }),
        fc.record({ release: fc.boolean() }),
      ),
      { maxLength: 40 },
    );
    let nonces = 0;
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        // Of each generation, by query.
        const history = new Map<number, readonly ReleaseFacts[]>();
        const note = (): void => {
          const fresh = knownFacts();
          const all = QUERIES.map((query) => fresh.of(query));
          history.set(all[0]!.state.generation, all);
        };
        const misses = knownFacts();
        note();
        for (const step of list) {
          if ('change' in step) {
            await (step.by ? ours : another).change((change) => CHANGES[step.change]!(change));
            note();
          } else if ('release' in step) {
            const store = step.release ? ours : another;
            await store.commitRelease(await commitFor(store, `release ${String(nonces++)}`));
          } else {
            const query = QUERIES[step.ask]!;
            const facts = await ours.releaseFacts(query);
            expect(facts.state.generation).toBe(Math.max(...history.keys()));
            expect(facts).toEqual(history.get(facts.state.generation)![step.ask]);
            const missed = misses.of(query);
            expect(missed).toEqual(history.get(missed.state.generation)![step.ask]);
          }
        }
        for (const each of readers.splice(0)) await each.close();
      }),
      { numRuns: 20 },
    );
  });
});
