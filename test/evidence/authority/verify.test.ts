import { describe, expect, test } from '@jest/globals';
import { claimAt, nodeAt } from '../../../src/claims/claims.js';
import { NO_AUTHORITIES, TOKEN_ALGORITHMS } from '../../../src/evidence/authority/authority-keys.js';
import { verifyTokens, type VerifiedTokens } from '../../../src/evidence/authority/verify.js';
import type { Result } from '../../../src/reason/reason.js';
import { ecKey, rsaKey } from '../../helpers/pki.js';
import { AT_MS, authorities, goodClaims, ISSUER, jws, KEYS, NONCE, publicKeyOf, token } from './tokens.js';

const GOOD = authorities();
const verify = (tokens: readonly string[], keys = GOOD, nonce: Buffer | undefined = NONCE) =>
  verifyTokens(tokens, keys, { nonce, atMs: AT_MS });
const reasonOf = (result: Result<VerifiedTokens>) => (result.ok ? 'accepted' : result.reason);
const reason = async (...args: Parameters<typeof verify>) => reasonOf(await verify(...args));
const seconds = AT_MS / 1000;

async function claimsOf(text: string) {
  const result = await verify([text]);
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
  return result.value.results[0]!.claims;
}

describe('a token of a configured authority', () => {
  test('gives its claims, under the name of the authority', async () => {
    const result = await verify([token({ 'x-ms-isolation-tee': { 'x-ms-compliance-status': 'azure-compliant-cvm' } })]);
    if (!result.ok) throw new Error(result.detail);
    const [only] = result.value.results;
    expect(only?.authority).toBe(ISSUER);
    expect(claimAt(only!.claims, 'x-ms-isolation-tee.x-ms-compliance-status')).toBe('azure-compliant-cvm');
    expect(result.value.gpus).toEqual([]);
  });

  test.each([
    ['RS256', KEYS.rsa],
    ['PS256', KEYS.rsa],
    ['PS384', KEYS.rsa],
    ['ES256', KEYS.p256],
    ['ES384', KEYS.p384],
  ] as const)('may be signed with %s', async (alg, key) => {
    const keys = authorities({ k: [publicKeyOf(key)] });
    expect(await reason([jws({ alg, kid: 'k' }, goodClaims(), key, alg)], keys)).toBe('accepted');
    const others = TOKEN_ALGORITHMS.filter((name) => name !== alg);
    const pinned = authorities({ k: [publicKeyOf(key)] }, { algorithms: others });
    expect(await reason([jws({ alg, kid: 'k' }, goodClaims(), key, alg)], pinned)).toBe('token.untrusted');
  });

  test('is untrusted when nobody is configured, or another', async () => {
    expect(await reason([token()], NO_AUTHORITIES)).toBe('token.untrusted');
    expect(await reason([token({ iss: 'https://authority.example.org' })])).toBe('token.untrusted');
    expect(await reason([token({ iss: 'portcullis' })])).toBe('token.untrusted');
  });

  test.each(['none', 'None', 'HS256', 'HS384', 'EdDSA', 'RS512', 'ES512', 'RS1', ''])(
    'is untrusted when it says alg %j',
    async (alg) => {
      expect(await reason([token({}, { alg })])).toBe('token.untrusted');
    },
  );

  test('is untrusted when its signature is empty', async () => {
    const [header, claims] = token().split('.');
    expect(await reason([`${header!}.${claims!}.`])).toBe('token.untrusted');
  });

  test('is untrusted when it is signed by another key, or under an unknown id', async () => {
    expect(await reason([token({}, {}, KEYS.other)])).toBe('token.untrusted');
    expect(await reason([token({}, { kid: 'x' })])).toBe('token.untrusted');
  });

  test('is untrusted when the key is not for its algorithm', async () => {
    const es384WithP256 = authorities({ k: [publicKeyOf(KEYS.p256)] });
    expect(await reason([token()], es384WithP256)).toBe('token.untrusted');
    const rs256 = jws({ alg: 'RS256', kid: 'k' }, goodClaims(), KEYS.rsa, 'RS256');
    expect(await reason([rs256])).toBe('token.untrusted');
    const weak = rsaKey(1024);
    const weakly = jws({ alg: 'RS256', kid: 'k' }, goodClaims(), weak, 'RS256');
    expect(await reason([weakly], authorities({ k: [publicKeyOf(weak)] }))).toBe('token.untrusted');
  });

  test('is believed by any of the keys with its id, up to four', async () => {
    const others = [...Array(3).keys()].map(() => publicKeyOf(ecKey('P-384')));
    expect(await reason([token()], authorities({ k: [...others, publicKeyOf(KEYS.p384)] }))).toBe('accepted');
    const five = [...others, publicKeyOf(KEYS.other), publicKeyOf(KEYS.p384)];
    expect(await reason([token()], authorities({ k: five }))).toBe('token.untrusted');
  });

  test('may name no key id', async () => {
    expect(await reason([token({}, { kid: undefined })])).toBe('accepted');
  });

  test('is not believed by a key that it brings itself, and no place of keys that it names is looked at', async () => {
    const { kty, crv, x, y } = publicKeyOf(KEYS.other).export({ format: 'jwk' });
    const header = { jwk: { kty, crv, x, y }, jku: 'https://127.0.0.1:1/certs', x5u: 'https://127.0.0.1:1/chain' };
    expect(await reason([token({}, header, KEYS.other)])).toBe('token.untrusted');
    expect(await reason([token({}, { ...header, kid: undefined }, KEYS.other)])).toBe('token.untrusted');
    expect(await reason([token({}, header)])).toBe('accepted');
  });

  test('is untrusted when it has critical extensions', async () => {
    expect(await reason([token({}, { crit: ['b64'], b64: false })])).toBe('token.untrusted');
    expect(await reason([token({}, { crit: [] })])).toBe('token.untrusted');
    expect(await reason([token({}, { crit: null })])).toBe('token.untrusted');
  });

  test('cannot be judged while the keys of its authority cannot be had', async () => {
    expect(await reason([token()], authorities({}, { fault: true }))).toBe('collateral.unavailable');
  });

  test('is untrusted when any bit of it is flipped', async () => {
    const text = token();
    const [header, claims, signature] = text.split('.').map((part) => Buffer.from(part, 'base64url'));
    const parts = [header!, claims!, signature!];
    const accepted: string[] = [];
    for (const [n, part] of parts.entries()) {
      for (let at = 0; at < part.length; at++) {
        const flipped = Buffer.from(part);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (at & 7));
        const changed = parts.map((other, m) => (m === n ? flipped : other).toString('base64url')).join('.');
        if ((await verify([changed])).ok) accepted.push(`${String(n)}.${String(at)}`);
      }
    }
    expect(accepted).toEqual([]);
  });
});

