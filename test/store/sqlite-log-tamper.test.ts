import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type Database from 'better-sqlite3';
import type { LogSource } from '../../src/audit/source.js';
import { StateFile } from '../../src/audit/state-file.js';
import { verifyLog } from '../../src/audit/verify-log.js';
import { openBroker, type OpenBroker } from '../../src/cli/compose/open-broker.js';
import { recomputeLog } from '../../src/release/recompute-log.js';
import { RolledBackError, type Store, StoreIntegrityError } from '../../src/release/store.js';
import { leafHash, nodeHash } from '../../src/translog/merkle.js';
import { parseVerifierKey, type VerifierKey } from '../../src/translog/note.js';
import { encodeBundle, TILE_WIDTH } from '../../src/translog/tile.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { bootedMachine, prepareRequest, released, TestBroker, valueOf } from '../helpers/test-broker.js';
import { columnsOf, insert, LOG_TABLES, otherValues, row, type Row, tamper, type Value } from './tamper.js';

/*
 * A broker with salted names and an archive, whose log has two full tiles. Every row and column of the tables of its log is
 * changed with SQL; what the change is found by is one of these, and the earliest is looked for.
 */
const STAGES = [
  /** The store refuses to be opened. */
  'start',
  /** Whoever reads the row is refused: store.integrity. */
  'use',
  /** The log is recomputed and held against its signed checkpoint: `portcullis log verify`. */
  'verify',
] as const;
type Stage = (typeof STAGES)[number];

/** By which stage a change of the column is found; or why it may change. */
const COLUMNS: Readonly<Record<string, Stage | { readonly mayChange: string }>> = {
  'log_entries.log_index': 'use',
  'log_entries.entry': 'use',
  'log_entries.leaf_hash': 'use',
  'log_entries.detail': 'use',
  'log_entries.names': 'use',
  'log_entries.type': { mayChange: 'SQLite computes it from the entry, and lets nobody set it' },
  'log_entries.deployment': { mayChange: 'SQLite computes it from the entry, and lets nobody set it' },
  'log_nodes.level': 'use',
  'log_nodes.node_index': 'use',
  'log_nodes.hash': 'verify',
  'log_head.id': 'start',
  'log_head.origin': 'start',
  'log_head.size': 'start',
  'log_head.time_ms': 'start',
  'log_head.state_generation': 'start',
  'log_head.peaks': 'start',
  'log_head.checkpoint': 'start',
  'log_head.mac': 'start',
  'evidence_archive.release_id': {
    mayChange:
      'the release can no longer be replayed, under either id: the evidence is sealed for the one that it was kept for',
  },
  'evidence_archive.log_index': 'use',
  'evidence_archive.sealed': 'use',
};

/** The row of each table that is changed. */
const ROWS: Readonly<Record<string, string>> = {
  log_entries: `log_index = (SELECT max(log_index) - 3 FROM log_entries WHERE type = 'release')`,
  log_nodes: 'level = 8 AND node_index = 0',
  log_head: 'id = 1',
  evidence_archive: 'log_index = (SELECT min(log_index) FROM evidence_archive)',
};

const FILLING = 520;
const RELEASES = 6;
const ASKED = { deployment: 'llm', key: 'weights' };

let template: TestBroker;
let directory: string;
let machine: SimulatorAttester;
let logKey: VerifierKey;
/** Every release of the template, by id. */
let releaseIds: readonly string[];
let copies = 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'portcullis-log-tamper-'));
  template = await TestBroker.start({ logNames: 'salted', archiveEvidence: true });
  logKey = parseVerifierKey(template.context.logKey);
  machine = await bootedMachine();
  await template.deploy('llm');
  await template.pin(machine, 'llm');
  await template.key('weights', 'llm');
  await Promise.all(
    Array.from({ length: FILLING }, (_, at) =>
      template.context.store.appendRecord('denial.summary', { counts: { 'quote.magic': at + 1 } }),
    ),
  );
  const answers = [];
  for (let at = 0; at < RELEASES; at++) answers.push(released(await template.release(machine, ASKED)));
  releaseIds = answers.map((answer) => answer.release_id);
  // What an auditor has seen of it.
  const audited = await audit(template.context.store, await StateFile.open(join(directory, 'state'), logKey));
  expect(audited).toEqual([]);
  await template.restart();
}, 60_000);

