import { StoreIntegrityError, StoreUnavailableError } from '../../release/store.js';
import type { Session } from './session.js';

/** The schema that holds the tables; the database may hold other ones, which nothing here looks at. */
export const SCHEMA = 'portcullis';

/** A catalog, what names a row of it, and which of its rows say what our tables are, or what is beside them. */
const WATCHED: readonly (readonly [catalog: string, id: string, condition: string])[] = [
  ['pg_class', 'oid', `relnamespace = to_regnamespace('${SCHEMA}')`],
  // Whatever is made in the schema, of every kind, is entered here: of functions and operators there are too many to look for.
  [
    'pg_depend',
    `classid || '.' || objid`,
    `refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace('${SCHEMA}')`,
  ],
  ['pg_attribute', `attrelid || '.' || attnum`, 'attrelid = ANY((SELECT oids FROM tables)::oid[]) AND attnum > 0'],
  ['pg_attrdef', 'oid', 'adrelid = ANY((SELECT oids FROM tables)::oid[])'],
  ['pg_constraint', 'oid', 'conrelid = ANY((SELECT oids FROM tables)::oid[])'],
  ['pg_index', 'indexrelid', 'indrelid = ANY((SELECT oids FROM tables)::oid[])'],
  ['pg_trigger', 'oid', 'tgrelid = ANY((SELECT oids FROM tables)::oid[])'],
  ['pg_rewrite', 'oid', 'ev_class = ANY((SELECT oids FROM tables)::oid[])'],
  ['pg_policy', 'oid', 'polrelid = ANY((SELECT oids FROM tables)::oid[])'],
  ['pg_inherits', `inhrelid || '.' || inhparent`, 'inhparent = ANY((SELECT oids FROM tables)::oid[])'],
  ['pg_inherits', `inhrelid || '.' || inhparent`, 'inhrelid = ANY((SELECT oids FROM tables)::oid[])'],
  ['pg_cast', 'oid', 'oid >= 16384'],
];

/**
 * Changes with every change of a table of ours, and of everything that DESCRIBE looks at: the rows of the catalogs that say
 * it, each with the transaction that has written it. pg_class alone would not do: the second trigger that a table ever gets
 * leaves its row there as it is. Statistics change a row in its place. An expression that costs about a millisecond, so that
 * every transaction that writes can ask.
 */
export const FINGERPRINT = `(WITH tables AS MATERIALIZED (SELECT array_agg(oid) AS oids FROM pg_class
    WHERE relnamespace = to_regnamespace('${SCHEMA}') AND relkind <> 'i')
  SELECT encode(sha256(convert_to(concat_ws(';', ${WATCHED.map(
    ([catalog, id, condition]) =>
      `(SELECT '${catalog}=' || string_agg(${id} || ':' || xmin, ',' ORDER BY ctid) FROM ${catalog} WHERE ${condition})`,
  ).join(', ')}), 'UTF8')), 'hex'))`;

/**
 * Everything that could act on what is written or read: $1 is the schema, $2 the persistence that its tables must have. Of
 * each object its kind, its name, and a text that says all that matters of it.
 */
const DESCRIBE = `
WITH ours AS (SELECT * FROM pg_class WHERE relnamespace = to_regnamespace($1))
SELECT 'table' AS kind, c.relname::text AS name, concat_ws(' ', c.relkind, c.relpersistence = $2, am.amname,
    c.relrowsecurity, c.relforcerowsecurity, c.relispartition, c.reloptions::text) AS what
  FROM ours c LEFT JOIN pg_am am ON am.oid = c.relam
UNION ALL
SELECT 'column', c.relname || '.' || a.attname, concat_ws(' ', a.attnum, format_type(a.atttypid, a.atttypmod),
    a.attnotnull, co.collnamespace::regnamespace || '.' || co.collname, a.attgenerated, a.attidentity, pg_get_expr(d.adbin, d.adrelid))
  FROM ours c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_collation co ON co.oid = a.attcollation
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE c.relkind <> 'i'
UNION ALL
SELECT 'constraint', c.relname || '.' || k.conname, concat_ws(' ', k.contype, k.convalidated, pg_get_constraintdef(k.oid))
  FROM ours c JOIN pg_constraint k ON k.conrelid = c.oid
UNION ALL
SELECT 'index', c.relname::text, concat_ws(' ', i.indisvalid, i.indisready, i.indislive,
    regexp_replace(pg_get_indexdef(i.indexrelid), ' ON (ONLY )?[a-z0-9_]+[.]', ' ON '))
  FROM ours c JOIN pg_index i ON i.indexrelid = c.oid
UNION ALL
SELECT 'trigger', c.relname || '.' || t.tgname, pg_get_triggerdef(t.oid) FROM ours c JOIN pg_trigger t ON t.tgrelid = c.oid
UNION ALL
SELECT 'rule', c.relname || '.' || r.rulename, '' FROM ours c JOIN pg_rewrite r ON r.ev_class = c.oid
UNION ALL
SELECT 'policy', c.relname || '.' || p.polname, '' FROM ours c JOIN pg_policy p ON p.polrelid = c.oid
UNION ALL
SELECT 'inheritance', c.relname::text, '' FROM ours c JOIN pg_inherits i ON c.oid IN (i.inhrelid, i.inhparent)
UNION ALL
SELECT 'function', p.proname::text, '' FROM pg_proc p WHERE p.pronamespace = to_regnamespace($1)
UNION ALL
SELECT 'operator', o.oprname::text, '' FROM pg_operator o WHERE o.oprnamespace = to_regnamespace($1)
UNION ALL
SELECT 'type', t.typname::text, '' FROM pg_type t
  WHERE t.typnamespace = to_regnamespace($1) AND t.typtype <> 'c' AND t.typelem = 0
UNION ALL
SELECT 'cast', format_type(castsource, NULL) || ' to ' || format_type(casttarget, NULL), ''
  FROM pg_cast WHERE oid >= 16384`;