describe('the dates of a token', () => {
  test.each([
    ['expires now', { exp: seconds }, 'token.invalid'],
    ['expires in a second', { exp: seconds + 1 }, 'accepted'],
    ['does not say when it expires', { exp: undefined }, 'token.invalid'],
    ['expires at a text', { exp: String(seconds + 100) }, 'token.invalid'],
    ['is valid in five seconds', { nbf: seconds + 5 }, 'accepted'],
    ['is valid in six seconds', { nbf: seconds + 6 }, 'token.invalid'],
    ['is valid from a text on', { nbf: '0' }, 'token.invalid'],
    ['was issued in the future', { iat: seconds + 6 }, 'token.invalid'],
    ['does not say since when', { nbf: undefined, iat: undefined }, 'accepted'],
  ])('one that %s: %j', async (_name, change, expected) => {
    expect(await reason([token(change)])).toBe(expected);
  });

  test('one that never expires is not valid', async () => {
    const text = JSON.stringify(goodClaims({ exp: 0 })).replace('"exp":0', '"exp":1e400');
    expect(await reason([jws({ alg: 'ES384', kid: 'k' }, text, KEYS.p384, 'ES384')])).toBe('token.invalid');
  });
});

describe('the nonce of a token', () => {
  const runtime = (nonce: unknown) => ({ 'x-ms-runtime': { 'client-payload': { nonce } } });
  const b64 = NONCE.toString('base64url');
  const hex = NONCE.toString('hex');
  /** Decodes to the same bytes where nobody looks at the bits that are left over. */
  const after = (last: string) => String.fromCharCode(last.charCodeAt(0) + 1);

  test.each([
    ['eat_nonce in base64url', { eat_nonce: b64 }, 'accepted'],
    ['eat_nonce in hex', { eat_nonce: hex }, 'accepted'],
    ['the client payload', { eat_nonce: undefined, ...runtime(b64) }, 'accepted'],
    ['both', { eat_nonce: b64, ...runtime(b64) }, 'accepted'],
    ['none', { eat_nonce: undefined }, 'evidence.unbound'],
    ['an empty one', { eat_nonce: '' }, 'evidence.unbound'],
    ['null', { eat_nonce: null }, 'evidence.unbound'],
    ['another one', { eat_nonce: Buffer.alloc(32, 1).toString('base64url') }, 'evidence.unbound'],
    ['a prefix', { eat_nonce: b64.slice(0, -1) }, 'evidence.unbound'],
    ['base64 with padding', { eat_nonce: NONCE.toString('base64') }, 'evidence.unbound'],
    ['upper-case hex', { eat_nonce: hex.toUpperCase() }, 'accepted'],
    ['hex of both cases', { eat_nonce: hex.replace('a', 'A') }, 'accepted'],
    ['hex with a space', { eat_nonce: ` ${hex}` }, 'evidence.unbound'],
    ['hex with a digit more', { eat_nonce: `${hex}a` }, 'evidence.unbound'],
    ['hex that is cut short', { eat_nonce: hex.slice(0, -2) }, 'evidence.unbound'],
    ['base64url with bits behind it', { eat_nonce: `${b64.slice(0, -1)}${after(b64.at(-1)!)}` }, 'evidence.unbound'],
    ['base64url in the other case', { eat_nonce: b64.toUpperCase() }, 'evidence.unbound'],
    ['a list', { eat_nonce: [b64] }, 'evidence.unbound'],
    ['two that differ', { eat_nonce: b64, ...runtime('x') }, 'evidence.unbound'],
    ['one in another place', { eat_nonce: undefined, nonce: b64, 'x-ms-runtime': { nonce: b64 } }, 'evidence.unbound'],
    [
      'one in a list',
      { eat_nonce: undefined, 'x-ms-runtime': [{ 'client-payload': { nonce: b64 } }] },
      'evidence.unbound',
    ],
  ])('%s', async (_name, change, expected) => {
    expect(await reason([token(change)])).toBe(expected);
  });

  test('of every token is looked at', async () => {
    expect(await reason([token(), token({ eat_nonce: hex.replace('a', 'b') })])).toBe('evidence.unbound');
  });

  test('is not asked for where none is expected', async () => {
    const result = await verifyTokens([token({ eat_nonce: undefined })], GOOD, { nonce: undefined, atMs: AT_MS });
    expect(reasonOf(result)).toBe('accepted');
  });
});

