import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Store, StoreIntegrityError } from '../../src/release/store.js';
import { openPostgresStore } from '../../src/store/postgres/open.js';
import { MIGRATIONS } from '../../src/store/postgres/migrations.js';
import type { PostgresStore } from '../../src/store/postgres/options.js';
import { SchemaWatch } from '../../src/store/postgres/schema.js';
import { Session, type Statement } from '../../src/store/postgres/session.js';
import { testLogIdentity } from '../helpers/log-identity.js';
import { postgresAvailable } from '../helpers/postgres.js';
import { MAC_KEY, PostgresFixture } from './postgres-fixture.js';
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

/* What somebody can do who is a superuser of the database, and has no key of the broker. */

/** What node-a was enrolled with, all columns filled. */
const ENROLLED = {
  enrolments: [enrolment('llm-a', { spkiSha256: hash('ek a'), certificates: [Buffer.from('ek'), Buffer.from('ca')] })],
  quarantinedAtMs: NOW,
};

type Use = (store: Store) => Promise<unknown>;

const facts: Use = (store) =>
  store.releaseFacts({ deployment: 'llm-a', key: 'key-a', version: 'latest', akSpkiSha256: hash('node-a') });
const record: Use = (store) => store.appendRecord('denial', {});
/** Looks under the lock, as every write does, and changes nothing. */
const purge: Use = (store) => store.purgeNonces(0);

/** What reads the first row of a table, which is `…-a` (see `seed`). */
const USES: Readonly<Record<string, readonly Use[]>> = {
  broker: [(store) => store.broker()],
  state: [facts, (store) => store.read((view) => view.state()), purge],
  server: [facts, purge],
  deployments: [facts, (store) => store.read((view) => view.deployments.list({ limit: 9 }))],
  policies: [
    (store) => store.read((view) => view.policies.get(hash('a'))),
    (store) => store.read((view) => view.policies.list({ limit: 9 })),
  ],
  policy_links: [facts, (store) => store.read((view) => view.policyLinks.of('llm-a'))],
  keys: [facts, (store) => store.change((change) => change.keys.get('key-a'))],
  key_versions: [facts, (store) => store.read((view) => view.keyVersions.of('key-a'))],
  attesters: [
    facts,
    (store) => store.read((view) => view.attesters.get('node-a')),
    (store) => store.read((view) => view.attesters.ofEk(hash('ek a'))),
  ],
  tokens: [(store) => store.read((view) => view.tokens.get(token('a').id))],
  revocations: [facts, (store) => store.read((view) => view.revocations.all())],
  freezes: [facts, (store) => store.read((view) => view.freezes.has('key/key-a'))],
  log_head: [(store) => store.logHead(), (store) => store.logEntries(0, 1)],
};

/** Tables whose rows carry no MAC, and why; those of the log are tested below. */
const UNAUTHENTICATED: Readonly<Record<string, string>> = {
  spent_nonces:
    'an inserted nonce can only deny; a deleted one serves the same key to the same recipient key while it is fresh',
  evidence_archive: 'each row is sealed for its release',
  log_entries: 'the tree authenticates them',
  log_nodes: 'the tree authenticates them',
  removals: 'a hint: what it gives is held against the state row',
  migrations: 'a greater version makes the program refuse',
  probe: 'decides nothing',
  sightings: 'decides nothing: an administrator compares the SPKI hash of what is trusted',
};

const ROWS: Readonly<Record<string, string>> = {
  deployments: `name = 'llm-a'`,
  policies: `sha256 = '${hash('a')}'`,
  policy_links: `deployment = 'llm-a'`,
  keys: `name = 'key-a'`,
  key_versions: 'sequence = 3',
  attesters: `name = 'node-a'`,
  tokens: `id = '${token('a').id}'`,
  revocations: `id = '${hash('node-a')}'`,
  freezes: `id = 'key/key-a'`,
};

