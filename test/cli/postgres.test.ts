import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { postgresAvailable, PostgresServer, STORE_PASSWORD } from '../helpers/postgres.js';
import { portcullis } from '../helpers/portcullis.js';

const suite = postgresAvailable() ? describe : describe.skip;

suite('the command, on PostgreSQL (skipped where it is not installed)', () => {
  let server: PostgresServer;
  let folder: string;
  let env: Record<string, string>;
  const at = (name: string) => join(folder, name);

  beforeAll(async () => {
    server = await PostgresServer.start();
  }, 60_000);
  afterAll(() => server.close(), 60_000);
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'portcullis-cli-postgres-'));
    env = { PORTCULLIS_STORE_URL: await server.database() };
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('init fills an empty database once; a second init says how a replica is added, and makes nothing', async () => {
    const made = await portcullis(['init', '--data-dir', at('first'), '--json'], env);
    expect(made.code).toBe(0);
    expect(existsSync(at('first/portcullis.db'))).toBe(false);
    const again = await portcullis(['init', '--data-dir', at('second')], env);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('copy kek.json');
    expect(again.stderr).not.toContain(STORE_PASSWORD);
    expect(existsSync(at('second'))).toBe(false);
  }, 60_000);

  test('doctor looks at the database of a replica that has a copy of the KEK file, and finds another KEK', async () => {
    expect((await portcullis(['init', '--data-dir', at('first')], env)).code).toBe(0);
    mkdirSync(at('second'), { mode: 0o700 });
    copyFileSync(at('first/kek.json'), at('second/kek.json'));
    const sound = await portcullis(['doctor', '--offline', '--data-dir', at('second')], env);
    expect(sound.stdout).toContain('synchronous_commit=on');
    expect(sound.stdout).toContain('each where it was appended');
    expect(sound.code).toBe(0);
    const other = { PORTCULLIS_STORE_URL: await server.database() };
    expect((await portcullis(['init', '--data-dir', at('other')], other)).code).toBe(0);
    const foreign = await portcullis(['doctor', '--offline', '--data-dir', at('other')], env);
    expect([foreign.code, foreign.stdout]).toEqual([1, expect.stringContaining('the KEK is not in')]);
    await server.stop();
    try {
      const gone = await portcullis(['doctor', '--offline', '--data-dir', at('second')], env);
      expect([gone.code, gone.stdout]).toEqual([1, expect.stringContaining('ECONNREFUSED')]);
      expect(gone.stdout + gone.stderr).not.toContain(STORE_PASSWORD);
    } finally {
      await server.start();
    }
  }, 60_000);

  test('log accept-rollback goes on after a promotion, with everything frozen and another log', async () => {
    expect((await portcullis(['init', '--data-dir', at('first')], env)).code).toBe(0);
    await server.promote();
    const args = ['log', 'accept-rollback', '--data-dir', at('first'), '--force', 'standby promoted', '--json'];
    const shown = await portcullis(args, env);
    expect([shown.code, JSON.parse(shown.stdout)]).toMatchObject([1, { accepted: false }]);
    const accepted = await portcullis([...args, '--yes'], env);
    expect(JSON.parse(accepted.stdout)).toMatchObject({ accepted: true, epoch: 2 });
    expect((await portcullis(['doctor', '--offline', '--data-dir', at('first')], env)).code).toBe(0);
  }, 60_000);

  test('a URL that leaves open who answers is wrong usage, and is not repeated', async () => {
    const store = 'postgres://portcullis:hunter2@db.example/portcullis?sslmode=';
    for (const mode of ['prefer', 'disable']) {
      const refused = await portcullis(['init', '--data-dir', at('first')], { PORTCULLIS_STORE_URL: store + mode });
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain('sslmode=verify-full&sslrootcert=FILE');
      expect(refused.stderr).not.toContain('hunter2');
    }
    expect(existsSync(at('first'))).toBe(false);
  });
});