describe('several tokens', () => {
  test('each have their own claims', async () => {
    const result = await verify([token({ a: 1 }), token({ a: 2 })]);
    if (!result.ok) throw new Error(result.detail);
    expect(result.value.results.map(({ claims }) => claims['a'])).toEqual([1, 2]);
  });

  test('all count, or none does', async () => {
    expect(await reason([token(), token({}, {}, KEYS.other)])).toBe('token.untrusted');
    expect(await reason([token(), token({ exp: 0 })])).toBe('token.invalid');
  });

  test('may not be the same twice, nor more than 32', async () => {
    const text = token();
    expect(await reason([text, text])).toBe('evidence.malformed');
    const many = [...Array(25).keys()].map((n) => token({ n }));
    expect(await reason(many)).toBe('evidence.malformed');
    expect(await reason(many.slice(1))).toBe('accepted');
  });

  test('of none there are no results', async () => {
    expect(await verify([])).toEqual({ ok: true, value: { results: [], gpus: [], aks: [] } });
  });
});

describe('the claims of a token', () => {
  test('keep their structure; lists are counted from 0', async () => {
    const claims = await claimsOf(token({ a: { b: [true, { c: 'x' }, 7] }, none: null, empty: [] }));
    expect(claimAt(claims, 'a.b.0')).toBe(true);
    expect(claimAt(claims, 'a.b.1.c')).toBe('x');
    expect(claimAt(claims, 'a.b.2')).toBe(7);
    expect(nodeAt(claims, 'none')).toBeUndefined();
    expect(nodeAt(claims, 'empty')).toEqual({});
  });

  test('whose name has a dot are not found, neither under it nor under its parts', async () => {
    const claims = await claimsOf(token({ 'a.b': true, '': 1, c: { '.': 1, 'd.e': 2 } }));
    for (const path of ['a.b', 'a', '', 'c..', 'c.d.e', 'c.d']) expect(nodeAt(claims, path)).toBeUndefined();
  });

  test('are only their own', async () => {
    const text = JSON.stringify(goodClaims()).replace('{', '{"__proto__":{"admin":true},');
    const claims = await claimsOf(jws({ alg: 'ES384', kid: 'k' }, text, KEYS.p384, 'ES384'));
    expect(nodeAt(claims, 'admin')).toBeUndefined();
    expect(nodeAt(claims, 'constructor')).toBeUndefined();
    expect(claimAt(claims, '__proto__.admin')).toBe(true);
  });

  test('that are whole numbers too large to be exact are there, and compare with nothing', async () => {
    const text = JSON.stringify(goodClaims()).replace('{', '{"a":9007199254740993,"b":9007199254740991,"c":1.5,');
    const claims = await claimsOf(jws({ alg: 'ES384', kid: 'k' }, text, KEYS.p384, 'ES384'));
    expect([claims['a'], claims['b'], claims['c']]).toEqual([Object.create(null), 9007199254740991, 1.5]);
    expect(claimAt(claims, 'a')).toBeUndefined();
    expect(nodeAt(claims, 'a')).toBeDefined();
  });

  test('are at most 4096', async () => {
    const own = Object.keys(goodClaims()).length;
    const list = (length: number) => token({ a: Array(length).fill(0) });
    expect(await reason([list(4096 - own - 1)])).toBe('accepted');
    expect(await reason([list(4096 - own)])).toBe('evidence.malformed');
  });
});