async function seed(store: Store): Promise<void> {
  await initialise(store);
  for (const [each, at] of [
    ['a', 3],
    ['b', 7],
  ] as const) {
    await store.change(async (change) => {
      await change.append('seed', {});
      await change.deployments.put(deployment(`llm-${each}`, NOW + at));
      await change.policies.put(policy(each));
      await change.policyLinks.put(
        link(`llm-${each}`, each, { sha384: 'ab'.repeat(48), notBeforeMs: at, notAfterMs: NOW + at }),
      );
      await change.keys.put(key(`key-${each}`, { purgeAtMs: NOW + at, curve: 'none' }));
      await change.keyVersions.put(version(`key-${each}`, at, { purgeAtMs: NOW + at }));
      await change.attesters.put(attester(`node-${each}`, each === 'a' ? ENROLLED : {}));
      await change.tokens.put(token(each, { expiresAtMs: NOW + at, revokedAtMs: NOW + at }));
      await change.revocations.add(hash(`node-${each}`));
      await change.freezes.add(`key/key-${each}`);
    });
  }
}

const suite = postgresAvailable() ? describe : describe.skip;

suite('PostgreSQL: somebody who writes the database with SQL (skipped where it is not installed)', () => {
  let fixture: PostgresFixture;
  let running: PostgresStore;
  const sql = (text: string, values: readonly unknown[] = []) => fixture.sql(text, values);
  const tables = [...Object.keys(USES), 'log_entries', 'log_nodes', 'spent_nonces', 'removals'];

  /** As at the start of a process, with connections of its own. */
  async function open(): Promise<PostgresStore> {
    const store = await openPostgresStore({ target: fixture.target, create: true, clock: testClock() });
    store.authenticate(MAC_KEY, testLogIdentity());
    return store;
  }

  beforeAll(async () => {
    fixture = await PostgresFixture.start();
    const store = fixture.store();
    await seed(store);
    await Promise.all(Array.from({ length: 300 }, (_, at) => store.appendRecord('denial', { at })));
    await store.close();
    for (const table of tables) await sql(`CREATE TABLE public.kept_${table} AS SELECT * FROM portcullis.${table}`);
  }, 60_000);

  afterAll(() => fixture.close(), 60_000);

  beforeEach(async () => {
    running = fixture.store();
    await running.verify();
  });

  afterEach(async () => {
    await running.close();
    await putBack();
  });

  async function putBack(changed: readonly string[] = tables): Promise<void> {
    const steps = changed.map((table) => {
      const how = table === 'removals' ? 'OVERRIDING SYSTEM VALUE ' : '';
      return `DELETE FROM portcullis.${table}; INSERT INTO portcullis.${table} ${how}SELECT * FROM public.kept_${table};`;
    });
    await sql(steps.join(' '));
  }

  /** The use of a row fails: in a process that has read it before, and in one that starts afterwards. */
  async function expectNoticed(uses: readonly Use[], text: string, later: 'too' | 'not' = 'too'): Promise<void> {
    await sql(text);
    for (const use of uses) await expect(use(running)).rejects.toThrow(StoreIntegrityError);
    if (later === 'too') await expectNoticedLater(uses);
  }

  async function expectNoticedLater(uses: readonly Use[]): Promise<void> {
    const later = fixture.store();
    for (const use of uses) {
      const start = async () => {
        await later.verify();
        return use(later);
      };
      await expect(start()).rejects.toThrow(StoreIntegrityError);
    }
    await later.close();
  }

  async function columnsOf(table: string) {
    const rows = await sql(
      `SELECT column_name AS name, data_type AS type, is_nullable = 'YES' AS nullable FROM information_schema.columns
       WHERE table_schema = 'portcullis' AND table_name = $1 ORDER BY ordinal_position`,
      [table],
    );
    return rows as unknown as { readonly name: string; readonly type: string; readonly nullable: boolean }[];
  }

  test('the tables are all tested here, or are listed with a reason', async () => {
    const found = await sql(`SELECT tablename FROM pg_tables WHERE schemaname = 'portcullis'`);
    const expected = [...Object.keys(USES), ...Object.keys(UNAUTHENTICATED)].sort();
    expect(found.map(({ tablename }) => tablename).sort()).toEqual(expected);
  });

  test.each(Object.keys(USES))(
    '%s: any other value in any column is noticed',
    async (table) => {
      const where = ROWS[table] ?? 'id = 1';
      for (const use of USES[table]!) await use(running);
      for (const { name: column, type, nullable } of await columnsOf(table)) {
        if (column === 'id' && type === 'integer') continue;
        const others = {
          text: [`"${column}" || 'x'`, `''`, `upper("${column}") || lower("${column}")`],
          bytea: [
            `"${column}" || '\\x00'`,
            `substr("${column}", 2)`,
            `set_byte("${column}", 0, 255 - get_byte("${column}", 0))`,
          ],
        }[type] ?? [`"${column}" + 1`, `"${column}" - 1`];
        for (const value of nullable ? [...others, 'NULL'] : others) {
          await expectNoticed(USES[table]!, `UPDATE portcullis.${table} SET "${column}" = ${value} WHERE ${where}`);
          await putBack([table]);
          for (const use of USES[table]!) await use(running);
        }
      }
    },
    120_000,
  );

  test.each(Object.keys(USES))('%s: a row that was deleted is noticed', async (table) => {
    await expectNoticed(USES[table]!, `DELETE FROM portcullis.${table} WHERE ${ROWS[table] ?? 'id = 1'}`);
  });

  test.each(Object.keys(ROWS))(
    '%s: an older version of a row, put back with its own MAC, is noticed',
    async (table) => {
      await running.change(async (change) => {
        await change.append('again', {});
        await change.deployments.put(deployment('llm-a', NOW + 9));
        await change.policies.put({ sha256: hash('a'), createdAtMs: NOW });
        await change.policyLinks.put(link('llm-a', 'a', { notAfterMs: NOW - 1 }));
        await change.keys.put(key('key-a', { state: 'disabled' }));
        await change.keyVersions.put(version('key-a', 3, { state: 'disabled' }));
        await change.attesters.put(attester('node-a', { ...ENROLLED, deployments: [] }));
        await change.tokens.put(token('a', { role: 'auditor' }));
        await change.revocations.delete(hash('node-a'));
        await change.freezes.delete('key/key-a');
      });
      for (const use of USES[table]!) await use(running);
      await expectNoticed(
        USES[table]!,
        `DELETE FROM portcullis.${table} WHERE ${ROWS[table]!}; INSERT INTO portcullis.${table} SELECT * FROM public.kept_${table} WHERE ${ROWS[table]!}`,
      );
    },
  );

  test('rows from a broker with another key are noticed, and its state is not accepted', async () => {
    const other = fixture.store({ macKey: Buffer.alloc(32, 8) });
    await expect(other.verify()).rejects.toThrow(StoreIntegrityError);
    await expect(facts(other)).rejects.toThrow(StoreIntegrityError);
    await expect(other.change((change) => change.setBroker(brokerRecord()))).rejects.toThrow(StoreIntegrityError);
    await other.close();
  });

  test('an EK that SQL gives to an attester without one, or takes from one, is noticed', async () => {
    const ofEk = (ek: string) => (store: Store) => store.read((view) => view.attesters.ofEk(hash(ek)));
    const set = (name: string, ek: string) =>
      `UPDATE portcullis.attesters SET ek_spki_sha256 = ${ek} WHERE name = '${name}'`;
    await expectNoticed([ofEk('ek a')], set('node-b', `'${hash('ek a')}'`));
    await putBack(['attesters']);
    await expectNoticed([ofEk('another')], set('node-b', `'${hash('another')}'`));
    for (const ek of ['NULL', `''`, `'${hash('ek a')} '`]) {
      await putBack(['attesters']);
      await expectNoticed([ofEk('ek a')], set('node-a', ek));
    }
  });

  test('an identity that SQL revokes, or whose revocation it deletes, is noticed by the release that it decides', async () => {
    const identity = `ek/${hash('ek a')}`;
    const decided = (revoked: string): Use => {
      const query = { deployment: 'llm-a', key: 'key-a', version: 'latest', akSpkiSha256: undefined };
      return (store) => store.releaseFacts({ ...query, identities: [`ca/${hash('ca')}`, revoked] });
    };
    await expectNoticed(
      [decided(identity)],
      `INSERT INTO portcullis.revocations SELECT '${identity}', log_index, mac FROM portcullis.revocations LIMIT 1`,
    );
    await putBack();
    const gone = `DELETE FROM portcullis.revocations WHERE id = '${hash('node-b')}'`;
    await expectNoticed([decided(hash('node-b'))], gone);
  });

  test('inserted revocations and freezes, and an emptied set, are noticed', async () => {
    const copied = (table: string, id: string) =>
      `INSERT INTO portcullis.${table} SELECT '${id}', log_index, mac FROM portcullis.${table} LIMIT 1`;
    await expectNoticed([facts], copied('freezes', 'deployment/llm-a'));
    await putBack();
    await expectNoticed([(store) => store.read((view) => view.revocations.all())], copied('revocations', hash('x')));
    await putBack();
    await expectNoticed([facts], 'DELETE FROM portcullis.revocations; DELETE FROM portcullis.freezes');
  });

  test('a state that goes back in one piece is noticed by the running process, and by the log at the next start', async () => {
    await running.change(async (change) => {
      await change.append('attester.revoked', {});
      await change.revocations.add(hash('node-c'));
    });
    await sql(
      Object.keys(USES)
        .filter((table) => table !== 'log_head')
        .map(
          (table) =>
            `DELETE FROM portcullis.${table}; INSERT INTO portcullis.${table} SELECT * FROM public.kept_${table};`,
        )
        .join(' '),
    );
    await expect(facts(running)).rejects.toThrow(StoreIntegrityError);
    await expect(record(running)).rejects.toThrow(StoreIntegrityError);
    const later = await open();
    await expect(later.verify()).rejects.toThrow('behind the log');
    await later.close();
  });

  test('a store in use cannot be started anew', async () => {
    await sql('DELETE FROM portcullis.state; DELETE FROM portcullis.broker; DELETE FROM portcullis.log_head');
    const store = await open();
    await expect(store.verify()).rejects.toThrow(StoreIntegrityError);
    await expect(initialise(store)).rejects.toThrow(StoreIntegrityError);
    await store.close();
  });

  test('nothing is committed where the state is not authentic, though the facts were read before', async () => {
    const commit = await commitFor(running, 'a');
    await sql('UPDATE portcullis.state SET nonce_floor_ms = 0, epoch = epoch + 1');
    await expect(running.commitRelease({ ...commit, epoch: commit.epoch + 1 })).rejects.toThrow(StoreIntegrityError);
    await expect(record(running)).rejects.toThrow(StoreIntegrityError);
    expect(await sql('SELECT nonce FROM portcullis.spent_nonces')).toEqual([]);
  });

  const readEverything: Use = async (store) => {
    const { size } = await store.logHead();
    await store.logEntries(0, size);
    for (const level of [0, 1]) await store.logHashes(level, 0, size);
    await store.read((view) => view.entries({ limit: 1000 }));
  };

  test.each([
    [
      'an entry altered',
      `UPDATE portcullis.log_entries SET entry = replace(entry, '"at":5', '"at":6') WHERE log_index = 8`,
    ],
    [
      'a leaf hash altered',
      `UPDATE portcullis.log_entries SET leaf_hash = set_byte(leaf_hash, 0, 255 - get_byte(leaf_hash, 0)) WHERE log_index = 8`,
    ],
    ['an entry in the middle removed', 'DELETE FROM portcullis.log_entries WHERE log_index = 100'],
    [
      'the newest entry removed',
      'DELETE FROM portcullis.log_entries WHERE log_index = (SELECT max(log_index) FROM portcullis.log_entries)',
    ],
    [
      'an entry added',
      `INSERT INTO portcullis.log_entries SELECT log_index + 1, entry, leaf_hash FROM portcullis.log_entries ORDER BY log_index DESC LIMIT 1`,
    ],
    ['a node removed', 'DELETE FROM portcullis.log_nodes'],
    [
      'a node added where the log has not got to',
      'INSERT INTO portcullis.log_nodes SELECT level, node_index + 1, hash FROM portcullis.log_nodes',
    ],
    [
      'all of it removed',
      'DELETE FROM portcullis.log_entries; DELETE FROM portcullis.log_nodes; DELETE FROM portcullis.log_head',
    ],
  ])('the log with %s is refused to whoever reads it', async (_, text) => {
    await expectNoticed([readEverything], text);
  });

  test('a log that is cut back to an older head, which is genuine, is noticed by the process that runs', async () => {
    await record(running);
    await sql(
      `DELETE FROM portcullis.log_head; INSERT INTO portcullis.log_head SELECT * FROM public.kept_log_head;
       DELETE FROM portcullis.log_entries WHERE log_index >= (SELECT size FROM portcullis.log_head)`,
    );
    await expect(record(running)).rejects.toThrow('older than one that this process has seen');
    await expect(running.logHead()).rejects.toThrow(StoreIntegrityError);
  });

  describe('the schema', () => {
    const FORGET = `CREATE FUNCTION public.forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';`;
    const changes: Readonly<Record<string, readonly [string, string]>> = {
      'a trigger that drops spent nonces': [
        `${FORGET} CREATE TRIGGER forget BEFORE INSERT ON portcullis.spent_nonces FOR EACH ROW EXECUTE FUNCTION public.forget()`,
        'DROP TRIGGER forget ON portcullis.spent_nonces; DROP FUNCTION public.forget',
      ],
      'a rule that drops them': [
        'CREATE RULE forget AS ON INSERT TO portcullis.spent_nonces DO INSTEAD NOTHING',
        'DROP RULE forget ON portcullis.spent_nonces',
      ],
      'a view in the place of a table': [
        'ALTER TABLE portcullis.spent_nonces RENAME TO aside; CREATE VIEW portcullis.spent_nonces AS SELECT * FROM portcullis.aside WHERE false; ALTER VIEW portcullis.spent_nonces OWNER TO portcullis',
        'DROP VIEW portcullis.spent_nonces; ALTER TABLE portcullis.aside RENAME TO spent_nonces',
      ],
      'a policy that hides rows': [
        'ALTER TABLE portcullis.spent_nonces ENABLE ROW LEVEL SECURITY; ALTER TABLE portcullis.spent_nonces FORCE ROW LEVEL SECURITY',
        'ALTER TABLE portcullis.spent_nonces DISABLE ROW LEVEL SECURITY; ALTER TABLE portcullis.spent_nonces NO FORCE ROW LEVEL SECURITY',
      ],
      'a table that a crash empties': [
        'ALTER TABLE portcullis.spent_nonces SET UNLOGGED',
        'ALTER TABLE portcullis.spent_nonces SET LOGGED',
      ],
      'a further column': [
        'ALTER TABLE portcullis.probe ADD COLUMN extra text',
        'ALTER TABLE portcullis.probe DROP COLUMN extra',
      ],
      'a default': [
        'ALTER TABLE portcullis.spent_nonces ALTER COLUMN issued_at_ms SET DEFAULT 0',
        'ALTER TABLE portcullis.spent_nonces ALTER COLUMN issued_at_ms DROP DEFAULT',
      ],
      'a column that may be empty': [
        'ALTER TABLE portcullis.spent_nonces ALTER COLUMN issued_at_ms DROP NOT NULL',
        'ALTER TABLE portcullis.spent_nonces ALTER COLUMN issued_at_ms SET NOT NULL',
      ],
      'another name of a column': [
        'ALTER TABLE portcullis.removals RENAME COLUMN place TO spot',
        'ALTER TABLE portcullis.removals RENAME COLUMN spot TO place',
      ],
      'a collation that has the name of ours': [
        'CREATE COLLATION portcullis."C" FROM pg_catalog."C"; ALTER TABLE portcullis.freezes ALTER COLUMN id TYPE text COLLATE portcullis."C"',
        'ALTER TABLE portcullis.freezes ALTER COLUMN id TYPE text COLLATE pg_catalog."C"; DROP COLLATION portcullis."C"',
      ],
      'a function': [
        `CREATE FUNCTION portcullis.lower(portcullis.keys) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'`,
        'DROP FUNCTION portcullis.lower(portcullis.keys)',
      ],
      'an operator': [
        'CREATE OPERATOR portcullis.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_catalog.textne)',
        'DROP OPERATOR portcullis.= (text, text)',
      ],
      'a table that inherits': [
        'CREATE TABLE public.heir () INHERITS (portcullis.spent_nonces)',
        'DROP TABLE public.heir',
      ],
      'a key that is none any more': [
        'ALTER TABLE portcullis.spent_nonces DROP CONSTRAINT spent_nonces_pkey',
        'ALTER TABLE portcullis.spent_nonces ADD PRIMARY KEY (nonce)',
      ],
    };

    // Their statements were planned for other tables.
    afterEach(() => fixture.hangUp());

    test.each(Object.keys(changes))('with %s is refused, while running and at the next start', async (what) => {
      const [change, back] = changes[what]!;
      await record(running);
      // Twice: what the first change leaves behind in the catalogs must not hide the second.
      for (const seed of ['a', 'b']) {
        const commit = await commitFor(running, seed);
        await sql(change);
        try {
          await expect(running.commitRelease(commit)).rejects.toThrow(/not (?:what|those that) portcullis made/);
          await expect(open()).rejects.toThrow(/not (?:what|those that) portcullis made/);
        } finally {
          await sql(back);
        }
        expect(await running.commitRelease(commit)).toMatchObject({ outcome: 'committed' });
      }
    });

    test('with the same trigger again, after one that went unseen, is refused', async () => {
      const trigger =
        'CREATE TRIGGER forget BEFORE INSERT ON portcullis.spent_nonces FOR EACH ROW EXECUTE FUNCTION public.forget()';
      const drop = 'DROP TRIGGER forget ON portcullis.spent_nonces';
      await sql(`${FORGET} ${trigger}; ${drop}`);
      try {
        const commit = await commitFor(running, 'a');
        expect(await running.commitRelease(await commitFor(running, 'b'))).toMatchObject({ outcome: 'committed' });
        await sql(trigger);
        await expect(running.commitRelease(commit)).rejects.toThrow('not what portcullis made: trigger');
        await sql(drop);
        expect(await running.commitRelease(commit)).toMatchObject({ outcome: 'committed' });
        expect(await running.commitRelease(commit)).toEqual({ outcome: 'replayed' });
      } finally {
        await sql('DROP FUNCTION public.forget CASCADE');
      }
    });

    test('with a function for the very type that is asked for gives no other answer', async () => {
      const query = { deployment: 'llm-a', key: 'key-a', version: 'latest', akSpkiSha256: hash('node-a') };
      const before = await running.releaseFacts(query);
      await sql(
        `SET ROLE portcullis;
         CREATE FUNCTION portcullis.others(found json, portcullis.policy_links) RETURNS json LANGUAGE sql AS
           $$ SELECT json_agg(row_to_json(l)) FROM (SELECT * FROM portcullis.policy_links WHERE deployment = 'llm-b') l $$;
         CREATE AGGREGATE portcullis.json_agg(portcullis.policy_links) (SFUNC = portcullis.others, STYPE = json);
         CREATE FUNCTION portcullis.row_to_json(portcullis.keys) RETURNS json LANGUAGE sql AS 'SELECT NULL::json';
         ANALYZE portcullis.policy_links; ANALYZE portcullis.keys; RESET ROLE`,
      );
      try {
        expect(await running.releaseFacts(query)).toEqual(before);
        await expect(record(running)).rejects.toThrow('not what portcullis made');
        await expect(open()).rejects.toThrow('not what portcullis made');
      } finally {
        await sql(
          `DROP AGGREGATE portcullis.json_agg(portcullis.policy_links);
           DROP FUNCTION portcullis.others, portcullis.row_to_json(portcullis.keys)`,
        );
      }
    });

    test('is found out before a transaction, which it would end', async () => {
      const session = await Session.open(fixture.target, 'write');
      const schema = new SchemaWatch([...MIGRATIONS]);
      await session.command('BEGIN');
      await expect(schema.assertUnchanged(session, 'of nothing')).rejects.toThrow('not verified when');
      const now: Statement = { name: 'now', text: 'SELECT now() = statement_timestamp() AS alone' };
      expect(await session.query(now)).toEqual([{ alone: false }]);
      session.close();
    });
  });
});
