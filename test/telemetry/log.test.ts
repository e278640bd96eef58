import { describe, expect, test } from '@jest/globals';
import { createSecretKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { createLog } from '../../src/telemetry/log.js';
import { redact, redactText } from '../../src/telemetry/redact.js';

const CANARY = 'c4n4ry-c4n4ry-c4n4ry';

function logged(fields: Record<string, unknown>, message = 'a message'): string {
  let text = '';
  createLog({ stream: { write: (line: string) => void (text += line) } }).info(fields, message);
  return text;
}

describe('a line of the log', () => {
  test('is one JSON object with time, level, message and fields', () => {
    const line = logged({ route: '/v1/keys', status: 200, nested: { a: [1, null, true] }, big: 2n ** 64n });
    expect(line.endsWith('\n')).toBe(true);
    expect(JSON.parse(line)).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/),
      message: 'a message',
      route: '/v1/keys',
      status: 200,
      nested: { a: [1, null, true] },
      big: '18446744073709551616',
    });
  });

  test('stays one line whatever is in it', () => {
    expect(logged({ a: 'x\ny\r\u2028' }, 'p\nq').split('\n')).toHaveLength(2);
  });

  test('is left out below the level', () => {
    let text = '';
    const log = createLog({
      level: 'warn',
      stream: { write: (line: string) => void (text += line) },
      base: { worker: 1 },
    });
    log.info({}, 'no');
    log.warn({}, 'yes');
    log.error({}, 'yes');
    expect(
      text
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { worker: number }).worker),
    ).toEqual([1, 1]);
  });
});

describe('redaction', () => {
  const NAMES = [
    'authorization',
    'Authorization',
    'proxy-authorization',
    'cookie',
    'set-cookie',
    'token',
    'admin_token',
    'adminToken',
    'access_token',
    'password',
    'passphrase',
    'secret',
    'root_secret',
    'private',
    'privateKey',
    'private_key',
    'material',
    'plaintext',
    'data',
    'jwe',
    'jwk',
    'seed',
    'k',
    'd',
    'p',
    'q',
    'dp',
    'dq',
    'qi',
  ];

  test.each(NAMES)('a member named %s is never written, at any depth', (name) => {
    for (let depth = 0; depth < 12; depth++) {
      let value: unknown = { [name]: CANARY };
      for (let i = 0; i < depth; i++) value = i % 2 === 0 ? { inner: value } : [value];
      expect(logged({ value })).not.toContain(CANARY);
    }
    expect(logged({ [name]: CANARY })).toContain('[redacted]');
    expect(logged({ [name]: { deep: [CANARY] } })).not.toContain(CANARY);
  });

  test('errors keep name, message, code, stack and cause, and nothing else that hangs on them', () => {
    const cause = Object.assign(new RangeError('the cause'), { secret: CANARY, code: 'E_CAUSE' });
    const error = Object.assign(new TypeError('what failed', { cause }), { request: { body: CANARY }, code: 7 });
    const line = logged({ err: error });
    expect(line).not.toContain(CANARY);
    expect(JSON.parse(line)).toMatchObject({
      err: { name: 'TypeError', message: 'what failed', code: 7, cause: { name: 'RangeError', code: 'E_CAUSE' } },
    });
    expect(line).toContain('log.test');
  });

  test('an error that is its own cause ends', () => {
    const error = new Error('loop');
    error.cause = error;
    expect(logged({ err: error })).toContain('[deep]');
  });

  test('an object that holds itself ends, and is bounded in width', () => {
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    expect(logged({ loop })).toContain('[deep]');
    const wide = logged({ list: Array.from({ length: 1000 }, (_, i) => i) });
    expect((JSON.parse(wide) as { list: unknown[] }).list).toHaveLength(64);
  });

  test('bytes, keys, maps and functions are never written', () => {
    const bytes = Buffer.from(CANARY);
    const { privateKey } = generateKeyPairSync('ed25519');
    const line = logged({
      a: bytes,
      b: new Uint8Array(bytes),
      c: createSecretKey(bytes),
      d2: privateKey,
      e: new Map([['x', CANARY]]),
      f: () => CANARY,
      g: new Uint8Array(bytes).buffer,
      h: Symbol(CANARY),
    });
    for (const spelling of [CANARY, bytes.toString('hex'), bytes.toString('base64url'), String(bytes[0])]) {
      expect(line.replace(/"time":"[^"]*"/, '')).not.toContain(spelling);
    }
  });

  test.each([
    ['a broker token', `pc_0123456789abcdef_${CANARY}`],
    ['a bearer credential', `Authorization: Bearer ${CANARY}`],
    ['a JWE', `eyJhbGciOiJSU0EifQ.${CANARY}.${CANARY}.${CANARY}.${CANARY}`],
    ['a JWT', `eyJhbGciOiJSU0EifQ.${CANARY}.${CANARY}`],
    ['a private key in PEM', `-----BEGIN PRIVATE KEY-----\n${CANARY}\n-----END PRIVATE KEY-----`],
    ['half a private key in PEM', `-----BEGIN EC PRIVATE KEY-----\n${CANARY}`],
    ['a JWK', `{"kty":"oct","k":"${CANARY}"}`],
    ['a JWK in quotes', JSON.stringify(JSON.stringify({ kty: 'OKP', d: CANARY }))],
  ])('%s in running text is cut out: of fields, messages and errors', (_what, text) => {
    for (const line of [
      logged({ a: text }),
      logged({ a: [text] }),
      logged({}, text),
      logged({ err: new Error(text) }),
      logged({ [text]: 1 }),
    ]) {
      expect(line).not.toContain(CANARY);
    }
  });

  test('a token keeps its id, which the log names as the actor', () => {
    expect(redactText(`token pc_0123456789abcdef_${CANARY} used`)).toBe('token pc_0123456789abcdef_[redacted] used');
  });

  test('text is bounded, also where a secret lies across the bound', () => {
    expect(redactText('x'.repeat(10_000)).length).toBeLessThan(4200);
    expect(redactText(`${'x '.repeat(2040)}pc_0123456789abcdef_${CANARY.repeat(20)}`)).not.toContain(CANARY);
  });

  test('no value makes it throw, and what comes out is JSON', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true, withNullPrototype: true }),
        (value) => {
          expect(typeof JSON.parse(logged({ value }))).toBe('object');
          expect(() => redact(value)).not.toThrow();
        },
      ),
    );
  });
});
