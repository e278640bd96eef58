import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type Database from 'better-sqlite3';
import { type Store, StoreIntegrityError } from '../../src/release/store.js';
import { openSqliteStore } from '../../src/store/sqlite/open.js';
import { testLogIdentity } from '../helpers/log-identity.js';
import { attester, hash, initialise, key, NOW, testClock, version } from './samples.js';
import { insert, row, tamper } from './tamper.js';

/*
 * Many rows, of which no page reads all, and changes by another process, of which not all rows are read again: what SQL
 * does to a row that is not read is noticed all the same when somebody asks for it.
 */
const MANY = 3000;
const nameOf = (at: number): string => `key-${String(at).padStart(5, '0')}`;

let directory: string;
let path: string;
const opened: Store[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'portcullis-contents-'));
  path = join(directory, 'portcullis.db');
});

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  rmSync(directory, { recursive: true });
});

async function open(): Promise<Store> {
  const store = await openSqliteStore(path, { create: true, clock: testClock() });
  opened.push(store);
  store.authenticate(Buffer.alloc(32, 7), testLogIdentity());
  return store;
}

async function filled(count: number): Promise<Store> {
  const store = await open();
  await initialise(store);
  await store.change(async (change) => {
    await change.append('change', {});
    // Not in order: the ranges of the table have to be found by reading.
    for (let at = 0; at < count; at++) await change.keys.put(key(nameOf((at * 7) % count)));
    await change.attesters.put(attester('node-a'));
    await change.attesters.put(attester('node-b'));
    await change.keyVersions.put(version('v', 1, { state: 'deleted', purgeAtMs: NOW }));
  });
  return store;
}

const page = (store: Store, after: number, limit = 20) =>
  store.read((view) => view.keys.list({ limit, after: nameOf(after) }));

describe('a page of thousands', () => {
  const attacks: Readonly<Record<string, (db: Database.Database) => unknown>> = {
    'lacks a row': (db) => db.exec(`DELETE FROM keys WHERE name = '${nameOf(1510)}'`),
    'lacks a row, with a copy of another one elsewhere, so that their number is right': (db) => {
      const other = row(db, 'keys', `name = '${nameOf(7)}'`);
      db.exec(`DELETE FROM keys WHERE name = '${nameOf(1510)}'`);
      insert(db, 'keys', { ...other, name: nameOf(1700).replace('key', 'kez') });
    },
    'lacks a row, with a copy of another one behind the page': (db) => {
      const other = row(db, 'keys', `name = '${nameOf(7)}'`);
      db.exec(`DELETE FROM keys WHERE name = '${nameOf(1510)}'`);
      insert(db, 'keys', { ...other, name: `${nameOf(1600)}b` });
    },
    'has a row too many': (db) =>
      insert(db, 'keys', { ...row(db, 'keys', `name = '${nameOf(7)}'`), name: `${nameOf(1510)}b` }),
    'has a row under another name': (db) =>
      db.exec(`UPDATE keys SET name = '${nameOf(1510)}b' WHERE name = '${nameOf(1510)}'`),
  };

  test.each(Object.keys(attacks))(
    'that %s is noticed, whether its neighbours were read before or not',
    async (attack) => {
      const running = await filled(MANY);
      expect(await page(running, 1500)).toHaveLength(20);
      const other = await open();
      tamper(path, attacks[attack]!);
      await expect(page(running, 1500)).rejects.toThrow(StoreIntegrityError);
      await expect(page(other, 1500)).rejects.toThrow(StoreIntegrityError);
      await expect(running.change((change) => change.keys.list({ limit: 20, after: nameOf(1500) }))).rejects.toThrow(
        StoreIntegrityError,
      );
      await expect(open()).rejects.toThrow(/^keys: rows were inserted, deleted or replaced/);
    },
  );
});

