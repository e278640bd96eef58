import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket, connect } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { storeUrl } from '../../src/config/store-url.js';
import { RolledBackError, type Store, StoreIntegrityError, StoreUnavailableError } from '../../src/release/store.js';
import { migrate, MIGRATIONS } from '../../src/store/postgres/migrations.js';
import { openPostgresStore } from '../../src/store/postgres/open.js';
import type { PostgresStore } from '../../src/store/postgres/options.js';
import { findPassword } from '../../src/store/postgres/password-file.js';
import { writeServer } from '../../src/store/postgres/server-row.js';
import { Session } from '../../src/store/postgres/session.js';
import { RowMac } from '../../src/store/rows/row-mac.js';
import { CheckpointSigner } from '../../src/translog/checkpoint.js';
import { createAuthority } from '../http/pki.js';
import { testLogIdentity } from '../helpers/log-identity.js';
import { postgresAvailable, PostgresServer, STORE_PASSWORD } from '../helpers/postgres.js';
import { valueOf } from '../helpers/test-broker.js';
import { LogAudit } from './log-audit.js';
import { commitFor, entriesOf, hash, initialise, key, testClock, token } from './samples.js';
import { expectMigrated, schemaOneRows } from './schema-one.js';
import { sighting } from './sightings-contract.js';

const suite = postgresAvailable() ? describe : describe.skip;
const authority = createAuthority('test authority');
const MAC_KEY = Buffer.alloc(32, 7);
const query = { deployment: 'llm', key: 'weights', version: 'latest', akSpkiSha256: undefined };

/** Everything that a store does, each on its own. */
const CALLS: Readonly<Record<string, (store: Store) => Promise<unknown>>> = {
  broker: (store) => store.broker(),
  read: (store) => store.read((view) => view.state()),
  change: (store) => store.change((change) => change.keys.put(key('k'))),
  facts: (store) => store.releaseFacts(query),
  record: (store) => store.appendRecord('denial', {}),
  head: (store) => store.logHead(),
  entries: (store) => store.logEntries(0, 1),
  hashes: (store) => store.logHashes(0, 0, 1),
  purge: (store) => store.purgeNonces(0),
  archived: (store) => store.archived('x'),
  note: (store) => store.noteSightings([sighting('node')]),
  sighting: (store) => store.sighting(hash('node')),
  sightings: (store) => store.listSightings({ limit: 1 }),
};

/**
 * A proxy in front of the server. `cut` makes it lose the answer to the next COMMIT; `before` makes it do something ahead
 * of the next message that spends nonces.
 */
async function proxy(to: string, upstreamPort: number) {
  let armed = false;
  let cuts = 0;
  let meanwhile: (() => Promise<unknown>) | undefined;
  const sockets = new Set<Socket>();
  const listener = createServer((client) => {
    const upstream = connect(upstreamPort, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => [client, upstream].forEach((each) => each.destroy()));
    }
    let muted = false;
    let sent = Promise.resolve();
    upstream.on('data', (bytes) => muted || client.write(bytes));
    const forward = async (bytes: Buffer) => {
      if (meanwhile !== undefined && bytes.includes('insert_nonces')) {
        const work = meanwhile;
        meanwhile = undefined;
        await work();
      }
      if (armed && bytes.includes('COMMIT\0')) {
        armed = false;
        muted = true;
        cuts++;
        // The server has it, and does it; nobody hears of it.
        upstream.write(bytes, () => setTimeout(() => client.destroy(), 300));
        return;
      }
      upstream.write(bytes);
    };
    client.on('data', (bytes) => {
      sent = sent.then(() => forward(bytes));
    });
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as { port: number };
  const through = new URL(to);
  through.port = String(port);
  return {
    url: through.href,
    cut: () => void (armed = true),
    cuts: () => cuts,
    before: (work: () => Promise<unknown>) => void (meanwhile = work),
    close: () => {
      for (const socket of sockets) socket.destroy();
      listener.close();
    },
  };
}

async function failure(work: () => Promise<unknown>): Promise<Error> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('it did not fail');
}

