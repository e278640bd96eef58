import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type Database from 'better-sqlite3';
import { testLogIdentity } from '../helpers/log-identity.js';
import { type ReleaseFacts, type Store, StoreIntegrityError } from '../../src/release/store.js';
import { openSqliteStore, type SqliteStore } from '../../src/store/sqlite/open.js';
import {
  attester,
  brokerRecord,
  commitFor,
  deployment,
  enrolment,
  hash,
  initialise,
  key,
  link,
  NOW,
  policy,
  testClock,
  token,
  version,
} from './samples.js';
import { columnsOf, insert, LOG_TABLES, otherValues, row, type Row, tamper } from './tamper.js';

/** Tables whose rows SQL can change without notice, and why. Every other table is tested column by column, those of the log in sqlite-log-tamper.test.ts. */
const UNAUTHENTICATED: Readonly<Record<string, string>> = {
  spent_nonces:
    'an inserted nonce can only deny; a deleted one serves the same key to the same recipient key while it is fresh, and what was purged is below the floor of the state row',
  probe: 'decides nothing',
  sightings: 'decides nothing: an administrator compares the SPKI hash of what is trusted',
  removals:
    'a hint: what a process makes of it is held against the state row, and where that does not fit, all rows are read',
};

const MAC_KEY = Buffer.alloc(32, 7);
const SINGLE = ['broker', 'state'];

/** What node-a was enrolled with, all columns filled. */
const ENROLLED = {
  enrolments: [enrolment('llm-a', { spkiSha256: hash('ek a'), certificates: [Buffer.from('ek'), Buffer.from('ca')] })],
  quarantinedAtMs: NOW,
};

type Use = (store: Store) => Promise<unknown>;

const facts = (
  members: Partial<{ key: string; version: string; akSpkiSha256: string }> = {},
): ((store: Store) => Promise<ReleaseFacts>) => {
  return (store) =>
    store.releaseFacts({ deployment: 'llm-a', key: 'key-a', version: 'latest', akSpkiSha256: undefined, ...members });
};

/** Everything that reads the first row of a table, which is `…-a` (see `seed`). */
const USES: Readonly<Record<string, readonly Use[]>> = {
  broker: [(store) => store.broker()],
  state: [
    (store) => store.read((view) => view.state()),
    facts(),
    (store) => store.appendRecord('denial', {}),
    (store) => store.purgeNonces(0),
  ],
  deployments: [
    facts(),
    (store) => store.read((view) => view.deployments.get('llm-a')),
    (store) => store.read((view) => view.deployments.list({ limit: 9 })),
  ],
  policies: [
    (store) => store.read((view) => view.policies.get(hash('a'))),
    (store) => store.read((view) => view.policies.list({ limit: 9 })),
  ],
  policy_links: [
    facts(),
    (store) => store.read((view) => view.policyLinks.get('llm-a', hash('a'))),
    (store) => store.read((view) => view.policyLinks.of('llm-a')),
    (store) => store.read((view) => view.policyLinks.list({ limit: 9 })),
  ],
  keys: [
    facts(),
    (store) => store.read((view) => view.keys.get('key-a')),
    (store) => store.change((change) => change.keys.get('key-a')),
  ],
  key_versions: [
    facts(),
    facts({ version: version('key-a', 3).version }),
    (store) => store.read((view) => view.keyVersions.of('key-a')),
    (store) => store.read((view) => view.keyVersions.list({ limit: 9 })),
  ],
  attesters: [
    facts({ akSpkiSha256: hash('node-a') }),
    (store) => store.read((view) => view.attesters.get('node-a')),
    (store) => store.read((view) => view.attesters.ofEk(hash('ek a'))),
    (store) => store.read((view) => view.attesters.list({ limit: 9 })),
  ],
  tokens: [
    (store) => store.read((view) => view.tokens.get(token('a').id)),
    (store) => store.read((view) => view.tokens.list({ limit: 9 })),
  ],
  revocations: [
    facts({ akSpkiSha256: hash('revoked a') }),
    (store) => store.read((view) => view.revocations.has(hash('revoked a'))),
    (store) => store.read((view) => view.revocations.all()),
  ],
  freezes: [
    facts(),
    (store) => store.read((view) => view.freezes.has('key/key-a')),
    (store) => store.read((view) => view.freezes.all()),
  ],
};

