import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { testLogIdentity, TEST_ORIGIN } from '../helpers/log-identity.js';
import {
  type CommitOutcome,
  type ReleaseCommit,
  type Store,
  StoreIntegrityError,
  StoreUnavailableError,
} from '../../src/release/store.js';
import { Connection } from '../../src/store/sqlite/connection.js';
import { openWith, type SqliteStore } from '../../src/store/sqlite/open.js';
import { CheckpointSigner } from '../../src/translog/checkpoint.js';
import { LogAudit } from './log-audit.js';
import { commitFor, entriesOf, hash, initialise, key, testClock } from './samples.js';

/** What the connections that write do besides; changed while a test runs. */
interface Fault {
  /** Called before COMMIT; may throw. */
  beforeCommit?: () => void;
  /** Called after COMMIT has succeeded; may throw: the answer is lost. */
  afterCommit?: () => void;
}

class FaultyConnection extends Connection {
  readonly fault: Fault;

  constructor(path: string, role: 'read' | 'write', fault: Fault) {
    super(path, role);
    this.fault = role === 'write' ? fault : {};
  }

  override commit(): void {
    this.fault.beforeCommit?.();
    super.commit();
    this.fault.afterCommit?.();
  }
}

/** Keeps every note that was ever signed, whether it left the process or not. */
class WatchedSigner extends CheckpointSigner {
  readonly signed: string[] = [];

  override sign(size: number, root: Buffer): string {
    const note = super.sign(size, root);
    this.signed.push(note);
    return note;
  }
}

const QUERY = { deployment: 'llm', key: 'weights', version: 'latest', akSpkiSha256: undefined };

let directory: string;
let path: string;
let store: SqliteStore;
let clock: ReturnType<typeof testClock>;
let fault: Fault;
let writers: Connection[];
let signer: WatchedSigner;

async function open(file: string): Promise<SqliteStore> {
  const opened = await openWith(file, { create: true, clock }, (each, role) => {
    const connection = new FaultyConnection(each, role, fault);
    if (role === 'write') writers.push(connection);
    return connection;
  });
  opened.authenticate(Buffer.alloc(32, 7), { ...testLogIdentity(), signer });
  return opened;
}

/** The connection that writes now. */
function writer(): Connection {
  const live = writers.filter((each) => each.db.open);
  expect(live).toHaveLength(1);
  return live[0]!;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'portcullis-faults-'));
  path = join(directory, 'portcullis.db');
  clock = testClock();
  fault = {};
  writers = [];
  signer = new WatchedSigner(TEST_ORIGIN, Buffer.alloc(32, 9));
  store = await open(path);
  await initialise(store);
});

afterEach(async () => {
  fault = {};
  await store.close();
  rmSync(directory, { recursive: true });
});

function diskError(): never {
  throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' });
}

/** Commits until it fails. Returns what was acknowledged, and what was not. */
async function commitUntilFull(on: Store): Promise<{ acknowledged: number[]; refused: ReleaseCommit }> {
  const acknowledged: number[] = [];
  for (let at = 0; at < 10_000; at++) {
    const commit = await commitFor(on, `full-${String(at)}`, { detail: 'x'.repeat(2000) });
    let outcome: CommitOutcome;
    try {
      outcome = await on.commitRelease(commit);
    } catch (error) {
      expect(error).toBeInstanceOf(StoreUnavailableError);
      return { acknowledged, refused: commit };
    }
    if (outcome.outcome === 'committed') acknowledged.push(outcome.logged.index);
  }
  throw new Error('the disk does not fill');
}

async function expectRefusedButReadable(on: Store, commit: ReleaseCommit): Promise<void> {
  await expect(on.commitRelease(commit)).rejects.toThrow(StoreUnavailableError);
  await expect(
    on.change((change) => change.keys.put(key('k'.repeat(500), { curve: 'x'.repeat(5000) }))),
  ).rejects.toThrow(StoreUnavailableError);
  expect((await on.releaseFacts(QUERY)).state.generation).toBe(1);
}

