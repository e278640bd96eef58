import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  authorityKeys,
  type AuthorityKeysOptions,
  type FetchedAuthorityKeys,
} from '../../src/collateral/authority-keys.js';
import type { AuthoritySettings } from '../../src/collateral/authority-settings.js';
import { withoutWaiting } from '../../src/evidence/authority/authority-keys.js';
import { verifyTokens } from '../../src/evidence/authority/verify.js';
import { AT_MS, KEYS, NONCE, token } from '../evidence/authority/tokens.js';
import { AuthorityServer, CERTS, DISCOVERY, jwkOf } from './authority-server.js';

let server: AuthorityServer;
let opened: FetchedAuthorityKeys[] = [];
let nowMs = 0;
let failures: string[] = [];

beforeEach(async () => {
  server = await AuthorityServer.start();
  server.serve([jwkOf(KEYS.p384, { kid: 'k' })]);
  nowMs = 1_000_000;
  failures = [];
});
afterEach(async () => {
  for (const keys of opened) await keys.close();
  opened = [];
  await server.close();
});

function open(change: Partial<AuthoritySettings> = {}, options: AuthorityKeysOptions = {}) {
  const settings = { issuer: server.origin, ca: server.caFile, ...change };
  const keys = authorityKeys([settings], {
    nowMs: () => nowMs,
    onFailure: (_issuer, error) => failures.push(error.message),
    ...options,
  });
  opened.push(keys);
  const authority = keys.authorityOf(settings.issuer)!;
  /** How many keys, or the reason why none can be had. */
  const count = async (kid: string | undefined = 'k') => {
    const found = await keys.keys(authority, kid);
    return found.ok ? found.value.length : found.reason;
  };
  return { keys, authority, count };
}

describe('the keys of an authority', () => {
  test('are found by discovery, when they are first asked for', async () => {
    const { count } = open();
    expect(server.requests).toEqual([]);
    expect(await count()).toBe(1);
    expect(server.requests).toEqual([DISCOVERY, CERTS]);
    expect(await count()).toBe(1);
    expect(await count(undefined)).toBe(1);
    expect(server.requests).toHaveLength(2);
  });

  test('are told as far as they are at hand, without asking anybody', async () => {
    const { keys, authority, count } = open();
    const hurried = withoutWaiting(keys);
    expect(keys.keysAtHand(authority, 'k')).toEqual([]);
    expect(server.requests).toEqual([]);
    // Who cannot wait has them fetched for the next time.
    expect(await hurried.keys(authority, 'k')).toMatchObject({ reason: 'collateral.unavailable' });
    expect(await count()).toBe(1);
    expect(keys.keysAtHand(authority, 'k')).toHaveLength(1);
    expect(await hurried.keys(authority, 'k')).toMatchObject({ ok: true, value: { length: 1 } });
    expect(server.requests).toHaveLength(2);
    nowMs += 60 * 60_000;
    expect(keys.keysAtHand(authority, 'k')).toEqual([]);
  });

  test('verify a token, whose own places of keys nobody asks', async () => {
    const { keys } = open();
    const header = { jku: `${server.origin}/evil`, x5u: `${server.origin}/evil` };
    const verify = (text: string) => verifyTokens([text], keys, { nonce: NONCE, atMs: AT_MS });
    expect(await verify(token({ iss: server.origin }, header))).toMatchObject({
      ok: true,
      value: { results: [{ authority: server.origin }] },
    });
    expect(await verify(token({ iss: server.origin }, header, KEYS.other))).toMatchObject({
      reason: 'token.untrusted',
    });
    expect(await verify(token({ iss: 'https://other.example' }, header))).toMatchObject({ reason: 'token.untrusted' });
    expect(server.requests).toEqual([DISCOVERY, CERTS]);
  });

  test('are those of the issuer with or without a last slash', async () => {
    const { keys } = open({ issuer: `${server.origin}/` });
    const verify = (iss: string) => verifyTokens([token({ iss })], keys, { nonce: NONCE, atMs: AT_MS });
    const expected = { value: { results: [{ authority: `${server.origin}/` }] } };
    expect(await verify(server.origin)).toMatchObject(expected);
    expect(await verify(`${server.origin}/`)).toMatchObject(expected);
    expect(await verify(`${server.origin}//`)).toMatchObject({ reason: 'token.untrusted' });
  });

  test('are fetched once for requests at the same time', async () => {
    const { count } = open();
    expect(await Promise.all([count(), count(), count('x'), count()])).toEqual([1, 1, 0, 1]);
    expect(server.requests).toHaveLength(2);
  });

  test('are fetched again for an unknown key id, at most every two seconds', async () => {
    const { count } = open();
    expect(await count()).toBe(1);
    server.serve([jwkOf(KEYS.p384, { kid: 'new' })]);
    nowMs += 1999;
    expect(await count('new')).toBe(0);
    expect(server.requests).toHaveLength(2);
    nowMs += 1;
    expect(await count('new')).toBe(1);
    expect(await count('k')).toBe(0);
    expect(server.requests).toHaveLength(4);
  });

  test('are not known for an unknown key id while the authority does not answer, but those at hand serve', async () => {
    const { count } = open();
    expect(await count()).toBe(1);
    server.answers = {};
    nowMs += 2000;
    expect(await count('new')).toBe('collateral.unavailable');
    expect(await count('new')).toBe('collateral.unavailable');
    expect(server.requests).toHaveLength(3);
    expect(await count('k')).toBe(1);
  });

  test('are asked for again two seconds after a failure', async () => {
    server.answers = {};
    const { count } = open();
    expect(await count()).toBe('collateral.unavailable');
    server.serve([jwkOf(KEYS.p384, { kid: 'k' })]);
    nowMs += 1999;
    expect(await count()).toBe('collateral.unavailable');
    nowMs += 1;
    expect(await count()).toBe(1);
    expect(failures).toEqual([`${server.origin}${DISCOVERY} answered 404`]);
  });

  test('are refreshed after ten minutes, while those at hand still serve', async () => {
    const { count } = open();
    expect(await count()).toBe(1);
    server.serve([jwkOf(KEYS.p384, { kid: 'new' })]);
    nowMs += 10 * 60_000 - 1;
    expect(await count()).toBe(1);
    expect(server.requests).toHaveLength(2);
    nowMs += 1;
    expect(await count()).toBe(1);
    // Shares the fetch that the last call began.
    expect(await count('new')).toBe(1);
    expect(await count()).toBe(0);
    expect(server.requests).toHaveLength(4);
  });

  test('serve for an hour and no longer', async () => {
    const { count } = open();
    expect(await count()).toBe(1);
    server.answers = {};
    nowMs += 60 * 60_000 - 1;
    expect(await count()).toBe(1);
    nowMs += 1;
    expect(await count()).toBe('collateral.unavailable');
  });
});

