import {
  closeSync,
  copyFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { testLogIdentity } from '../helpers/log-identity.js';
import { type Store, StoreIntegrityError, StoreUnavailableError } from '../../src/release/store.js';
import { Connection } from '../../src/store/sqlite/connection.js';
import { openSqliteStore, openWith, type SqliteStore } from '../../src/store/sqlite/open.js';
import { MIGRATIONS } from '../../src/store/sqlite/migrations.js';
import { commitFor, hash, initialise, key, testClock } from './samples.js';
import { expectMigrated, schemaOneRows } from './schema-one.js';
import { insert } from './tamper.js';

const MAC_KEY = Buffer.alloc(32, 7);
let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'portcullis-file-'));
  path = join(directory, 'portcullis.db');
});

afterEach(() => rmSync(directory, { recursive: true }));

async function open(create = true): Promise<SqliteStore> {
  const store = await openSqliteStore(path, { create, clock: testClock() });
  store.authenticate(MAC_KEY, testLogIdentity());
  return store;
}

async function useEverything(store: Store): Promise<void> {
  await initialise(store);
  await store.read(async (view) => {
    await store.change((change) => change.keys.put(key('weights')));
    await view.keys.list({ limit: 1 });
  });
  await store.releaseFacts({ deployment: 'llm', key: 'weights', version: 'latest', akSpkiSha256: undefined });
  await store.commitRelease(await commitFor(store, 'a'));
}

function mode(file: string): string {
  return (statSync(file).mode & 0o777).toString(8);
}

describe('the files of the database', () => {
  test('are for the owner alone, whatever the umask', async () => {
    const umask = process.umask(0);
    try {
      const store = await open();
      await useEverything(store);
      expect([path, `${path}-wal`, `${path}-shm`].map(mode)).toEqual(['600', '600', '600']);
      await store.close();
    } finally {
      process.umask(umask);
    }
  });

  test('lose the permissions of others when they came with some', async () => {
    const store = await open();
    await initialise(store);
    await store.close();
    chmodSync(path, 0o644);
    const again = await open();
    await again.appendRecord('denial', {});
    expect([path, `${path}-wal`, `${path}-shm`].map(mode)).toEqual(['600', '600', '600']);
    await again.close();
  });

  test('are one file after an orderly end', async () => {
    const store = await open();
    await useEverything(store);
    await store.close();
    expect(() => statSync(`${path}-wal`)).toThrow('ENOENT');
  });

  test('hold nothing of a key version that was removed', async () => {
    const secret = 'this stood in the wrapped key';
    const store = await open();
    await initialise(store);
    await store.change((change) =>
      change.tokens.put({ id: '00', name: secret, role: 'admin', hash: hash('x'), createdAtMs: 0 }),
    );
    await store.close();
    expect(readFileSync(path).includes(secret)).toBe(true);
    const again = await open();
    await again.change((change) => change.tokens.remove('00'));
    await again.close();
    expect(readFileSync(path).includes(secret)).toBe(false);
  });
});

describe('every connection', () => {
  test('has WAL, synchronous=FULL, an untrusted schema and cell checks', async () => {
    const connections: Connection[] = [];
    const store = await openWith(path, { create: true, clock: testClock() }, (file, role) => {
      const connection = new Connection(file, role);
      connections.push(connection);
      return connection;
    });
    store.authenticate(MAC_KEY, testLogIdentity());
    await useEverything(store);
    const live = connections.filter((each) => each.db.open);
    expect(live).toHaveLength(3);
    for (const { db } of live) {
      const pragma = (name: string): unknown => db.pragma(name, { simple: true });
      expect(['journal_mode', 'synchronous', 'trusted_schema', 'cell_size_check'].map(pragma)).toEqual([
        'wal',
        2,
        0,
        1,
      ]);
    }
    await store.close();
    expect(connections.filter((each) => each.db.open)).toEqual([]);
  });

  test('is refused where there can be no WAL', () => {
    expect(() => new Connection(':memory:', 'write')).toThrow(StoreUnavailableError);
  });
});