/** The `WHERE` of a table's first row, and of its second. */
const ROWS: Readonly<Record<string, readonly [string, string]>> = {
  broker: ['id = 1', ''],
  state: ['id = 1', ''],
  deployments: [`name = 'llm-a'`, `name = 'llm-b'`],
  policies: [`sha256 = '${hash('a')}'`, `sha256 = '${hash('b')}'`],
  policy_links: [`deployment = 'llm-a'`, `deployment = 'llm-b'`],
  keys: [`name = 'key-a'`, `name = 'key-b'`],
  key_versions: [`sequence = 3`, `sequence = 7`],
  attesters: [`name = 'node-a'`, `name = 'node-b'`],
  tokens: [`id = '${token('a').id}'`, `id = '${token('b').id}'`],
  revocations: [`id = '${hash('revoked a')}'`, `id = '${hash('revoked b')}'`],
  freezes: [`id = 'key/key-a'`, `id = 'deployment/llm-b'`],
};

/** Two rows in every table, set by two changes, that differ in every column. */
async function seed(store: Store): Promise<void> {
  await initialise(store);
  await store.change(async (change) => {
    await change.append('seed', {});
    await change.deployments.put(deployment('llm-a'));
    await change.policies.put(policy('a'));
    await change.policyLinks.put(
      link('llm-a', 'a', { sha384: 'ab'.repeat(48), notBeforeMs: NOW, notAfterMs: NOW + 9 }),
    );
    await change.keys.put(key('key-a', { purgeAtMs: NOW }));
    await change.keyVersions.put(version('key-a', 3, { purgeAtMs: NOW }));
    await change.attesters.put(attester('node-a', ENROLLED));
    await change.tokens.put(token('a', { expiresAtMs: NOW, revokedAtMs: NOW }));
    await change.revocations.add(hash('revoked a'));
    await change.freezes.add('key/key-a');
  });
  const later = { createdAtMs: NOW + 1 };
  await store.change(async (change) => {
    await change.append('seed', {});
    await change.deployments.put(deployment('llm-b', NOW + 1));
    await change.policies.put({ sha256: hash('b'), ...later });
    await change.policyLinks.put(link('llm-b', 'b', { origin: 'document', ...later }));
    await change.keys.put({ name: 'key-b', kty: 'EC', curve: 'P-256', deployments: [], state: 'disabled', ...later });
    await change.keyVersions.put(version('key-b', 7, { state: 'disabled', kek: 'kek-2', ...later }));
    await change.attesters.put(attester('node-b', { deployments: [], ...later }));
    await change.tokens.put(token('b', { role: 'auditor', ...later }));
    await change.revocations.add(hash('revoked b'));
    await change.freezes.add('deployment/llm-b');
  });
}

let directory: string;
let template: string;
let copies = 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'portcullis-tamper-'));
  template = join(directory, 'template.db');
  const store = await open(template);
  await seed(store);
  await store.close();
});

afterAll(() => rmSync(directory, { recursive: true }));

async function open(path: string): Promise<SqliteStore> {
  const store = await openSqliteStore(path, { create: true, clock: testClock() });
  store.authenticate(MAC_KEY, testLogIdentity());
  return store;
}

function copy(): string {
  const path = join(directory, `copy-${String(copies++)}.db`);
  copyFileSync(template, path);
  return path;
}

/** The use of a row fails: in a process that has read it before, and in one that starts afterwards. */
async function expectNoticed(uses: readonly Use[], work: (db: Database.Database) => unknown): Promise<void> {
  const path = copy();
  const running = await open(path);
  for (const use of uses) await use(running);
  tamper(path, work);
  for (const use of uses) await expect(use(running)).rejects.toThrow(StoreIntegrityError);
  await running.close();
  const later = await openSqliteStore(path, { create: false, clock: testClock() });
  for (const use of uses) {
    const start = async (): Promise<unknown> => {
      later.authenticate(MAC_KEY, testLogIdentity());
      return use(later);
    };
    await expect(start()).rejects.toThrow(StoreIntegrityError);
  }
  await later.close();
  rmSync(path);
}

const deciding = Object.keys(ROWS);
const pairs = deciding.filter((table) => !SINGLE.includes(table));