describe('an authority that is not as it should be', () => {
  const unavailable = async (change: Partial<AuthoritySettings> = {}, options: AuthorityKeysOptions = {}) => {
    expect(await open(change, options).count()).toBe('collateral.unavailable');
    return failures.join();
  };

  test('is not believed without the root of its TLS certificate', async () => {
    const keys = authorityKeys([{ issuer: server.origin }]);
    opened.push(keys);
    expect(await keys.keys(keys.authorityOf(server.origin)!, 'k')).toMatchObject({ reason: 'collateral.unavailable' });
    expect(server.requests).toEqual([]);
  });

  test('has its keys on its own origin', async () => {
    const other = await AuthorityServer.start();
    try {
      other.serve([jwkOf(KEYS.p384, { kid: 'k' })]);
      server.answers[DISCOVERY] = JSON.stringify({ issuer: server.origin, jwks_uri: `${other.origin}${CERTS}` });
      expect(await unavailable()).toMatch(/another origin/);
      expect(other.requests).toEqual([]);
    } finally {
      await other.close();
    }
  });

  test.each([
    ['is of another issuer', { issuer: 'https://other.example', jwks_uri: `https://localhost${CERTS}` }],
    ['has a number for an issuer', { issuer: 1, jwks_uri: `https://localhost${CERTS}` }],
    ['has no place of keys', {}],
    ['has keys over http', { jwks_uri: 'http://localhost/certs' }],
    ['has keys with credentials', { jwks_uri: 'https://user:word@localhost/certs' }],
    ['is null', null],
    ['is a list', []],
  ])('has no keys where its discovery document %s', async (_name, document) => {
    server.answers[DISCOVERY] = JSON.stringify(document);
    expect(await unavailable()).toMatch(/discovery document|jwks_uri/);
    expect(server.requests).toEqual([DISCOVERY]);
  });

  test('may leave its name out of the discovery document', async () => {
    server.answers[DISCOVERY] = JSON.stringify({ jwks_uri: `${server.origin}${CERTS}` });
    expect(await open().count()).toBe(1);
  });

  test('is named in failures without the query of a URL, which may hold a key', async () => {
    server.answers = {};
    expect(await unavailable({ jwks: `${server.origin}/keys?api_key=hidden#part` })).toBe(
      `${server.origin}/keys answered 404`,
    );
    expect(server.requests).toEqual(['/keys?api_key=hidden']);
  });

  test('is not followed to another place', async () => {
    server.answers[DISCOVERY] = (_request, response) => response.writeHead(302, { location: CERTS }).end();
    expect(await unavailable()).toMatch(/answered 302/);
    server.serve([]);
    server.answers[CERTS] = (_request, response) => response.writeHead(307, { location: DISCOVERY }).end();
    nowMs += 2000;
    expect(await unavailable()).toMatch(/answered 307/);
    expect(server.requests).toEqual([DISCOVERY, DISCOVERY, CERTS]);
  });

  test.each([
    [DISCOVERY, 64 * 1024],
    [CERTS, 1024 * 1024],
  ])('may not answer more under %s than %i bytes', async (path, maxBytes) => {
    const whole = String(server.answers[path]);
    server.answers[path] = whole + ' '.repeat(maxBytes - whole.length);
    expect(await open().count()).toBe(1);
    server.answers[path] = whole + ' '.repeat(maxBytes - whole.length + 1);
    expect(await unavailable()).toMatch(/is over/);
  });

  test.each([DISCOVERY, CERTS])('is given up where %s is not answered in time', async (path) => {
    server.answers[path] = () => undefined;
    expect(await unavailable({}, { timeoutMs: 300 })).toMatch(/no answer in time/);
  });

  test('is given up where it answers byte by byte', async () => {
    server.answers[CERTS] = (_request, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    };
    expect(await unavailable({}, { timeoutMs: 300 })).toMatch(/no answer in time/);
  });

  test('is not asked where nothing listens', async () => {
    const gone = await AuthorityServer.start();
    await gone.close();
    const reached = await unavailable({ issuer: gone.origin });
    expect(reached).toMatch(/ECONNREFUSED|cannot be fetched/);
  });

  test.each(['', '[]', 'null', '{"keys":{}}', '{"keys":[1]}', '{"keys":[],"keys":[]}', 'not JSON'])(
    'has no keys in the key set %j',
    async (text) => {
      server.answers[CERTS] = text;
      await unavailable();
      expect(failures).toHaveLength(1);
    },
  );
});