describe('when the disk is full', () => {
  test('nothing is acknowledged that is not kept, reads go on, and space makes it work again', async () => {
    await store.appendRecord('denial', {});
    const pages = Number(writer().db.pragma('page_count', { simple: true }));
    writer().db.pragma(`max_page_count = ${String(pages + 8)}`);
    const { acknowledged, refused } = await commitUntilFull(store);
    expect(acknowledged.length).toBeGreaterThan(3);
    await expectRefusedButReadable(store, refused);
    const entries = await entriesOf(store);
    expect(entries.filter((each) => each['type'] === 'release').map((each) => each['index'])).toEqual(acknowledged);
    (await LogAudit.of(store)).expectHead(await store.logHead());
    writer().db.pragma('max_page_count = 100000');
    expect(await store.commitRelease(refused)).toMatchObject({
      outcome: 'committed',
      logged: { index: entries.length },
    });
  });

  test('a whole batch is refused when one of it does not fit, and each of it can be tried again', async () => {
    await store.appendRecord('denial', {});
    writer().db.pragma(`max_page_count = ${String(Number(writer().db.pragma('page_count', { simple: true })) + 8)}`);
    const commits = await Promise.all(
      Array.from({ length: 50 }, (_, at) => commitFor(store, String(at), { detail: 'x'.repeat(2000) })),
    );
    const results = await Promise.allSettled(commits.map((each) => store.commitRelease(each)));
    expect(results.map((each) => each.status)).toEqual(Array(50).fill('rejected'));
    expect(await entriesOf(store)).toHaveLength(2);
    expect(await store.commitRelease(commits[0]!)).toMatchObject({ outcome: 'committed' });
  });

  test('a change that swallows the error is not kept in part', async () => {
    await store.appendRecord('denial', {});
    writer().db.pragma(`max_page_count = ${String(writer().db.pragma('page_count', { simple: true }))}`);
    const swallowing = store.change(async (change) => {
      await change.freezes.add('key/weights');
      await change.policies
        .put({ sha256: hash('a'), content: Buffer.alloc(200_000), createdAtMs: 0 })
        .catch(() => undefined);
      await change.freezes.add('deployment/llm').catch(() => undefined);
    });
    await expect(swallowing).rejects.toThrow(StoreUnavailableError);
    expect(await store.read((view) => view.freezes.all())).toEqual([]);
    expect((await store.releaseFacts(QUERY)).state.generation).toBe(1);
  });

  test('the probe says so, at the latest after a second', async () => {
    await store.probe();
    writer().db.pragma('query_only = ON');
    clock.now += 1000;
    await expect(store.probe()).rejects.toThrow(StoreUnavailableError);
    await expect(store.probe()).rejects.toThrow(StoreUnavailableError);
    writer().db.pragma('query_only = OFF');
    await store.probe();
  });

  const small = mountSmallDisk();
  (small === undefined ? test.skip : test)('of a real, small disk: the same for what was acknowledged', async () => {
    const other = await open(join(small!, 'portcullis.db'));
    try {
      await initialise(other);
      const { acknowledged } = await commitUntilFull(other);
      expect(acknowledged.length).toBeGreaterThan(3);
      expect((await other.releaseFacts(QUERY)).state.generation).toBe(1);
      const entries = await entriesOf(other);
      expect(entries.filter((each) => each['type'] === 'release').map((each) => each['index'])).toEqual(acknowledged);
    } finally {
      await other.close();
      spawnSync('umount', [small!]);
      rmSync(small!, { recursive: true });
    }
  });
});

/** A file system of 512 KiB, where we may mount one. */
function mountSmallDisk(): string | undefined {
  const target = join(tmpdir(), `portcullis-small-${String(process.pid)}`);
  mkdirSync(target);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', target]).status === 0) return target;
  rmSync(target, { recursive: true });
  return undefined;
}

describe('when the database is read-only', () => {
  test('nothing is written, reads go on, and permission makes it work again', async () => {
    await store.appendRecord('denial', {});
    writer().db.pragma('query_only = ON');
    const commit = await commitFor(store, 'a');
    await expectRefusedButReadable(store, commit);
    await expect(store.appendRecord('denial', {})).rejects.toThrow('read-only');
    await expect(store.purgeNonces(1)).rejects.toThrow(StoreUnavailableError);
    writer().db.pragma('query_only = OFF');
    expect(await store.commitRelease(commit)).toMatchObject({ outcome: 'committed', logged: { index: 2 } });
  });
});

describe('when another process holds the lock', () => {
  test('a write is refused after about two seconds, and the event loop stays free', async () => {
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    let turns = 0;
    const ticking = setInterval(() => turns++, 10);
    const started = performance.now();
    const commit = await commitFor(store, 'a');
    const waiting = [store.commitRelease(commit), store.appendRecord('denial', {})];
    const results = await Promise.allSettled(waiting);
    clearInterval(ticking);
    expect(results).toMatchObject(Array(2).fill({ status: 'rejected', reason: { name: 'StoreUnavailableError' } }));
    expect(performance.now() - started).toBeGreaterThan(1900);
    expect(turns).toBeGreaterThan(20);
    expect((await store.releaseFacts(QUERY)).state.generation).toBe(1);
    other.exec('ROLLBACK');
    other.close();
    expect(await store.commitRelease(commit)).toMatchObject({ outcome: 'committed', logged: { index: 1 } });
  });

  test('a write waits and goes through as soon as the lock is free', async () => {
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    const commit = store.commitRelease(await commitFor(store, 'a'));
    const change = store.change((each) => each.append('key.created', {}));
    await new Promise((resolve) => setTimeout(resolve, 50));
    other.exec('ROLLBACK');
    other.close();
    expect((await commit).outcome).toMatch(/committed|changed/);
    await change;
  });
});