describe('opening', () => {
  const refused = async (create: boolean, message: string): Promise<void> => {
    const opening = openSqliteStore(path, { create, clock: testClock() });
    await expect(opening).rejects.toThrow(StoreUnavailableError);
    await expect(openSqliteStore(path, { create, clock: testClock() })).rejects.toThrow(message);
  };

  test('a file that is missing says to run init, and makes none', async () => {
    await refused(false, 'run portcullis init');
    expect(() => statSync(path)).toThrow('ENOENT');
  });

  test('in a directory that is missing, or is a file, is refused', async () => {
    path = join(directory, 'missing', 'portcullis.db');
    await refused(true, 'data directory');
    writeFileSync(join(directory, 'file'), '');
    path = join(directory, 'file', 'portcullis.db');
    await refused(true, 'ENOTDIR');
    path = join(directory, 'directory.db');
    mkdirSync(path);
    await refused(false, 'data directory');
  });

  test('what is no database is refused and left alone', async () => {
    const content = Buffer.from('this is a letter, not a database.\n'.repeat(200));
    writeFileSync(path, content);
    await refused(true, 'not an SQLite database');
    expect(readFileSync(path)).toEqual(content);
  });

  test('the database of another program is refused and left alone', async () => {
    const other = new Database(path);
    other.exec('CREATE TABLE recipes (id)');
    other.close();
    const content = readFileSync(path);
    await refused(true, 'another program');
    expect(readFileSync(path)).toEqual(content);
  });

  test.each([99, -1])('a schema of version %d is refused and left alone', async (schema) => {
    const store = await open();
    await initialise(store);
    await store.close();
    const db = new Database(path);
    db.pragma(`user_version = ${String(schema)}`);
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    const content = readFileSync(path);
    await refused(false, 'a newer portcullis');
    expect(readFileSync(path)).toEqual(content);
  });

  test('a file that was made but never filled gives a fresh store', async () => {
    writeFileSync(path, '');
    const store = await open(false);
    expect(await store.broker()).toBeUndefined();
    await initialise(store);
    await store.close();
  });

  test('a migration that fails leaves the file as it was', async () => {
    const half = new Database(path);
    half.pragma('application_id = 0x50434c53');
    half.exec('CREATE TABLE tokens (id)');
    half.close();
    await expect(openSqliteStore(path, { create: false, clock: testClock() })).rejects.toThrow(StoreIntegrityError);
    const after = new Database(path);
    expect(after.prepare('SELECT name FROM sqlite_schema').pluck().all()).toEqual(['tokens']);
    expect(after.pragma('user_version', { simple: true })).toBe(0);
    after.close();
  });

  /** As the program of schema 1 has left it. */
  function makeSchemaOne(): void {
    const db = new Database(path);
    db.pragma('journal_mode = WAL');
    db.exec(MIGRATIONS[0]!);
    db.pragma('application_id = 0x50434c53');
    db.pragma('user_version = 1');
    for (const [table, row] of schemaOneRows()) insert(db, table, row);
    db.close();
  }

  test('a database of schema 1 brings it up to date, with every row as it was, and once', async () => {
    makeSchemaOne();
    const stores = await Promise.all([open(false), open(false)]);
    await expectMigrated(stores[0]);
    await stores[1].appendRecord('denial', {});
    for (const each of stores) await each.close();
    const after = new Database(path);
    expect(after.pragma('user_version', { simple: true })).toBe(MIGRATIONS.length);
    after.close();
    const again = await open(false);
    expect(await again.read((view) => view.attesters.ofEk(hash('ek')))).toHaveLength(1);
    await again.close();
  });

  test('a database of schema 1 with a row that was tampered with migrates, and the row is refused', async () => {
    makeSchemaOne();
    const db = new Database(path);
    db.exec(`UPDATE attesters SET deployments = '["llm","other"]' WHERE name = 'Node-1'`);
    db.close();
    const store = await open(false);
    await expect(store.read((view) => view.attesters.get('Node-1'))).rejects.toThrow(StoreIntegrityError);
    await store.close();
  });

  test('the statistics that ANALYZE leaves do no harm', async () => {
    const store = await open();
    await initialise(store);
    await store.close();
    const db = new Database(path);
    db.exec('ANALYZE');
    db.close();
    const again = await open(false);
    await again.appendRecord('denial', {});
    await again.close();
  });

  test('before the key of the row MACs is given, only the broker record is read', async () => {
    const filled = await open();
    await initialise(filled);
    await filled.close();
    const store = await openSqliteStore(path, { create: false, clock: testClock() });
    expect((await store.broker())?.broker).toBe('broker-1');
    await expect(store.read((view) => view.state())).rejects.toThrow(StoreUnavailableError);
    await expect(store.change(async () => undefined)).rejects.toThrow(StoreUnavailableError);
    await expect(store.probe()).rejects.toThrow(StoreUnavailableError);
    await store.close();
  });
});

describe('a damaged file', () => {
  async function useAll(): Promise<void> {
    const store = await open(false);
    try {
      await store.broker();
      const keys = await store.read((view) => view.keys.list({ limit: 1000 }));
      expect(keys).toHaveLength(300);
      await store.read((view) => view.entries({ limit: 1000 }));
      await store.probe();
    } finally {
      await store.close();
    }
  }

  test('gives an error of the store, or all that was stored, and never something else', async () => {
    const store = await open();
    await initialise(store);
    await store.change(async (change) => {
      for (let at = 0; at < 300; at++) await change.keys.put(key(`key-${String(at)}`));
    });
    await store.close();
    const sound = join(directory, 'sound.db');
    copyFileSync(path, sound);
    const { size } = statSync(sound);
    await useAll();
    let damaged = 0;
    const outcome = async (): Promise<void> => {
      const error: unknown = await useAll().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (error === undefined) return;
      damaged++;
      expect(error instanceof StoreIntegrityError || error instanceof StoreUnavailableError ? '' : error).toBe('');
    };
    for (let page = 0; page < size / 4096; page++) {
      copyFileSync(sound, path);
      const file = openSync(path, 'r+');
      writeSync(file, Buffer.alloc(page === 0 ? 3000 : 4096, 0xa5), 0, undefined, page * 4096 + (page === 0 ? 100 : 0));
      closeSync(file);
      await outcome();
    }
    for (const length of [100, 4096, size / 2, size - 4096]) {
      copyFileSync(sound, path);
      truncateSync(path, length);
      await outcome();
    }
    expect(damaged).toBeGreaterThan(10);
  });
});