describe('rows that decide a release', () => {
  test('stand in tables that are all tested here, or are listed with a reason', () => {
    const tables = tamper(template, (db) =>
      db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table'`).pluck().all(),
    ) as string[];
    expect(tables.sort()).toEqual([...deciding, ...LOG_TABLES, ...Object.keys(UNAUTHENTICATED)].sort());
    expect(Object.keys(USES).sort()).toEqual([...deciding].sort());
  });

  test.each(deciding)('%s: any other value in any column is noticed', async (table) => {
    const [where] = ROWS[table]!;
    const [columns, stored] = tamper(template, (db) => [columnsOf(db, table), row(db, table, where)]);
    for (const column of columns) {
      for (const value of otherValues(column, stored[column.name]!)) {
        await expectNoticed(USES[table]!, (db) =>
          db.prepare(`UPDATE ${table} SET "${column.name}" = ? WHERE ${where}`).run(value),
        );
      }
    }
  });

  test.each(pairs)('%s: two rows with the values of one column swapped are noticed', async (table) => {
    const [whereA, whereB] = ROWS[table]!;
    const columns = tamper(template, (db) => columnsOf(db, table));
    for (const { name } of columns) {
      await expectNoticed(USES[table]!, (db) => {
        const [a, b] = [row(db, table, whereA), row(db, table, whereB)];
        expect(a[name]).not.toEqual(b[name]);
        db.exec(`DELETE FROM ${table} WHERE ${whereA}; DELETE FROM ${table} WHERE ${whereB}`);
        insert(db, table, { ...a, [name]: b[name]! });
        insert(db, table, { ...b, [name]: a[name]! });
      });
    }
  });

  test.each(deciding)('%s: a row that was deleted is noticed', async (table) => {
    await expectNoticed(USES[table]!, (db) => db.exec(`DELETE FROM ${table} WHERE ${ROWS[table]![0]}`));
  });

  test.each(pairs)('%s: an inserted row, and a row from the store of another broker, are noticed', async (table) => {
    const other = join(directory, `other-${table}.db`);
    const store = await openSqliteStore(other, { create: true, clock: testClock() });
    store.authenticate(Buffer.alloc(32, 8), testLogIdentity());
    await seed(store);
    await store.close();
    const [where] = ROWS[table]!;
    const foreign = tamper(other, (db) => row(db, table, where));
    await expectNoticed(USES[table]!, (db) => {
      db.exec(`DELETE FROM ${table} WHERE ${where}`);
      insert(db, table, foreign);
    });
  });

  test.each(deciding)('%s: an older version of a row, put back with its own MAC, is noticed', async (table) => {
    const path = copy();
    const before = tamper(path, (db) => row(db, table, ROWS[table]![0]));
    const store = await open(path);
    await store.change(async (change) => {
      await change.append('again', {});
      await change.setBroker({ ...brokerRecord(), kek: 'kek-2' });
      await change.deployments.put(deployment('llm-a', NOW + 5));
      await change.policies.put({ sha256: hash('a'), createdAtMs: NOW });
      await change.policyLinks.put(link('llm-a', 'a', { notAfterMs: NOW - 1 }));
      await change.keys.put(key('key-a', { state: 'disabled' }));
      await change.keyVersions.put(version('key-a', 3, { state: 'disabled' }));
      await change.attesters.put(attester('node-a', { ...ENROLLED, deployments: [] }));
      await change.tokens.put(token('a', { role: 'auditor' }));
      for (const set of ['revocations', 'freezes'] as const) {
        for (const id of await change[set].all()) await change[set].delete(id);
      }
    });
    for (const use of USES[table]!) await use(store);
    tamper(path, (db) => {
      db.exec(`DELETE FROM ${table} WHERE ${ROWS[table]![0]}`);
      insert(db, table, before);
    });
    for (const use of USES[table]!) await expect(use(store)).rejects.toThrow(StoreIntegrityError);
    await store.close();
    const again = await openSqliteStore(path, { create: false, clock: testClock() });
    const startAndUse = async (): Promise<void> => {
      again.authenticate(MAC_KEY, testLogIdentity());
      await USES[table]![0]!(again);
    };
    await expect(startAndUse()).rejects.toThrow(StoreIntegrityError);
    await again.close();
  });

  test('carry the index of the first log entry of the change that set them', () => {
    const indexes = tamper(template, (db) =>
      pairs.map((table) => db.prepare(`SELECT log_index FROM ${table} ORDER BY log_index`).pluck().all()),
    );
    expect(indexes).toEqual(pairs.map(() => [1, 2]));
  });

  test('name their table and primary key when they fail', async () => {
    const path = copy();
    const store = await open(path);
    tamper(path, (db) => db.exec(`UPDATE key_versions SET state = 'enabled', sequence = 9 WHERE sequence = 7`));
    await expect(store.read((view) => view.keyVersions.of('key-b'))).rejects.toThrow(
      `key_versions key-b/${version('key-b', 7).version}: `,
    );
    await store.close();
  });
});