afterAll(async () => {
  await template.close();
  rmSync(directory, { recursive: true });
});

/** The data directory of the template, copied; the database file in it. */
async function copy(): Promise<{ dataDir: string; database: string }> {
  const dataDir = join(directory, `copy-${String(copies++)}`);
  await template.restart();
  cpSync(template.dataDir, dataDir, { recursive: true });
  return { dataDir, database: join(dataDir, 'portcullis.db') };
}

function open(dataDir: string): Promise<OpenBroker> {
  const ignore = () => undefined;
  return openBroker({
    dataDir,
    profile: undefined,
    challengeTtlMs: 120_000,
    explain: 'full',
    logNames: 'salted',
    archiveEvidence: true,
    observer: {
      challenged: ignore,
      released: ignore,
      denied: ignore,
      committed: ignore,
      regressed: ignore,
      sightingDropped: ignore,
    },
  });
}

/** The log as the broker serves it. */
function sourceOf(store: Store): LogSource {
  return {
    where: 'the store',
    checkpoint: async () => (await store.logHead()).checkpoint,
    verifierKey: async () => template.context.logKey,
    tile: async ({ level, index, width }) => {
      const start = index * TILE_WIDTH;
      if (level !== 'entries') return Buffer.concat(await store.logHashes(level, start, width));
      return encodeBundle((await store.logEntries(start, width)).map((text) => Buffer.from(text)));
    },
    close: async () => undefined,
  };
}

/** What `portcullis log verify` says of the log; `memory` is what the auditor has seen before. */
async function audit(store: Store, memory?: StateFile): Promise<readonly string[]> {
  const report = await verifyLog({ source: sourceOf(store), trust: { logKey }, memory, fromStart: true, now: () => 0 });
  return report.ok ? report.value.findings.kept.map(({ problem }) => problem) : [report.reason];
}

/** Reads everything that anybody can read of the log through the broker, but for what is archived. */
async function readAll({ broker, context }: OpenBroker): Promise<void> {
  for (let cursor: string | undefined; ;) {
    const page = valueOf(
      await broker.listEntries({ limit: '200', ...(cursor === undefined ? {} : { cursor }) } as never),
    );
    cursor = page.next_cursor;
    if (cursor === undefined) break;
  }
  const { size } = await context.store.logHead();
  for (const level of [0, 1]) await context.store.logHashes(level, 0, size);
  await context.store.logEntries(0, size);
}

/** Reads everything that is archived. */
async function replayAll({ broker }: OpenBroker): Promise<void> {
  for (const id of releaseIds) await broker.replayRelease(id, {});
}

/** The earliest stage that notices; undefined where none does. */
async function noticedBy(
  dataDir: string,
  use: (opened: OpenBroker) => Promise<void>,
  memory?: StateFile,
): Promise<Stage | undefined> {
  let opened: OpenBroker;
  try {
    opened = await open(dataDir);
  } catch (error) {
    expect(error).toBeInstanceOf(StoreIntegrityError);
    return 'start';
  }
  try {
    await use(opened);
    return (await audit(opened.context.store, memory)).length > 0 ? 'verify' : undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(StoreIntegrityError);
    return 'use';
  } finally {
    await opened.close();
  }
}

async function afterTampering(
  work: (db: Database.Database) => unknown,
  use: (opened: OpenBroker) => Promise<void> = readAll,
  memory?: StateFile,
): Promise<Stage | undefined> {
  const { dataDir, database } = await copy();
  try {
    tamper(database, work);
    return await noticedBy(dataDir, use, memory);
  } finally {
    rmSync(dataDir, { recursive: true });
  }
}

/** What an auditor remembers who has seen the template. */
const seenBefore = () => StateFile.open(join(directory, 'state'), logKey);

function stagesUpTo(stage: Stage): readonly Stage[] {
  return STAGES.slice(0, STAGES.indexOf(stage) + 1);
}