suite('PostgreSQL: what goes wrong (skipped where it is not installed)', () => {
  let server: PostgresServer;
  let url: string;
  const opened: PostgresStore[] = [];
  const name = () => new URL(url).pathname.slice(1);
  const sql = (text: string, values: readonly unknown[] = []) => server.sql(text, values, name());

  async function open(at = url, log = testLogIdentity()): Promise<PostgresStore> {
    const store = await openPostgresStore({ target: valueOf(storeUrl(at)), create: true, clock: () => Date.now() });
    opened.push(store);
    store.authenticate(MAC_KEY, log);
    return store;
  }

  async function filled(at = url): Promise<PostgresStore> {
    const store = await open(at);
    await initialise(store);
    return store;
  }

  beforeAll(async () => {
    server = await PostgresServer.start({ tls: authority.issue('postgres') });
    url = await server.database();
  }, 60_000);
  afterAll(() => server.close(), 60_000);
  beforeEach(() => server.wipe(url));
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
  });

  describe('a server that is gone', () => {
    test.each(['fast', 'immediate'] as const)(
      'stopped (%s): every call says so without a secret, and works again when it is back',
      async (mode) => {
        const store = await filled();
        for (const call of Object.values(CALLS)) await call(store);
        const before = await store.logHead();
        await server.stop(mode);
        try {
          for (const [what, call] of Object.entries(CALLS)) {
            const error = await failure(() => call(store));
            expect([what, error.name]).toEqual([what, 'StoreUnavailableError']);
            expect(`${error.message} ${String(error.cause)}`).not.toContain(STORE_PASSWORD);
            expect(error.message).not.toContain('postgres://');
          }
        } finally {
          await server.start();
        }
        for (const call of Object.values(CALLS)) await call(store);
        const audit = await LogAudit.of(store);
        audit.expectHead(await store.logHead());
        audit.expectContains(before.checkpoint);
      },
      60_000,
    );

    test('sessions that are ended under load: what was answered is in the log, and nothing was taken twice', async () => {
      const store = await filled();
      const commits = await Promise.all(Array.from({ length: 400 }, (_, at) => commitFor(store, String(at))));
      let ended = 0;
      const results = await Promise.allSettled(
        commits.map(async (commit, at) => {
          await new Promise((resolve) => setTimeout(resolve, at));
          if (at % 80 === 40) {
            const rows = await sql(
              `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'portcullis' AND datname = $1`,
              [name()],
            );
            ended += rows.length;
          }
          return store.commitRelease(commit);
        }),
      );
      expect(ended).toBeGreaterThan(3);
      const audit = await LogAudit.of(store);
      audit.expectHead(await store.logHead());
      let committed = 0;
      for (const result of results) {
        if (result.status === 'rejected') {
          expect(result.reason).toBeInstanceOf(StoreUnavailableError);
        } else {
          expect(result.value.outcome).toBe('committed');
          if (result.value.outcome === 'committed') audit.expectProves(result.value.logged);
          committed++;
        }
      }
      expect(committed).toBeGreaterThan(0);
      const releases = (await entriesOf(store)).filter((each) => each['type'] === 'release');
      expect(new Set(releases.map((each) => each['release_id'])).size).toBe(releases.length);
      const spent = await sql('SELECT nonce FROM portcullis.spent_nonces');
      expect(spent).toHaveLength(releases.length);
    }, 60_000);

    test('a change whose session is ended in the middle keeps nothing', async () => {
      const store = await filled();
      const change = store.change(async (each) => {
        await each.keys.put(key('k'));
        await each.append('key.created', {});
        await sql(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'portcullis' AND datname = $1`,
          [name()],
        );
        await each.keys.put(key('l'));
      });
      await expect(change).rejects.toThrow(StoreUnavailableError);
      expect(await store.read((view) => view.keys.list({ limit: 9 }))).toEqual([]);
      await CALLS['change']!(store);
      expect((await store.read((view) => view.state())).generation).toBe(2);
    });
  });

  describe('a COMMIT whose answer is lost', () => {
    test('answers nothing: the nonce is spent, and the log goes on behind the entry that nobody was told of', async () => {
      const wire = await proxy(url, server.port);
      try {
        const store = await filled(wire.url);
        const commit = await commitFor(store, 'a');
        wire.cut();
        await expect(store.commitRelease(commit)).rejects.toThrow(StoreUnavailableError);
        expect(wire.cuts()).toBe(1);
        expect(await store.commitRelease(commit)).toEqual({ outcome: 'replayed' });
        const next = await store.commitRelease(await commitFor(store, 'b'));
        if (next.outcome !== 'committed') throw new Error(next.outcome);
        expect(next.logged.index).toBe(2);
        const audit = await LogAudit.of(store);
        audit.expectHead(await store.logHead());
        audit.expectProves(next.logged);

        const { generation } = await store.read((view) => view.state());
        wire.cut();
        await expect(CALLS['change']!(store)).rejects.toThrow(StoreUnavailableError);
        // It happened: this process finds out by reading.
        expect((await store.read((view) => view.state())).generation).toBe(generation + 1);
        expect(await store.read((view) => view.keys.get('k'))).toEqual(key('k'));
        for (const call of Object.values(CALLS)) await call(store);
      } finally {
        for (const store of opened.splice(0)) await store.close();
        wire.close();
      }
    });
  });

  describe('a nonce that the database does not store as it was sent', () => {
    test.each([
      ['dropped', 'RETURN NULL;'],
      ['replaced', `NEW.nonce := NEW.nonce || '\\x00'::bytea; RETURN NEW;`],
      ['made older', 'NEW.issued_at_ms := 0; RETURN NEW;'],
    ])('but %s, since the schema was looked at: nothing is committed', async (_, body) => {
      const fresh = await server.database();
      const there = (text: string) => server.sql(text, [], new URL(fresh).pathname.slice(1));
      const wire = await proxy(fresh, server.port);
      try {
        const store = await filled(wire.url);
        const commit = await commitFor(store, 'a');
        const { size } = await store.logHead();
        let made = 0;
        wire.before(async () => {
          made++;
          await there(
            `CREATE FUNCTION public.alter() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN ${body} END;$$;
             CREATE TRIGGER alter BEFORE INSERT ON portcullis.spent_nonces FOR EACH ROW EXECUTE FUNCTION public.alter()`,
          );
        });
        await expect(store.commitRelease(commit)).rejects.toThrow('does not store what it is sent');
        expect(made).toBe(1);
        await expect(store.commitRelease(commit)).rejects.toThrow('not what portcullis made: trigger');
        expect((await store.logHead()).size).toBe(size);
        await there('DROP FUNCTION public.alter CASCADE');
        expect(await store.commitRelease(commit)).toMatchObject({ outcome: 'committed' });
        expect(await store.commitRelease(commit)).toEqual({ outcome: 'replayed' });
      } finally {
        for (const store of opened.splice(0)) await store.close();
        wire.close();
      }
    });
  });

  test('the lock in other hands makes writes wait, then fail; reading and facts go on', async () => {
    const store = await filled();
    const target = valueOf(storeUrl(url));
    const other = await Session.open(target, 'write');
    await other.command(`BEGIN; SELECT pg_advisory_xact_lock(${String(0x504f525443554c31n)})`);
    const waiting = store.appendRecord('denial', {});
    await store.read((view) => view.state());
    await store.releaseFacts(query);
    await expect(waiting).rejects.toThrow('another replica keeps the log locked');
    other.close();
    await store.appendRecord('denial', {});
  }, 30_000);

  describe('a server that would not keep what it says it has', () => {
    const set = async (text: string) => {
      await server.sql(`ALTER SYSTEM ${text}`);
      await server.sql('SELECT pg_reload_conf()');
      await new Promise((resolve) => setTimeout(resolve, 300));
    };

    test.each([
      ['SET fsync = off', 'RESET fsync', 'set fsync = on'],
      ['SET full_page_writes = off', 'RESET full_page_writes', 'set full_page_writes = on'],
    ])('%s is refused', async (change, back, message) => {
      await set(change);
      try {
        await expect(open()).rejects.toThrow(message);
      } finally {
        await set(back);
      }
      await open();
    });

    test('synchronous_commit = off, of the server or of the role, is overruled', async () => {
      await set('SET synchronous_commit = off');
      await server.sql('ALTER ROLE portcullis SET synchronous_commit = off');
      const session = await Session.open(valueOf(storeUrl(url)), 'write');
      const rows = await session.query({ name: 'x', text: `SELECT current_setting('synchronous_commit') AS value` });
      expect(rows).toEqual([{ value: 'on' }]);
      session.close();
      await server.sql('ALTER ROLE portcullis RESET synchronous_commit');
      await set('RESET synchronous_commit');
    });

    test('a database in another encoding is refused', async () => {
      await server.sql(`CREATE DATABASE latin OWNER portcullis TEMPLATE template0 ENCODING 'LATIN1'`);
      await expect(open(server.url('latin'))).rejects.toThrow('ENCODING');
    });
  });

  describe('the tables', () => {
    test('are made once, though replicas start together on an empty database', async () => {
      const fresh = await server.database();
      const stores = await Promise.all([open(fresh), open(fresh), open(fresh)]);
      await initialise(stores[0]);
      for (const store of stores) await store.appendRecord('denial', {});
      expect(await entriesOf(stores[2])).toHaveLength(4);
    });

    test('are not made where they are only looked for, and say what to do', async () => {
      const target = valueOf(storeUrl(await server.database()));
      const opening = openPostgresStore({ target, create: false, clock: testClock() });
      await expect(opening).rejects.toThrow('run portcullis init');
    });

    test('of a newer version are refused by a replica that runs, and by one that starts; what was there stays', async () => {
      const fresh = await server.database();
      const store = await filled(fresh);
      const commit = await commitFor(store, 'a');
      const newer = [...MIGRATIONS, 'ALTER TABLE probe ADD COLUMN later text'];
      const session = await Session.open(valueOf(storeUrl(fresh)), 'write');
      await migrate(session, false, newer);
      session.close();
      for (const attempt of [() => store.commitRelease(commit), () => open(fresh)]) {
        await expect(attempt()).rejects.toThrow('upgrade this replica');
      }
      await expect(store.appendRecord('denial', {})).rejects.toThrow(StoreUnavailableError);
    });

    test('of schema 1 are brought up to date with every row as it was, though replicas start together', async () => {
      const url = await server.database();
      const target = valueOf(storeUrl(url));
      const session = await Session.open(target, 'write');
      await migrate(session, true, MIGRATIONS.slice(0, 1));
      for (const [table, row] of schemaOneRows()) {
        const columns = Object.keys(row);
        const text = `INSERT INTO portcullis.${table} (${columns.join(', ')}) VALUES (${columns.map((_, at) => `$${String(at + 1)}`).join(', ')})`;
        await session.execute({ name: `${table} ${columns.join()}`.slice(0, 60), text }, Object.values(row));
      }
      // What says which server the rows are on is the only row that another server cannot have.
      await writeServer(session, new RowMac(MAC_KEY));
      session.close();
      const stores = await Promise.all([open(url), open(url)]);
      await expectMigrated(stores[0]);
      await stores[1].appendRecord('denial', {});
      const again = await open(url);
      expect(await again.read((view) => view.attesters.ofEk(hash('ek')))).toHaveLength(1);
    });

    test('that cannot all be made are not made at all', async () => {
      const target = valueOf(storeUrl(await server.database()));
      const session = await Session.open(target, 'write');
      await expect(migrate(session, true, [...MIGRATIONS, 'CREATE TABLE broken (x nothing)'])).rejects.toThrow();
      await migrate(session, true);
      session.close();
    });
  });

  describe('another history of the server', () => {
    test('after a promotion nothing is written or released until it is accepted, with another epoch', async () => {
      const store = await filled();
      await store.change(async (change) => {
        await change.append('key.created', {});
        await change.keys.put(key('weights'));
        await change.tokens.put(token('a'));
      });
      const commit = await commitFor(store, 'a');
      await server.promote();
      for (const each of [store, await open()]) {
        const refused: readonly ((each: Store) => Promise<unknown>)[] = [
          (each) => each.commitRelease(commit),
          CALLS['record']!,
          CALLS['facts']!,
          CALLS['purge']!,
          CALLS['change']!,
          // It may have been revoked where the server was.
          (each) => each.read((view) => view.tokens.get(token('a').id)),
          (each) => each.change((change) => change.tokens.get(token('a').id)),
        ];
        for (const attempt of refused) {
          const error = await failure(() => attempt(each));
          expect(error).toBeInstanceOf(RolledBackError);
          expect(error.message).toContain('accept-rollback');
        }
        // It can be read all the same, or nobody could look into it.
        expect(await each.read((view) => view.keys.get('weights'))).toEqual(key('weights'));
        expect((await each.logHead()).size).toBe(2);
      }
      const signer = new CheckpointSigner('test-broker/fedcba9876543210', Buffer.alloc(32, 8));
      const accepting = await open();
      await accepting.change(async (change) => {
        await change.restartLog(signer);
        await change.raiseEpoch();
        await change.append('log.rollback_accepted', {});
      });
      expect(await accepting.commitRelease(commit)).toEqual({ outcome: 'changed' });
      expect(
        await accepting.commitRelease(await commitFor(accepting, 'b', { nonceIssuedAtMs: Date.now() + 9 })),
      ).toMatchObject({
        outcome: 'committed',
      });
      await expect(store.appendRecord('denial', {})).rejects.toThrow('another identity');
    }, 60_000);

    test('a row of the server that says another one is not believed', async () => {
      const store = await filled();
      await sql('UPDATE portcullis.server SET timeline = timeline + 1');
      await expect(store.appendRecord('denial', {})).rejects.toThrow(StoreIntegrityError);
      await expect(store.appendRecord('denial', {})).rejects.not.toThrow(RolledBackError);
    });
  });

  describe('TLS and passwords', () => {
    let folder: string;
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'portcullis-postgres-tls-'));
      writeFileSync(join(folder, 'ca.pem'), authority.cert);
      writeFileSync(join(folder, 'other.pem'), createAuthority('another authority').cert);
    });
    afterAll(() => rmSync(folder, { recursive: true }));

    test('verify-full reaches the server whose name its certificate has, and no other', async () => {
      await filled();
      const full = `sslmode=verify-full&sslrootcert=${folder}/ca.pem`;
      for (const host of ['localhost', '127.0.0.1']) {
        const store = await open(`${server.url(name(), host)}?${full}`);
        expect(await store.broker()).toBeDefined();
        const rows = await sql(
          `SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'portcullis' AND ssl`,
        );
        expect(rows.length).toBeGreaterThan(0);
        await store.close();
      }
      for (const [host, parameters] of [
        ['127.0.0.2', full],
        ['localhost', `sslmode=verify-full&sslrootcert=${folder}/other.pem`],
        ['localhost', 'sslmode=verify-full'],
        ['localhost', `sslmode=verify-full&sslrootcert=${folder}/missing.pem`],
      ] as const) {
        const error = await failure(() => open(`${server.url(name(), host)}?${parameters}`));
        expect(error).toBeInstanceOf(StoreUnavailableError);
      }
    });

    test('a wrong password is refused without being repeated; the password file has the right one, if it is private', async () => {
      const wrong = url.replace(STORE_PASSWORD, 'wrong-canary');
      const error = await failure(() => open(wrong));
      expect(error.message).toContain('PGPASSFILE');
      expect(`${error.message} ${String(error.cause)}`).not.toContain('wrong-canary');

      const file = join(folder, 'pgpass');
      writeFileSync(
        file,
        `# a comment\nelsewhere:*:*:*:no\n*:${String(server.port)}:*:portcullis:${STORE_PASSWORD}\n`,
        { mode: 0o600 },
      );
      const before = process.env['PGPASSFILE'];
      process.env['PGPASSFILE'] = file;
      try {
        const store = await open(url.replace(`:${STORE_PASSWORD}`, ''));
        await initialise(store);
        writeFileSync(join(folder, 'open'), '', { mode: 0o644 });
        process.env['PGPASSFILE'] = join(folder, 'open');
        await expect(open(url.replace(`:${STORE_PASSWORD}`, ''))).rejects.toThrow('chmod 600');
      } finally {
        if (before === undefined) delete process.env['PGPASSFILE'];
        else process.env['PGPASSFILE'] = before;
      }
    });
  });

  test('two stores spend one nonce at once: it happens once, round after round', async () => {
    const first = await filled();
    const stores = [first, await open()];
    for (let round = 0; round < 20; round++) {
      const commit = await commitFor(first, hash(String(round)));
      const outcomes = await Promise.all(stores.map((store) => store.commitRelease(commit)));
      expect(outcomes.map(({ outcome }) => outcome).sort()).toEqual(['committed', 'replayed']);
    }
  });
});

describe('a password file', () => {
  const target = { host: 'db', port: 5432, database: 'broker', user: 'pc' };
  test.each([
    ['db:5432:broker:pc:secret', 'secret'],
    ['*:*:*:*:any', 'any'],
    ['db:5433:broker:pc:no\ndb:*:broker:pc:se\\:cr\\\\et:x', 'se:cr\\et:x'],
    ['#db:5432:broker:pc:comment', undefined],
    ['db:5432:broker:other:no', undefined],
    ['db:5432:broker', undefined],
    ['', undefined],
  ])('%j', (text, expected) => {
    expect(findPassword(text, target)).toBe(expected);
  });

  test('finds the sockets of this machine as localhost', () => {
    expect(findPassword('localhost:5432:broker:pc:local', { ...target, host: '/run/postgresql' })).toBe('local');
  });
});