describe('the configured place of keys', () => {
  const keySet = () => JSON.stringify({ keys: [jwkOf(KEYS.p384, { kid: 'k' })] });

  test('may be a URL, of any origin', async () => {
    const { count } = open({ issuer: 'https://nras.example', jwks: `${server.origin}${CERTS}?v=1` });
    server.answers[`${CERTS}?v=1`] = keySet();
    expect(await count()).toBe(1);
    expect(server.requests).toEqual([`${CERTS}?v=1`]);
  });

  test('may be a file, which is read again as a key set is fetched again', async () => {
    const jwks = join(server.scratch, 'jwks.json');
    const { count } = open({ issuer: 'https://nras.example', jwks });
    expect(await count()).toBe('collateral.unavailable');
    writeFileSync(jwks, keySet());
    nowMs += 2000;
    expect(await count()).toBe(1);
    writeFileSync(jwks, ' '.repeat(1024 * 1024 + 1));
    nowMs += 2000;
    expect(await count('new')).toBe('collateral.unavailable');
    expect(failures.join()).toMatch(/cannot be read: ENOENT.*is over/);
    expect(server.requests).toEqual([]);
  });

  test('may not be a directory', async () => {
    expect(await open({ jwks: server.scratch }).count()).toBe('collateral.unavailable');
  });
});

describe('settings of authorities', () => {
  const made =
    (...settings: readonly AuthoritySettings[]) =>
    () =>
      opened.push(authorityKeys(settings));
  const issuer = 'https://authority.example';

  test('give every algorithm, or those that are named', () => {
    expect(open().authority.algorithms).toEqual(['RS256', 'PS256', 'PS384', 'ES256', 'ES384']);
    expect(open({ algorithms: ['ES384'] }).authority.algorithms).toEqual(['ES384']);
  });

  test.each([
    ['an issuer over http', { issuer: 'http://authority.example' }],
    ['an issuer that is no URL', { issuer: 'authority' }],
    ['an issuer with a query', { issuer: `${issuer}?a` }],
    ['an issuer with a fragment', { issuer: `${issuer}#a` }],
    ['an issuer with credentials', { issuer: 'https://user:word@authority.example' }],
    ['an issuer that is too long', { issuer: `${issuer}/${'a'.repeat(512)}` }],
    ['no algorithm', { issuer, algorithms: [] }],
    ['the algorithm none', { issuer, algorithms: ['ES384', 'none'] }],
    ['a MAC', { issuer, algorithms: ['HS256'] }],
    ['keys over http', { issuer, jwks: 'http://authority.example/certs' }],
    ['keys in a relative file', { issuer, jwks: 'jwks.json' }],
  ])('with %s are refused', (_name, settings) => {
    expect(made(settings)).toThrow(/issuer|algorithms|jwks/);
  });

  test('name each issuer once, and at most 16', () => {
    expect(made({ issuer }, { issuer: `${issuer}/` })).toThrow(/twice/);
    const many = [...Array(17).keys()].map((n) => ({ issuer: `${issuer}/${String(n)}` }));
    expect(made(...many)).toThrow(/more than 16/);
    expect(made(...many.slice(1))).not.toThrow();
  });

  test('name a file of roots that is there, and has some', () => {
    const empty = join(server.scratch, 'empty.pem');
    writeFileSync(empty, '');
    expect(made({ issuer, ca: empty })).toThrow(/without certificates/);
    expect(made({ issuer, ca: join(server.scratch, 'none.pem') })).toThrow(/ENOENT/);
  });

  test('of nobody believe nobody', async () => {
    const keys = authorityKeys([]);
    expect(keys.authorityOf(issuer)).toBeUndefined();
    const foreign = { issuer, algorithms: ['ES384'] as const };
    expect(await keys.keys(foreign, 'k')).toEqual({ ok: true, value: [] });
  });
});