/** Refuses tables that a newer version has migrated; returns the version, 0 where there are none. */
export async function assertKnown(session: Session, migrations: readonly string[]): Promise<number> {
  const [there] = await session.query({
    name: 'has_migrations',
    // As the statement's snapshot has it: to_regclass() may not have heard yet of what another replica has just committed.
    text: `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = '${SCHEMA}' AND c.relname = 'migrations') AS there`,
  });
  if (there?.['there'] !== true) return 0;
  const text = `SELECT max(version) AS version FROM ${SCHEMA}.migrations`;
  const version = Number((await session.query({ name: 'version', text }))[0]?.['version'] ?? 0);
  if (version <= migrations.length) return version;
  throw new StoreUnavailableError(
    `the database has schema version ${String(version)}, this program knows ${String(migrations.length)}: a newer portcullis ` +
      'has migrated it; upgrade this replica, or restore a backup made before the upgrade',
  );
}

/** What migrations make: the same in every database of one server, so it is found out once. */
const EXPECTED = new WeakMap<readonly string[], ReadonlySet<string>>();

/** What this process knows of the tables: their fingerprint when they were last looked at, and what they must be. */
export class SchemaWatch {
  readonly #migrations: readonly string[];
  #verified: string | undefined;

  /** `migrations`: the texts that make the tables, in order. */
  constructor(migrations: readonly string[]) {
    this.#migrations = migrations;
  }

  /**
   * In a transaction that holds the lock: looks at the tables again where their fingerprint is another one. `verify` has
   * found out before what they must be, since that ends the transaction that it is done in.
   */
  async assertUnchanged(session: Session, fingerprint: string): Promise<void> {
    if (fingerprint === this.#verified) return;
    if (!EXPECTED.has(this.#migrations)) throw new Error('the tables were not verified when the store was opened');
    await this.verify(session);
    this.#verified = fingerprint;
  }

  /**
   * Demands the tables that the migrations make, to the letter, and nothing beside them: a trigger that drops spent nonces, a
   * rule that hides rows, or a view in the place of a table would act outside of every row's authentication. The first time
   * in a process it must be called outside of a transaction. Throws StoreIntegrityError; StoreUnavailableError for the tables
   * of a newer version.
   */
  async verify(session: Session): Promise<void> {
    await assertKnown(session, this.#migrations);
    const found = await describe(session, SCHEMA, 'p');
    const expected = EXPECTED.get(this.#migrations) ?? (await describeExpected(session, this.#migrations));
    EXPECTED.set(this.#migrations, expected);
    const different = [...found].filter((each) => !expected.has(each));
    different.push(...[...expected].filter((each) => !found.has(each)));
    if (different.length === 0) return;
    const names = new Set(different.map((each) => (JSON.parse(each) as string[]).slice(0, 2).join(' ')));
    throw new StoreIntegrityError(`schema ${SCHEMA}: not what portcullis made: ${[...names].join(', ').slice(0, 200)}`);
  }
}

/** Makes the tables as temporary ones, looks at them, and takes it all back. */
async function describeExpected(session: Session, migrations: readonly string[]): Promise<ReadonlySet<string>> {
  await session.command('BEGIN');
  try {
    await session.command('CREATE TEMPORARY TABLE first_of_its_kind (); DROP TABLE first_of_its_kind');
    await session.command('SET LOCAL search_path = pg_temp');
    for (const text of migrations) await session.command(text);
    const [row] = await session.query({
      name: 'own_temp',
      text: 'SELECT pg_my_temp_schema()::regnamespace::text AS name',
    });
    await session.command('SET LOCAL search_path = pg_catalog, pg_temp');
    return await describe(session, String(row?.['name']), 't');
  } finally {
    await session.command('ROLLBACK');
  }
}

async function describe(session: Session, schema: string, persistence: 'p' | 't'): Promise<ReadonlySet<string>> {
  const rows = await session.query({ name: 'describe', text: DESCRIBE }, [schema, persistence]);
  return new Set(rows.map(({ kind, name, what }) => JSON.stringify([kind, name, what])));
}