describe('after a change by another process', () => {
  const touch = (store: Store, at = 1): Promise<void> =>
    store.change(async (change) => {
      await change.append('change', {});
      await change.keys.put(key(nameOf(at), { state: 'disabled' }));
    });

  test('only the rows that it changed are read, and what SQL did to others is noticed when they are used', async () => {
    const a = await filled(50);
    const b = await open();
    tamper(path, (db) => db.exec(`UPDATE keys SET state = 'disabled' WHERE name = '${nameOf(20)}'`));
    tamper(path, (db) => db.exec(`DELETE FROM keys WHERE name = '${nameOf(21)}'`));
    await touch(a);
    // Reading all rows would have found them.
    expect((await b.read((view) => view.keys.get(nameOf(1))))?.state).toBe('disabled');
    for (const at of [20, 21]) {
      await expect(b.read((view) => view.keys.get(nameOf(at)))).rejects.toThrow(StoreIntegrityError);
    }
    await expect(open()).rejects.toThrow(StoreIntegrityError);
  });

  test('an older version of a row, put back with an index that says it was set last, is noticed', async () => {
    const a = await filled(50);
    const b = await open();
    const old = tamper(path, (db) => row(db, 'keys', `name = '${nameOf(1)}'`));
    await touch(a);
    tamper(path, (db) => {
      db.exec(`DELETE FROM keys WHERE name = '${nameOf(1)}'`);
      insert(db, 'keys', { ...old, log_index: 1000 });
    });
    await expect(b.read((view) => view.keys.get(nameOf(1)))).rejects.toThrow(StoreIntegrityError);
    await expect(b.read((view) => view.state())).rejects.toThrow(/^keys: rows were inserted, deleted or replaced/);
  });

  test('a row that it removed, put back, is noticed', async () => {
    const a = await filled(50);
    const b = await open();
    const old = tamper(path, (db) => row(db, 'keys', `name = '${nameOf(1)}'`));
    await a.change(async (change) => {
      await change.append('change', {});
      await change.keys.remove(nameOf(1));
    });
    expect(await b.read((view) => view.keys.get(nameOf(1)))).toBeUndefined();
    tamper(path, (db) => insert(db, 'keys', old));
    for (const store of [a, b]) {
      await expect(store.read((view) => view.keys.get(nameOf(1)))).rejects.toThrow(StoreIntegrityError);
    }
  });

  test.each([
    ['are gone', 'DELETE FROM removals'],
    ['say that a row went away which is there', `INSERT INTO removals (log_index, place, label) VALUES (99, 'keys', CAST('${nameOf(3)}' AS BLOB))`], // prettier-ignore
    ['are of no table, by a name longer than any', `INSERT INTO removals (log_index, place, label) VALUES (99, '${'x'.repeat(300)}', x'61')`], // prettier-ignore
    ['are of no table, for a row of a name longer than any', `INSERT INTO removals (log_index, place, label) VALUES (99, 'nothing', zeroblob(100000))`], // prettier-ignore
    ['are nonsense', `UPDATE removals SET place = 'nothing', label = x'00ff'`],
  ])('it is the same where the hints at what it removed %s: all rows are read', async (_, sql) => {
    const a = await filled(50);
    const b = await open();
    await a.change(async (change) => {
      await change.append('change', {});
      await change.keys.remove(nameOf(1));
      await change.attesters.remove(hash('node-a'));
    });
    tamper(path, (db) => expect(db.prepare(sql).run().changes).toBeGreaterThan(0));
    expect(await b.read((view) => view.keys.get(nameOf(1)))).toBeUndefined();
    expect(await b.read((view) => view.keys.get(nameOf(3)))).toEqual(key(nameOf(3)));
    expect(await b.read((view) => view.keys.list({ limit: 99 }))).toHaveLength(49);
  });

  test('hints are kept for the newest removals only', async () => {
    const a = await filled(3);
    tamper(path, (db) => db.exec(`INSERT INTO removals (id, log_index, place, label) VALUES (7, 0, 'keys', x'00')`));
    tamper(path, (db) =>
      db.exec(`INSERT INTO removals (id, log_index, place, label) VALUES (100007, 0, 'keys', x'00')`),
    );
    await a.change((change) => change.keys.remove(nameOf(1)));
    const ids = tamper(path, (db) => db.prepare('SELECT id FROM removals ORDER BY id').pluck().all());
    expect(ids).toEqual([100007, 100008]);
  });
});