function valuesFor(table: string, column: ReturnType<typeof columnsOf>[number], stored: Row): readonly Value[] {
  const value = stored[column.name] ?? null;
  if (table === 'log_entries' && column.name === 'entry') {
    const text = String(value);
    return [text.replace('"pinned"', '"simulator"'), text.replace(/"time":"2/, '"time":"1'), `${text} `, '{}'];
  }
  if (column.type === 'INTEGER') return [...otherValues(column, value), Number(value) + 100_000, -5];
  return otherValues(column, value);
}

describe('the tables of the log', () => {
  test('are as they were to begin with: nothing is noticed', async () => {
    expect(await afterTampering(() => undefined, readAll, await seenBefore())).toBeUndefined();
  });

  test('have no column that is not tried here, or listed with a reason', async () => {
    const { database, dataDir } = await copy();
    const found = tamper(database, (db) =>
      LOG_TABLES.flatMap((table) => columnsOf(db, table).map(({ name }) => `${table}.${name}`)),
    );
    rmSync(dataDir, { recursive: true });
    expect(Object.keys(COLUMNS).sort()).toEqual(found.sort());
  });

  test.each(Object.keys(COLUMNS))('%s: any other value is found', async (place) => {
    const [table = '', name = ''] = place.split('.');
    const { database, dataDir } = await copy();
    const [column, stored] = tamper(database, (db) => [
      columnsOf(db, table).find((each) => each.name === name)!,
      row(db, table, ROWS[table]!),
    ]);
    rmSync(dataDir, { recursive: true });
    const expected = COLUMNS[place]!;
    let tried = 0;
    for (const value of valuesFor(table, column, stored)) {
      const done = { changes: 0 };
      const change = (db: Database.Database) => {
        try {
          done.changes = db.prepare(`UPDATE ${table} SET "${name}" = ? WHERE ${ROWS[table]!}`).run(value).changes;
        } catch (error) {
          // SQLite has let nobody do this: a key that is taken, a column that is computed.
          expect((error as { code: string }).code).toMatch(/^SQLITE_(?:CONSTRAINT|ERROR)/);
        }
      };
      const noticed = await afterTampering(change, table === 'evidence_archive' ? replayAll : readAll);
      if (done.changes === 0) continue;
      tried++;
      if (typeof expected === 'string') expect(stagesUpTo(expected)).toContain(noticed);
      else expect(noticed).toBeUndefined();
    }
    expect(tried > 0).toBe(!(typeof expected === 'object' && expected.mayChange.startsWith('SQLite')));
  });
});

/** Swaps what two rows have in one column of their key. */
function swap(db: Database.Database, table: string, column: string, [a, b]: readonly [Value, Value]): void {
  const update = db.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${column} = ?`);
  const aside = typeof a === 'number' ? -1 : 'aside';
  for (const [to, from] of [
    [aside, a],
    [a, b],
    [b, aside],
  ]) {
    expect(update.run(to, from).changes).toBe(1);
  }
}

const newest = '(SELECT max(log_index) FROM log_entries)';

describe('rows of the log that are', () => {
  const cases: Readonly<Record<string, readonly [Stage, (db: Database.Database) => unknown]>> = {
    'removed: the first entry': ['use', (db) => db.exec('DELETE FROM log_entries WHERE log_index = 0')],
    'removed: an entry in the middle': ['use', (db) => db.exec('DELETE FROM log_entries WHERE log_index = 300')],
    'removed: the newest entry': ['start', (db) => db.exec(`DELETE FROM log_entries WHERE log_index = ${newest}`)],
    'removed: all entries': ['start', (db) => db.exec('DELETE FROM log_entries')],
    'removed: a node': ['use', (db) => db.exec('DELETE FROM log_nodes WHERE node_index = 0')],
    'removed: all nodes': ['start', (db) => db.exec('DELETE FROM log_nodes')],
    'removed: the head': ['start', (db) => db.exec('DELETE FROM log_head')],
    'removed: the whole log': [
      'start',
      (db) => db.exec('DELETE FROM log_entries; DELETE FROM log_nodes; DELETE FROM log_head'),
    ],
    'reordered: two entries': ['verify', (db) => swap(db, 'log_entries', 'log_index', [100, 101])],
    'reordered: the two newest entries': [
      'verify',
      (db) => {
        const last = db.prepare(`SELECT ${newest}`).pluck().get() as number;
        swap(db, 'log_entries', 'log_index', [last, last - 1]);
      },
    ],
    'reordered: two nodes': ['verify', (db) => swap(db, 'log_nodes', 'node_index', [0, 1])],
    'inserted: an entry behind the newest': [
      'start',
      (db) =>
        db.exec(`INSERT INTO log_entries (log_index, entry, leaf_hash, detail, names)
                 SELECT log_index + 1, entry, leaf_hash, detail, names FROM log_entries WHERE log_index = ${newest}`),
    ],
    'inserted: an entry in front, all others moved up': [
      'start',
      (db) =>
        db.exec(`UPDATE log_entries SET log_index = -2 - log_index;
                 UPDATE log_entries SET log_index = -1 - log_index;
                 INSERT INTO log_entries (log_index, entry, leaf_hash) SELECT 0, entry, leaf_hash FROM log_entries WHERE log_index = 1`),
    ],
    'inserted in the place of another: the entry of another release': [
      'verify',
      (db) =>
        db.exec(`UPDATE log_entries SET (entry, leaf_hash, detail, names) =
                   (SELECT entry, leaf_hash, detail, names FROM log_entries WHERE log_index = ${newest})
                 WHERE log_index = ${newest} - 2`),
    ],
    'altered with all hashes above them': ['verify', rewriteConsistently],
    'altered with all hashes above them, and the head, but for its MAC': [
      'start',
      (db) => {
        rewriteConsistently(db);
        db.exec(`UPDATE log_head SET peaks = zeroblob(length(peaks))`);
      },
    ],
  };

  test.each(Object.entries(cases))('%s', async (_, [expected, work]) => {
    expect(await afterTampering(work)).toBe(expected);
  });

  /** As somebody would who knows how the tree is built: the first release goes to another machine. */
  function rewriteConsistently(db: Database.Database): void {
    const [index, entry] = db
      .prepare(`SELECT log_index, entry FROM log_entries WHERE type = 'attester.trusted'`)
      .raw()
      .get() as [number, string];
    const altered = entry.replace(/"ak_spki_sha256":"[0-9a-f]{64}"/, `"ak_spki_sha256":"${'ab'.repeat(32)}"`);
    expect(altered).not.toBe(entry);
    db.prepare('UPDATE log_entries SET entry = ?, leaf_hash = ? WHERE log_index = ?').run(
      altered,
      leafHash(Buffer.from(altered)),
      index,
    );
    let hashes = db.prepare('SELECT leaf_hash FROM log_entries WHERE log_index < 256').pluck().all() as Buffer[];
    while (hashes.length > 1) {
      hashes = Array.from({ length: hashes.length / 2 }, (_, at) => nodeHash(hashes[2 * at]!, hashes[2 * at + 1]!));
    }
    db.prepare('UPDATE log_nodes SET hash = ? WHERE level = 8 AND node_index = 0').run(hashes[0]);
  }

  test('removed from the archive can no longer be replayed, and nothing else follows', async () => {
    const { dataDir, database } = await copy();
    tamper(database, (db) => db.exec(`DELETE FROM evidence_archive WHERE release_id = '${releaseIds[0]!}'`));
    const opened = await open(dataDir);
    expect(await opened.broker.replayRelease(releaseIds[0]!, {})).toMatchObject({
      ok: false,
      reason: 'resource.unknown',
    });
    expect(await opened.broker.replayRelease(releaseIds[1]!, {})).toMatchObject({ ok: true, value: { same: true } });
    expect(await audit(opened.context.store, await seenBefore())).toEqual([]);
    await opened.close();
  });

  test('reordered in the archive are refused: each is sealed for its release', async () => {
    const { dataDir, database } = await copy();
    tamper(database, (db) => swap(db, 'evidence_archive', 'release_id', [releaseIds[0]!, releaseIds[1]!]));
    const opened = await open(dataDir);
    for (const id of releaseIds.slice(0, 2)) {
      await expect(opened.broker.replayRelease(id, {})).rejects.toThrow(StoreIntegrityError);
    }
    await opened.close();
  });

  test.each([
    ['where a node will be', 'level, node_index + 2'],
    ['on a level that the log has not reached', '2 * level, node_index'],
    ['on a level that no node is stored of', 'level - 4, node_index'],
    ['far behind the last one', 'level, 1000000 + node_index'],
  ])('inserted among the nodes %s are noticed by the process that runs, and at the start', async (_, place) => {
    const { dataDir, database } = await copy();
    const opened = await open(dataDir);
    const { store } = opened.context;
    const before = await store.logHead();
    tamper(database, (db) =>
      db.exec(`INSERT INTO log_nodes SELECT ${place}, hash FROM log_nodes WHERE level = 8 AND node_index = 0`),
    );
    await expect(store.logHead()).rejects.toThrow(/^log_nodes \d+\/\d+: /);
    await expect(store.appendRecord('denial.summary', { counts: { 'quote.magic': 1 } })).rejects.toThrow(
      StoreIntegrityError,
    );
    await opened.close();
    await expect(open(dataDir)).rejects.toThrow(StoreIntegrityError);
    tamper(database, (db) =>
      db.exec(
        'DELETE FROM log_nodes WHERE level <> 8 OR node_index >= (SELECT max(log_index) + 1 FROM log_entries) / 256',
      ),
    );
    const again = await open(dataDir);
    expect((await again.context.store.logHead()).size).toBe(before.size);
    await again.close();
  });
});

describe('a log whose rows were changed is not called rolled back', () => {
  /** Each leaves size, number of rows and head as they are. */
  const damages: Readonly<Record<string, readonly [RegExp, string]>> = {
    'a leaf hash in the last partial tile': [
      /^log_entries \d+: the leaf hash/,
      `UPDATE log_entries SET leaf_hash = zeroblob(32) WHERE log_index = ${newest} - 1`,
    ],
    'an entry in the last partial tile': [
      /^log_entries \d+: the leaf hash/,
      `UPDATE log_entries SET entry = entry || ' ', leaf_hash = leaf_hash WHERE log_index = ${newest} - 1`,
    ],
    'a leaf hash in a full tile': [
      /^log_entries 300: the leaf hash/,
      `UPDATE log_entries SET leaf_hash = zeroblob(32) WHERE log_index = 300`,
    ],
    'a node': [/^log_nodes 8\/1: the hash/, 'UPDATE log_nodes SET hash = zeroblob(32) WHERE node_index = 1'],
    'an entry together with its leaf hash': [
      /^log_nodes 8\/0: the hash/,
      `UPDATE log_entries SET (entry, leaf_hash) = (SELECT entry, leaf_hash FROM log_entries WHERE log_index = 5) WHERE log_index = 4`,
    ],
    'the newest entry together with its leaf hash': [
      /entries are not those that were appended/,
      `UPDATE log_entries SET (entry, leaf_hash) = (SELECT entry, leaf_hash FROM log_entries WHERE log_index = 5) WHERE log_index = ${newest}`,
    ],
    'an entry that is missing': [/^log 300: the row was deleted/, 'DELETE FROM log_entries WHERE log_index = 300'],
  };

  test.each(Object.entries(damages))('%s', async (_, [what, sql]) => {
    const { dataDir, database } = await copy();
    tamper(database, (db) => db.exec(sql));
    const opened = await open(dataDir);
    const { store } = opened.context;
    await expect(recomputeLog(store, await store.logHead())).rejects.toThrow(what);
    // A head that the log lacks, so that it has to find out why.
    const seen = { size: 300, root: Buffer.alloc(32, 1), where: 'log.checkpoint' };
    const failure: unknown = await store.expectLog(seen).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StoreIntegrityError);
    const refused: unknown = await store
      .appendRecord('denial.summary', { counts: {} })
      .catch((error: unknown) => error);
    for (const error of [failure, refused]) {
      expect(error).not.toBeInstanceOf(RolledBackError);
      expect((error as Error).message).toMatch(/rows of the log were changed, which is no rollback/);
    }
    await opened.close();
  });

  test('while one that is whole, and lacks what was seen, is', async () => {
    const { dataDir } = await copy();
    const opened = await open(dataDir);
    const { store } = opened.context;
    const head = await store.logHead();
    let recomputed = 0;
    await recomputeLog(store, head, (entries) => (recomputed = entries));
    expect(recomputed).toBe(head.size);
    expect(await store.expectLog({ size: 300, root: Buffer.alloc(32, 1), where: 'log.checkpoint' })).toBe(false);
    await expect(store.appendRecord('denial.summary', { counts: {} })).rejects.toThrow(RolledBackError);
    await opened.close();
  });
});

describe('a log that goes back', () => {
  /** Makes releases on a copy, and then puts back what the work says. */
  async function goBack(
    work: (database: string, older: { head: Row; size: number }) => void,
  ): Promise<{ dataDir: string; checkpoint: { size: number; root: Buffer }; memory: StateFile; running: unknown }> {
    const { dataDir, database } = await copy();
    const head = tamper(database, (db) => row(db, 'log_head', 'id = 1'));
    const opened = await open(dataDir);
    const { context, broker } = opened;
    for (let at = 0; at < 3; at++)
      released(await broker.release((await prepareRequest(broker, machine, ASKED)).request));
    const { size, root } = await context.store.logHead();
    const state = join(directory, `state-${String(copies)}`);
    expect(await audit(context.store, await StateFile.open(state, logKey))).toEqual([]);
    work(database, { head, size: Number(head['size']) });
    const running = await context.store
      .appendRecord('denial.summary', { counts: { 'quote.magic': 1 } })
      .catch((error: unknown) => error);
    await opened.close();
    return { dataDir, checkpoint: { size, root }, memory: await StateFile.open(state, logKey), running };
  }

  /** Cuts the log to where an older head, which is genuine, says that it ends. */
  function truncate(database: string, { head, size }: { head: Row; size: number }): void {
    tamper(database, (db) => {
      db.exec(`DELETE FROM log_entries WHERE log_index >= ${String(size)}; DELETE FROM log_head`);
      insert(db, 'log_head', head);
    });
  }

  test('is noticed by the process that runs, by an auditor who saw it, and by a checkpoint outside of the database', async () => {
    const { dataDir, checkpoint, memory, running } = await goBack(truncate);
    expect(running).toBeInstanceOf(StoreIntegrityError);
    const opened = await open(dataDir);
    const { store } = opened.context;
    expect(await audit(store, memory)).toEqual([expect.stringContaining('shrank')]);
    expect(await store.expectLog({ ...checkpoint, where: 'log.checkpoint' })).toBe(false);
    await expect(store.appendRecord('denial.summary', { counts: { 'quote.magic': 1 } })).rejects.toThrow(
      StoreIntegrityError,
    );
    await opened.close();
  });

  test('and has grown again since is noticed by the auditor, and by the checkpoint', async () => {
    const { dataDir, checkpoint, memory } = await goBack(truncate);
    const opened = await open(dataDir);
    const { store } = opened.context;
    for (let at = 0; at < 5; at++) await store.appendRecord('denial.summary', { counts: { 'quote.magic': at + 1 } });
    expect((await store.logHead()).size).toBeGreaterThan(checkpoint.size);
    expect((await audit(store, memory)).length).toBeGreaterThan(0);
    expect(await store.expectLog({ ...checkpoint, where: 'log.checkpoint' })).toBe(false);
    await opened.close();
  });

  test('behind an administrative change is noticed at the start, by the state alone', async () => {
    const { dataDir, database } = await copy();
    const head = tamper(database, (db) => row(db, 'log_head', 'id = 1'));
    const opened = await open(dataDir);
    await opened.context.store.change((change) => change.append('key.rotated', rotation));
    await opened.close();
    truncate(database, { head, size: Number(head['size']) });
    await expect(open(dataDir)).rejects.toThrow('is behind the state');
  });

  const rotation = { actor: 'init', key: 'weights', version: 'ab'.repeat(16) };

  test('with the whole database, from a backup, is noticed by the auditor, and by the checkpoint', async () => {
    const backup = await copy();
    const { dataDir, checkpoint, memory } = await goBack(() => undefined);
    rmSync(dataDir, { recursive: true });
    cpSync(backup.dataDir, dataDir, { recursive: true });
    const opened = await open(dataDir);
    const { store } = opened.context;
    expect((await audit(store, memory)).length).toBeGreaterThan(0);
    expect(await store.expectLog({ ...checkpoint, where: 'log.checkpoint' })).toBe(false);
    await opened.close();
  });

  test('a head that is no longer there, or of another log, is noticed by the process that runs', async () => {
    const { running: gone } = await goBack((database) => tamper(database, (db) => db.exec('DELETE FROM log_head')));
    expect(gone).toBeInstanceOf(StoreIntegrityError);
    const { running: other } = await goBack((database) =>
      tamper(database, (db) => db.exec(`UPDATE log_head SET origin = 'other'`)),
    );
    expect(other).toBeInstanceOf(StoreIntegrityError);
  });
});
