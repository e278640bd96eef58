import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { loadConfig } from '../../src/config/config.js';
import { explainConfig } from '../../src/config/explain.js';
import { insecureStore, shownUrl, type StoreUrl, storeUrl } from '../../src/config/store-url.js';

function accepted(text: string): StoreUrl & { readonly secret: string | undefined } {
  const parsed = storeUrl(text);
  if (!parsed.ok) throw new Error(parsed.detail);
  return { ...parsed.value, secret: parsed.value.password() };
}

function refusal(text: string): string {
  const parsed = storeUrl(text);
  if (parsed.ok) throw new Error(`accepted: ${shownUrl(parsed.value)}`);
  return parsed.detail;
}

describe('the URL of a database', () => {
  test('has a user, a host, a port and a database, and perhaps a password', () => {
    expect(accepted('postgres://pc:p%40ss%3A%2F@127.0.0.1:5433/broker')).toMatchObject({
      host: '127.0.0.1',
      port: 5433,
      database: 'broker',
      user: 'pc',
      secret: 'p@ss:/',
      tls: undefined,
    });
    expect(accepted('postgresql://pc@localhost/broker')).toMatchObject({ port: 5432, secret: undefined });
    expect(accepted('postgres://pc@[::1]:5432/broker')).toMatchObject({ host: '::1', tls: undefined });
    expect(accepted('postgres://pc@/broker?host=/run/postgresql')).toMatchObject({
      host: '/run/postgresql',
      tls: undefined,
    });
  });

  test('demands TLS with the name of the server wherever it is another machine, unless it is said otherwise', () => {
    expect(accepted('postgres://pc@db.example/broker').tls).toEqual({});
    expect(accepted('postgres://pc@db.example/broker?sslmode=verify-full&sslrootcert=/etc/ca.pem').tls).toEqual({
      rootCert: '/etc/ca.pem',
    });
    expect(accepted('postgres://pc@db/broker?sslcert=/c.pem&sslkey=/c.key').tls).toEqual({
      cert: '/c.pem',
      key: '/c.key',
    });
    expect(accepted('postgres://pc@127.0.0.1/broker?sslmode=verify-full').tls).toEqual({});
    expect(accepted('postgres://pc@db.example/broker?sslmode=disable').tls).toBeUndefined();
  });

  test.each(['prefer', 'allow', 'require', 'verify-ca', 'no-verify', ''])(
    'sslmode=%s is refused, and says what to write',
    (mode) => {
      for (const host of ['db.example', '127.0.0.1']) {
        expect(refusal(`postgres://pc@${host}/broker?sslmode=${mode}`)).toContain(
          'sslmode=verify-full&sslrootcert=FILE',
        );
      }
    },
  );

  test.each([
    '',
    'mysql://pc@db/broker',
    'postgres://db/broker',
    'postgres://pc@db',
    'postgres://pc@db/',
    'postgres://pc@/broker',
    'postgres://pc@db/a/b',
    'postgres://pc@db:99999/broker',
    'postgres://pc@db/broker#x',
    'postgres://pc@db/bro ker',
    'postgres://pc:%ff@db/broker',
    'postgres://pc@db/broker?uselibpqcompat=true',
    'postgres://pc@db/broker?sslrootcert=ca.pem',
    'postgres://pc@db/broker?sslmode=disable&sslmode=verify-full',
    'postgres://pc@db/broker?sslmode=disable&sslrootcert=/ca.pem',
    'postgres://pc@db/broker?sslcert=/c.pem',
    'postgres://pc@db/broker?host=/run/postgresql',
    'postgres://pc@/broker?host=run/postgresql',
    'postgres://pc@/broker?host=/run/postgresql&sslmode=verify-full',
    `postgres://pc@db/${'x'.repeat(4096)}`,
  ])('%j is refused', (text) => {
    expect(refusal(text)).not.toContain('broker');
  });

  test('shows no password, however it is printed, and is the same when it is read again', () => {
    // A URL cannot name a database `.` or `..`: both are steps of its path.
    const part = fc
      .string({ minLength: 1, maxLength: 20 })
      .filter((text) => /^[\x20-\x7e]+$/.test(text) && !text.includes('/'))
      .filter((text) => !/^\.\.?$/.test(text));
    fc.assert(
      fc.property(part, part, fc.constantFrom('db.example', '127.0.0.1', '[::1]'), (user, database, host) => {
        const secret = 'hunter2-canary';
        const parsed = storeUrl(
          `postgres://${encodeURIComponent(user)}:${secret}@${host}/${encodeURIComponent(database)}`,
        );
        if (!parsed.ok) throw new Error(parsed.detail);
        const shown = shownUrl(parsed.value);
        expect(shown + JSON.stringify(parsed.value)).not.toContain(secret);
        expect(accepted(shown)).toMatchObject({ host: parsed.value.host, user, database });
      }),
    );
  });
});

describe('production', () => {
  test('reaches a database on another machine over TLS only, and says what to write', () => {
    const of = (text: string) => insecureStore(accepted(text));
    expect(of('postgres://pc@db.example/broker?sslmode=disable')).toContain('sslmode=verify-full&sslrootcert=FILE');
    for (const text of [
      'postgres://pc@db.example/broker',
      'postgres://pc@localhost/broker',
      'postgres://pc@/b?host=/run',
    ]) {
      expect(of(text)).toBeUndefined();
    }
    expect(insecureStore(undefined)).toBeUndefined();
    const flags = { data_dir: '/data', 'store.url': 'postgres://pc@db.example/broker?sslmode=disable' };
    expect(loadConfig({ env: {}, flags: { ...flags, profile: 'production' } })).toMatchObject({ ok: false });
    expect(loadConfig({ env: {}, flags: { ...flags, profile: 'development' } })).toMatchObject({ ok: true });
  });

  test('--check-config names the database, and not its password', () => {
    const env = { PORTCULLIS_STORE_URL: 'postgres://pc:hunter2@localhost/broker', PORTCULLIS_DATA_DIR: '/data' };
    const loaded = loadConfig({ env, flags: {} });
    if (!loaded.ok) throw new Error(loaded.errors.join());
    const lines = explainConfig(loaded.config, loaded.origins).join('\n');
    expect(lines).toContain('store.url: postgres://pc@localhost:5432/broker (environment)');
    expect(lines + JSON.stringify(loaded)).not.toContain('hunter2');
  });
});