describe('the EK of an attester', () => {
  const ofEk = (ek: string) => (store: Store) => store.read((view) => view.attesters.ofEk(hash(ek)));
  const set = (name: string, ek: string | null) => (db: Database.Database) =>
    db.prepare('UPDATE attesters SET ek_spki_sha256 = ? WHERE name = ?').run(ek, name);

  test('that SQL gives to an attester without one is noticed by whoever asks for either', async () => {
    const node: Use = (store) => store.read((view) => view.attesters.get('node-b'));
    await expectNoticed([ofEk('ek a'), node], set('node-b', hash('ek a')));
    await expectNoticed([ofEk('another'), node], set('node-b', hash('another')));
  });

  test('that SQL takes from an attester, or writes in another way, is missed', async () => {
    for (const ek of [null, '', hash('ek a').toUpperCase(), `${hash('ek a')} `]) {
      await expectNoticed([ofEk('ek a')], set('node-a', ek));
    }
  });
});

describe('sets whose deletions grant something', () => {
  test.each([
    ['revocations', hash('innocent'), facts({ akSpkiSha256: hash('innocent') })],
    ['freezes', 'deployment/llm-a', facts()],
  ] as const)('an id that SQL inserts into %s is noticed', async (table, id, decision) => {
    const all = (store: Store): Promise<unknown> => store.read((view) => view[table].all());
    const has = (store: Store): Promise<unknown> => store.read((view) => view[table].has(id));
    await expectNoticed([decision, has, all], (db) =>
      db.prepare(`INSERT INTO ${table} SELECT ?, log_index, mac FROM ${table} LIMIT 1`).run(id),
    );
  });

  test('an identity that SQL revokes, or whose revocation it deletes, is noticed by the release that it decides', async () => {
    const decided = (identity: string): Use => {
      const query = { deployment: 'llm-a', key: 'key-a', version: 'latest', akSpkiSha256: undefined };
      return (store) => store.releaseFacts({ ...query, identities: [`ca/${hash('ca')}`, identity] });
    };
    await expectNoticed([decided(`ek/${hash('ek a')}`)], (db) =>
      db.prepare('INSERT INTO revocations SELECT ?, log_index, mac FROM revocations LIMIT 1').run(`ek/${hash('ek a')}`),
    );
    await expectNoticed([decided(hash('revoked b'))], (db) =>
      db.prepare('DELETE FROM revocations WHERE id = ?').run(hash('revoked b')),
    );
  });

  test('a set that SQL has emptied is noticed', async () => {
    await expectNoticed(USES['revocations']!, (db) => db.exec('DELETE FROM revocations'));
    await expectNoticed(USES['freezes']!, (db) => db.exec('DELETE FROM freezes'));
  });
});

describe('the newest version of a key', () => {
  test('is not replaced by an older one when SQL deletes it, not even with another row in its place', async () => {
    const path = copy();
    const before = await open(path);
    await before.change((change) => change.keyVersions.put(version('key-a', 4, { state: 'disabled' })));
    await before.close();
    for (const primed of [true, false]) {
      const attacked = join(directory, `latest-${String(primed)}.db`);
      copyFileSync(path, attacked);
      const store = await open(attacked);
      if (primed) expect((await facts()(store)).version?.sequence).toBe(4);
      tamper(attacked, (db) => {
        const newest = row(db, 'key_versions', 'sequence = 4');
        db.exec('DELETE FROM key_versions WHERE sequence = 4');
        insert(db, 'key_versions', { ...newest, sequence: 1, version: 'ff'.repeat(16) });
      });
      await expect(facts()(store)).rejects.toThrow(StoreIntegrityError);
      await store.close();
    }
  });
});