describe('an attester', () => {
  const attacks: Readonly<Record<string, readonly [string, readonly string[]]>> = {
    'that SQL has renamed': [`UPDATE attesters SET name = 'node-x' WHERE name = 'node-a'`, ['node-a', 'node-x']],
    'whose AK Name SQL has changed': [
      `UPDATE attesters SET ak_name = '000b${'ab'.repeat(32)}' WHERE name = 'node-a'`,
      [`000b${hash('name of node-a')}`, `000b${'ab'.repeat(32)}`],
    ],
    'that SQL has deleted': [
      `DELETE FROM attesters WHERE name = 'node-a'`,
      ['node-a', `000b${hash('name of node-a')}`, hash('node-a')],
    ],
  };

  test.each(Object.entries(attacks))('%s is noticed under every name that it has or had', async (_, [sql, ids]) => {
    const store = await filled(1);
    tamper(path, (db) => db.exec(sql));
    for (const id of ids) {
      await expect(store.read((view) => view.attesters.get(id))).rejects.toThrow(StoreIntegrityError);
    }
    const put = store.change((change) => change.attesters.put(attester('node-a', { deployments: [] })));
    await expect(put).rejects.toThrow(StoreIntegrityError);
    await expect(store.change((change) => change.attesters.remove(hash('node-a')))).rejects.toThrow(
      StoreIntegrityError,
    );
    await expect(open()).rejects.toThrow(StoreIntegrityError);
  });
});

describe('a change', () => {
  const attacks: Readonly<Record<string, string>> = {
    'has altered': `UPDATE keys SET deployments = '[]' WHERE name = '${nameOf(1)}'`,
    'has deleted': `DELETE FROM keys WHERE name = '${nameOf(1)}'`,
    'has put the values of another row into': `UPDATE keys SET (state, mac) = (SELECT state, mac FROM keys WHERE name = '${nameOf(2)}') WHERE name = '${nameOf(1)}'`,
  };

  test.each(Object.entries(attacks))('does not paper over a row that SQL %s', async (_, sql) => {
    const store = await filled(5);
    tamper(path, (db) => db.exec(sql));
    await expect(store.change((change) => change.keys.put(key(nameOf(1))))).rejects.toThrow(StoreIntegrityError);
    await expect(store.change((change) => change.keys.remove(nameOf(1)))).rejects.toThrow(StoreIntegrityError);
    await store.change((change) => change.keys.put(key(nameOf(3), { state: 'disabled' })));
  });

  test('takes away a row that SQL has inserted, which was never one', async () => {
    const store = await filled(5);
    tamper(path, (db) => insert(db, 'keys', { ...row(db, 'keys', `name = '${nameOf(1)}'`), name: 'foreign' }));
    await expect(store.read((view) => view.keys.get('foreign'))).rejects.toThrow(StoreIntegrityError);
    await store.change((change) => change.keys.remove('foreign'));
    expect(await store.read((view) => view.keys.get('foreign'))).toBeUndefined();
    expect(await (await open()).read((view) => view.keys.list({ limit: 9 }))).toHaveLength(5);
  });
});

test('hints that name no table, and rows that there are none of, do not make a process read all rows', async () => {
  const a = await filled(50);
  const b = await open();
  tamper(path, (db) => {
    const hint = db.prepare('INSERT INTO removals (log_index, place, label) VALUES (99, ?, ?)');
    for (const place of ['x'.repeat(300), 'state', 'keys', 'attesters.name', '__proto__']) {
      for (const label of ['', 'nothing', 'x'.repeat(5000)]) hint.run(place, Buffer.from(label));
    }
    db.exec(`DELETE FROM keys WHERE name = '${nameOf(20)}'`);
  });
  await a.change((change) => change.keys.put(key(nameOf(1), { state: 'disabled' })));
  // Reading all rows would have found the one that is gone.
  expect((await b.read((view) => view.keys.get(nameOf(1))))?.state).toBe('disabled');
  await expect(b.read((view) => view.keys.get(nameOf(20)))).rejects.toThrow(StoreIntegrityError);
});

test('what is to be destroyed is authenticated before it is', async () => {
  const store = await filled(1);
  const purgeable = () => store.read((view) => view.purgeable(NOW));
  expect((await purgeable()).versions).toHaveLength(1);
  tamper(path, (db) => db.exec(`UPDATE keys SET purge_at_ms = ${String(NOW)}`));
  await expect(purgeable()).rejects.toThrow(StoreIntegrityError);
});
