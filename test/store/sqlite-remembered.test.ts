import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { type ReleaseFacts, type ReleaseQuery, StoreIntegrityError } from '../../src/release/store.js';
import { openSqliteStore, type SqliteStore } from '../../src/store/sqlite/open.js';
import { testLogIdentity } from '../helpers/log-identity.js';
import { commitFor, deployment, hash, initialise, key, testClock, version } from './samples.js';

const QUERY: ReleaseQuery = { deployment: 'llm', key: 'weights', version: 'latest', akSpkiSha256: undefined };

/** What was read before, and not read again. */
function expectKept(facts: ReleaseFacts, before: ReleaseFacts): void {
  expect(facts.deployment).toBeDefined();
  expect(facts.deployment).toBe(before.deployment);
  expect(facts.key).toBe(before.key);
  expect(facts.version).toBe(before.version);
}

function expectReadAnew(facts: ReleaseFacts, before: ReleaseFacts): void {
  expect(facts.deployment).not.toBe(before.deployment);
  expect(facts.key).not.toBe(before.key);
  expect(facts).toEqual(before);
}

describe('facts that were read', () => {
  const clock = testClock();
  let directory: string;
  let ours: SqliteStore;
  let another: SqliteStore;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'portcullis-store-'));
    ours = await open(true);
    await initialise(ours);
    await ours.change(async (change) => {
      await change.deployments.put(deployment('llm'));
      await change.keys.put(key('weights', { deployments: ['llm'] }));
      await change.keyVersions.put(version('weights', 1));
    });
    another = await open(false);
  });

  afterEach(async () => {
    await ours.close();
    await another.close();
    rmSync(directory, { recursive: true });
  });

  const file = () => join(directory, 'portcullis.db');
  async function open(create: boolean): Promise<SqliteStore> {
    const store = await openSqliteStore(file(), { create, clock });
    store.authenticate(Buffer.alloc(32, 7), testLogIdentity());
    return store;
  }

  test('are given again as long as nothing was committed', async () => {
    const facts = await ours.releaseFacts(QUERY);
    expect(facts.key?.name).toBe('weights');
    expectKept(await ours.releaseFacts({ ...QUERY }), facts);
    expectKept(await ours.releaseFacts({ ...QUERY, deployment: 'LLM', key: 'Weights' }), facts);
    expect((await ours.releaseFacts({ ...QUERY, version: 'ff' })).version).toBeUndefined();
  });

  test.each([
    ['this store', () => ours],
    ['another process', () => another],
  ])('are read anew as soon as %s has changed something', async (_who, by) => {
    expect((await ours.releaseFacts(QUERY)).keyFrozen).toBe(false);
    await by().change((change) => change.freezes.add('key/weights'));
    expect((await ours.releaseFacts(QUERY)).keyFrozen).toBe(true);
    await by().change((change) => change.freezes.delete('key/weights'));
    expect((await ours.releaseFacts(QUERY)).keyFrozen).toBe(false);
  });

  test('are given again after releases, of this process and of others', async () => {
    const facts = await ours.releaseFacts(QUERY);
    expect(await ours.commitRelease(await commitFor(ours, 'a'))).toMatchObject({ outcome: 'committed' });
    expectKept(await ours.releaseFacts(QUERY), facts);
    expect(await another.commitRelease(await commitFor(another, 'b'))).toMatchObject({ outcome: 'committed' });
    expectKept(await ours.releaseFacts(QUERY), facts);
    expect(await ours.commitRelease(await commitFor(ours, 'c'))).toMatchObject({ outcome: 'committed' });
    expectKept(await ours.releaseFacts(QUERY), facts);
  });

  test('are read anew after what another process has committed and is no release', async () => {
    const facts = await ours.releaseFacts(QUERY);
    await another.probe();
    expectReadAnew(await ours.releaseFacts(QUERY), facts);
  });

  test('are read anew when the nonce floor was raised, by whomever', async () => {
    for (const store of [ours, another]) {
      const { state } = await ours.releaseFacts(QUERY);
      await store.purgeNonces(state.nonceFloorMs + 1);
      expect((await ours.releaseFacts(QUERY)).state.nonceFloorMs).toBe(state.nonceFloorMs + 1);
    }
  });

  test('are read anew while a change of this process is under way, and after it', async () => {
    await ours.change(async (change) => {
      await change.freezes.add('key/weights');
      expect((await ours.releaseFacts(QUERY)).keyFrozen).toBe(false);
    });
    expect((await ours.releaseFacts(QUERY)).keyFrozen).toBe(true);
  });

  test('are given again for hundreds of questions, as long as they are small', async () => {
    const facts = await ours.releaseFacts(QUERY);
    for (let at = 0; at < 900; at++) await ours.releaseFacts({ ...QUERY, deployment: String(at), key: String(at) });
    expectKept(await ours.releaseFacts(QUERY), facts);
  });

  test('are forgotten where they are large, before they fill the memory', async () => {
    const ak = Array.from({ length: 4096 }, (_, at) => hash(String(at)));
    // 4096 hashes are more than 300 KB: a hundred deployments would keep 30 MB, and a thousand ten times that.
    await ours.change(async (change) => {
      for (let at = 0; at < 20; at++) {
        const large = deployment(`large-${String(at)}`);
        const { attesters } = large.deployment;
        const allow = { ...attesters.allow, ak };
        await change.deployments.put({
          ...large,
          deployment: { ...large.deployment, attesters: { ...attesters, allow } },
        });
      }
    });
    const query = { ...QUERY, deployment: 'large-0' };
    const facts = await ours.releaseFacts(query);
    expectKept(await ours.releaseFacts(query), facts);
    for (let at = 1; at < 20; at++) await ours.releaseFacts({ ...query, deployment: `large-${String(at)}` });
    const again = await ours.releaseFacts(query);
    expect(again.deployment).not.toBe(facts.deployment);
    expect(again).toEqual(facts);
  });

  test.each(['nothing else', 'a release', 'two releases'])('hide nothing that SQL changed after %s', async (before) => {
    await ours.releaseFacts(QUERY);
    if (before !== 'nothing else') await ours.commitRelease(await commitFor(ours, 'a'));
    if (before === 'two releases') {
      await ours.releaseFacts(QUERY);
      await ours.commitRelease(await commitFor(ours, 'b'));
    }
    const db = new Database(file());
    db.prepare(`UPDATE key_versions SET state = 'disabled'`).run();
    db.close();
    await expect(ours.releaseFacts(QUERY)).rejects.toThrow(StoreIntegrityError);
    await expect(ours.releaseFacts(QUERY)).rejects.toThrow(StoreIntegrityError);
  });

  test('hide what SQL changed beside a release of another process for a second at most', async () => {
    const facts = await ours.releaseFacts(QUERY);
    await another.commitRelease(await commitFor(another, 'a'));
    const db = new Database(file());
    db.prepare(`UPDATE key_versions SET state = 'disabled'`).run();
    db.close();
    // What is given meanwhile is what was authenticated, and not what the row says now.
    const first = await ours.releaseFacts(QUERY).catch((error: unknown) => error);
    if (!(first instanceof StoreIntegrityError)) expect(first).toEqual(facts);
    await setTimeout(1100);
    await expect(ours.releaseFacts(QUERY)).rejects.toThrow(StoreIntegrityError);
  });
});