/**
 * Writes behind SQLite's back, through tables laid over the pages of key_versions and of its primary key: a version has a
 * second row, and the index forgets `hidden`. The schema is afterwards what it was.
 */
function duplicateVersion(path: string, version: string, hidden?: string): void {
  const schema = tamper(path, (db) => db.prepare('SELECT * FROM sqlite_schema').all());
  tamper(path, (db) => {
    db.unsafeMode(true);
    db.pragma('writable_schema = ON');
    const columns = columnsOf(db, 'key_versions').map(({ name }) => `"${name}"`);
    const overlay = db.prepare(
      `INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql)
       SELECT 'table', @name, @name, rootpage, @sql FROM sqlite_schema WHERE name = @over`,
    );
    overlay.run({ name: 'rows', over: 'key_versions', sql: `CREATE TABLE rows (${columns.join(', ')})` });
    overlay.run({
      name: 'ids',
      over: 'sqlite_autoindex_key_versions_1',
      sql: 'CREATE TABLE ids (k TEXT COLLATE NOCASE, v TEXT, r INTEGER, PRIMARY KEY (k, v, r)) WITHOUT ROWID',
    });
  });
  tamper(path, (db) => {
    db.unsafeMode(true);
    db.pragma('writable_schema = ON');
    const columns = columnsOf(db, 'key_versions').map(({ name }) => `"${name}"`);
    const copied = `INSERT INTO rows (rowid, ${columns.join(', ')}) SELECT 99, ${columns.join(', ')} FROM rows WHERE version = ?`;
    expect(db.prepare(copied).run(version).changes).toBe(1);
    expect(db.prepare('INSERT INTO ids SELECT k, v, 99 FROM ids WHERE v = ?').run(version).changes).toBe(1);
    if (hidden !== undefined) expect(db.prepare('DELETE FROM ids WHERE v = ?').run(hidden).changes).toBe(1);
    db.exec(`DELETE FROM sqlite_schema WHERE name IN ('rows', 'ids')`);
  });
  expect(tamper(path, (db) => db.prepare('SELECT * FROM sqlite_schema').all())).toEqual(schema);
}

describe('a row that SQL has doubled', () => {
  const [old, newest] = [version('key-a', 3).version, version('key-a', 4).version];
  let path: string;
  let store: SqliteStore;

  beforeEach(async () => {
    path = copy();
    store = await open(path);
    await store.change((change) => change.keyVersions.put(version('key-a', 4)));
  });

  afterEach(() => store.close());

  test('does not stand for the newest version, which the index has forgotten', async () => {
    duplicateVersion(path, old, newest);
    await expect(facts()(store)).rejects.toThrow(StoreIntegrityError);
    await expect(store.read((view) => view.keyVersions.of('key-a'))).rejects.toThrow(StoreIntegrityError);
    await expect(store.read((view) => view.keyVersions.list({ limit: 9 }))).rejects.toThrow(StoreIntegrityError);
    await expect(store.read((view) => view.keyVersions.list({ limit: 2 }))).rejects.toThrow(StoreIntegrityError);
  });

  test('is refused at the next start, though none is missing', async () => {
    duplicateVersion(path, old);
    const again = await openSqliteStore(path, { create: false, clock: testClock() });
    expect(() => again.authenticate(MAC_KEY, testLogIdentity())).toThrow(/key_versions key-a\/.*found twice/);
    await again.close();
  });
});