describe('when COMMIT fails', () => {
  test('and nothing was written, nobody is answered, the connection is dropped, and the nonce is not spent', async () => {
    await store.appendRecord('denial', {});
    const before = writer();
    const commits = await Promise.all(['a', 'b', 'c'].map((seed) => commitFor(store, seed)));
    fault.beforeCommit = diskError;
    const results = await Promise.allSettled(commits.map((each) => store.commitRelease(each)));
    expect(results.map((each) => each.status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(results).toMatchObject(Array(3).fill({ reason: { name: 'StoreUnavailableError' } }));
    expect(before.db.open).toBe(false);
    expect(await entriesOf(store)).toHaveLength(2);
    delete fault.beforeCommit;
    expect(await store.commitRelease(commits[0]!)).toMatchObject({ outcome: 'committed', logged: { index: 2 } });
    expect(writer()).not.toBe(before);
  });

  test('though everything was written, nobody is answered, and the nonce is spent', async () => {
    const commits = await Promise.all(['a', 'b'].map((seed) => commitFor(store, seed)));
    fault.afterCommit = diskError;
    const results = await Promise.allSettled(commits.map((each) => store.commitRelease(each)));
    expect(results.map((each) => each.status)).toEqual(['rejected', 'rejected']);
    delete fault.afterCommit;
    expect(await store.commitRelease(commits[0]!)).toEqual({ outcome: 'replayed' });
    expect(await store.commitRelease(await commitFor(store, 'c'))).toMatchObject({
      outcome: 'committed',
      logged: { index: 3 },
    });
    expect((await entriesOf(store)).map((each) => each['index'])).toEqual([0, 1, 2, 3]);
  });

  test('of a change, the file says afterwards what holds, and the store goes on from there', async () => {
    fault.beforeCommit = diskError;
    await expect(store.change((change) => change.keys.put(key('lost')))).rejects.toThrow(StoreUnavailableError);
    delete fault.beforeCommit;
    fault.afterCommit = diskError;
    await expect(store.change((change) => change.keys.put(key('weights')))).rejects.toThrow(StoreUnavailableError);
    delete fault.afterCommit;
    const facts = await store.releaseFacts(QUERY);
    expect(facts.key).toEqual(key('weights'));
    expect(facts.state.generation).toBe(2);
    await store.change((change) => change.keys.put(key('next')));
    expect((await store.read((view) => view.keys.list({ limit: 9 }))).map((each) => each.name)).toEqual([
      'next',
      'weights',
    ]);
  });

  test('of a purge, the floor that was raised stays raised', async () => {
    const commit = await commitFor(store, 'a');
    await store.commitRelease(commit);
    fault.afterCommit = diskError;
    await expect(store.purgeNonces(commit.nonceIssuedAtMs)).rejects.toThrow(StoreUnavailableError);
    delete fault.afterCommit;
    expect(await store.commitRelease(commit)).toEqual({ outcome: 'expired' });
  });

  test('the probe fails at once, however recent the last success is', async () => {
    await store.appendRecord('denial', {});
    await store.probe();
    fault.beforeCommit = diskError;
    await expect(store.appendRecord('denial', {})).rejects.toThrow(StoreUnavailableError);
    await expect(store.probe()).rejects.toThrow(StoreUnavailableError);
  });
});

describe('the log, when COMMIT fails', () => {
  /** The size and root in a note. */
  const headIn = (note: string) => note.split('\n').slice(1, 3);

  test('goes back to what is on disk where nothing was written; what was signed for it leaves nowhere', async () => {
    const before = await store.logHead();
    signer.signed.length = 0;
    fault.beforeCommit = diskError;
    await expect(store.commitRelease(await commitFor(store, 'a'))).rejects.toThrow(StoreUnavailableError);
    await expect(store.change((change) => change.append('lost', {}))).rejects.toThrow(StoreUnavailableError);
    delete fault.beforeCommit;
    const lost = signer.signed.splice(0);
    expect(lost.map((note) => headIn(note)[0])).toEqual(['2', '2']);
    expect(await store.logHead()).toEqual(before);

    const outcome = await store.commitRelease(await commitFor(store, 'b'));
    expect(outcome).toMatchObject({ outcome: 'committed', logged: { index: 1 } });
    const { checkpoint } = await store.logHead();
    expect(headIn(checkpoint)[0]).toBe('2');
    // Signed for the same size, and for other entries: had one of them left, there would be two histories.
    for (const note of lost) expect(headIn(checkpoint)[1]).not.toBe(headIn(note)[1]);
    (await LogAudit.of(store)).expectHead(await store.logHead());
  });

  test('goes on behind what was written though COMMIT seemed to fail', async () => {
    signer.signed.length = 0;
    fault.afterCommit = diskError;
    await expect(store.commitRelease(await commitFor(store, 'a'))).rejects.toThrow(StoreUnavailableError);
    delete fault.afterCommit;
    const { checkpoint } = await store.logHead();
    expect(signer.signed).toEqual([checkpoint]);
    const outcome = await store.commitRelease(await commitFor(store, 'b'));
    expect(outcome).toMatchObject({ outcome: 'committed', logged: { index: 2 } });
    const audit = await LogAudit.of(store);
    audit.expectHead(await store.logHead());
    audit.expectContains(checkpoint);
  });

  test('keeps its identity where the COMMIT that would restart it fails', async () => {
    const other = new CheckpointSigner('test-broker/fedcba9876543210', Buffer.alloc(32, 5));
    fault.beforeCommit = diskError;
    await expect(store.change((change) => change.restartLog(other))).rejects.toThrow(StoreUnavailableError);
    delete fault.beforeCommit;
    await store.appendRecord('denial', {});
    (await LogAudit.of(store)).expectHead(await store.logHead());
  });

  test('is left alone where the COMMIT that restarts it only seemed to fail: the process knows the former identity', async () => {
    const other = new CheckpointSigner('test-broker/fedcba9876543210', Buffer.alloc(32, 5));
    fault.afterCommit = diskError;
    await expect(store.change((change) => change.restartLog(other))).rejects.toThrow(StoreUnavailableError);
    delete fault.afterCommit;
    await expect(store.appendRecord('denial', {})).rejects.toThrow(StoreIntegrityError);
  });

  test('contains all that was ever answered or shown, whichever way any number of COMMITs went', async () => {
    let seeds = 0;
    const step = fc.record({
      commit: fc.constantFrom('works', 'fails before', 'fails after'),
      releases: fc.integer({ min: 0, max: 4 }),
      appends: fc.integer({ min: 0, max: 3 }),
    });
    const shown: string[] = [];
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        for (const { commit, releases, appends } of steps) {
          const commits = [];
          for (let at = 0; at < releases; at++) commits.push(await commitFor(store, String(seeds++)));
          if (commit === 'fails before') fault.beforeCommit = diskError;
          if (commit === 'fails after') fault.afterCommit = diskError;
          const results = await Promise.allSettled([
            ...commits.map((each) => store.commitRelease(each)),
            store.change(async (change) => {
              for (let at = 0; at < appends; at++) await change.append('change', { at });
            }),
          ]);
          delete fault.beforeCommit;
          delete fault.afterCommit;
          shown.push((await store.logHead()).checkpoint);
          const audit = await LogAudit.of(store);
          for (const result of results) {
            if (result.status === 'rejected') expect(commit).not.toBe('works');
            else if (result.value?.outcome === 'committed') audit.expectProves(result.value.logged);
          }
        }
        const audit = await LogAudit.of(store);
        audit.expectHead(await store.logHead());
        for (const checkpoint of shown) audit.expectContains(checkpoint);
      }),
      { numRuns: 15 },
    );
  });
});