describe('the state', () => {
  /** The state, and everything that it sums up, as they were. */
  function snapshotOf(db: Database.Database): Record<string, Row[]> {
    return Object.fromEntries(deciding.map((table) => [table, db.prepare(`SELECT * FROM ${table}`).all() as Row[]]));
  }

  function restore(db: Database.Database, tables: Record<string, Row[]>): void {
    for (const [table, rows] of Object.entries(tables)) {
      db.exec(`DELETE FROM ${table}`);
      for (const each of rows) insert(db, table, each);
    }
  }

  test('that goes back in one piece is noticed by the running process, and by the log at the next start', async () => {
    const path = copy();
    const store = await open(path);
    const before = tamper(path, snapshotOf);
    await store.change(async (change) => {
      await change.append('attester.revoked', {});
      await change.revocations.add(hash('node-a'));
    });
    tamper(path, (db) => restore(db, before));
    await expect(facts({ akSpkiSha256: hash('node-a') })(store)).rejects.toThrow(StoreIntegrityError);
    await expect(store.appendRecord('denial', {})).rejects.toThrow(StoreIntegrityError);
    await expect(store.probe()).rejects.toThrow(StoreIntegrityError);
    await store.close();
    const again = await openSqliteStore(path, { create: false, clock: testClock() });
    expect(() => again.authenticate(MAC_KEY, testLogIdentity())).toThrow('behind the log');
    await again.close();
  });

  test('whose floor goes back is noticed by the running process', async () => {
    const path = copy();
    const store = await open(path);
    const before = tamper(path, (db) => row(db, 'state', 'id = 1'));
    await store.purgeNonces(NOW);
    tamper(path, (db) => {
      db.exec('DELETE FROM state');
      insert(db, 'state', before);
    });
    await expect(facts()(store)).rejects.toThrow(StoreIntegrityError);
    await store.close();
  });

  test('commits nothing when its row is not authentic, though the facts were read before', async () => {
    const path = copy();
    const store = await open(path);
    const commit = await commitFor(store, 'a');
    tamper(path, (db) => db.exec('UPDATE state SET nonce_floor_ms = 0, epoch = epoch + 1'));
    await expect(store.commitRelease({ ...commit, epoch: commit.epoch + 1 })).rejects.toThrow(StoreIntegrityError);
    expect(tamper(path, (db) => db.prepare('SELECT count(*) FROM spent_nonces').pluck().get())).toBe(0);
    await store.close();
  });

  test('cannot be started anew in a store that is in use', async () => {
    const path = copy();
    tamper(path, (db) => db.exec('DELETE FROM state; DELETE FROM broker; DELETE FROM revocations'));
    const store = await openSqliteStore(path, { create: true, clock: testClock() });
    expect(await store.broker()).toBeUndefined();
    expect(() => store.authenticate(MAC_KEY, testLogIdentity())).toThrow(StoreIntegrityError);
    await expect(initialise(store)).rejects.toThrow(StoreIntegrityError);
    await store.close();
  });

  test('is not accepted under another row-MAC key', async () => {
    const store = await openSqliteStore(copy(), { create: false, clock: testClock() });
    expect(() => store.authenticate(Buffer.alloc(32, 8), testLogIdentity())).toThrow(StoreIntegrityError);
    expect(() => store.authenticate(Buffer.alloc(31, 7), testLogIdentity())).toThrow(RangeError);
    await store.close();
  });
});

describe('the schema', () => {
  const TRIGGERS = [
    'CREATE TRIGGER forget AFTER INSERT ON spent_nonces BEGIN DELETE FROM spent_nonces WHERE nonce = new.nonce; END',
    'CREATE TRIGGER silent AFTER INSERT ON log_entries BEGIN DELETE FROM log_entries WHERE log_index = new.log_index; END',
    'ALTER TABLE spent_nonces RENAME TO aside; CREATE VIEW spent_nonces AS SELECT nonce, issued_at_ms FROM aside WHERE 0',
    'DROP TABLE revocations',
    'CREATE TABLE extra (a)',
    // Names under which an object could hide: of the planner's statistics, and of a table that there is.
    'PRAGMA writable_schema = ON; CREATE TRIGGER aside AFTER INSERT ON spent_nonces BEGIN DELETE FROM spent_nonces; END; ' +
      "UPDATE sqlite_schema SET name = 'sqlite_stat1', sql = replace(sql, 'aside', 'sqlite_stat1') WHERE name = 'aside'",
    'PRAGMA writable_schema = ON; CREATE TRIGGER aside AFTER UPDATE ON log_head BEGIN DELETE FROM spent_nonces; END; ' +
      "UPDATE sqlite_schema SET name = 'probe', sql = replace(sql, 'aside', 'probe') WHERE name = 'aside'",
  ];

  test.each(TRIGGERS)('that SQL has altered is refused, while running and at the next start: %s', async (sql) => {
    const path = copy();
    const store = await open(path);
    const commit = await commitFor(store, 'a');
    tamper(path, (db) => db.unsafeMode().exec(sql));
    await expect(store.commitRelease(commit)).rejects.toThrow(StoreIntegrityError);
    await store.close();
    await expect(openSqliteStore(path, { create: false, clock: testClock() })).rejects.toThrow(StoreIntegrityError);
  });
});