test('a probe writes at most once a second, and any write is proof enough', async () => {
  let commits = 0;
  fault.afterCommit = () => commits++;
  await store.appendRecord('denial', {});
  for (let at = 0; at < 5; at++) await store.probe();
  expect(commits).toBe(1);
  clock.now += 999;
  await store.probe();
  expect(commits).toBe(1);
  clock.now += 1;
  await Promise.all([store.probe(), store.probe(), store.probe()]);
  expect(commits).toBe(2);
  clock.now -= 60_000;
  await store.probe();
  expect(commits).toBe(3);
});

test('releases that arrive together share one COMMIT, up to 256', async () => {
  const commits = await Promise.all(Array.from({ length: 300 }, (_, at) => commitFor(store, String(at))));
  let shared = 0;
  fault.afterCommit = () => shared++;
  await Promise.all(commits.map((each) => store.commitRelease(each)));
  expect(shared).toBe(2);
});

test('where several have shared one a moment ago, what comes within milliseconds shares the next', async () => {
  const commits = await Promise.all(Array.from({ length: 20 }, (_, at) => commitFor(store, String(at))));
  let shared = 0;
  fault.afterCommit = () => shared++;
  const tries: number[] = [];
  // A machine that stops for a moment can miss it.
  while (commits.length > 0 && !tries.includes(2)) {
    const [first, ...others] = commits.splice(0, 5);
    shared = 0;
    await Promise.all(others.map((each) => store.commitRelease(each)));
    await Promise.all([store.commitRelease(first!), pause(1).then(() => store.appendRecord('denial', {}))]);
    tries.push(shared);
  }
  expect(tries).toContain(2);
});
