import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:net';
import { KekError } from '../../../src/keys/kek.js';
import { accept, reject, type Result } from '../../../src/reason/reason.js';
import type { Principal } from '../../../src/release/broker.js';
import { StoreIntegrityError, StoreUnavailableError } from '../../../src/release/store.js';
import { challenge, fakeBroker, HASH, released, releaseRequest, TOKENS } from '../fake-broker.js';
import { ask, raw, type Running, start } from '../harness.js';

let running: Running;
beforeAll(async () => {
  running = await start();
});
afterAll(() => running.stop());
beforeEach(() => {
  running.broker.calls.length = 0;
});

const operator = { token: TOKENS.operator };

/** What the use case was called with, the caller's name in place of the principal. */
function lastCall(): unknown[] {
  const call = running.broker.calls.at(-1);
  return [call?.method, ...(call?.given ?? []).map((value) => (isPrincipal(value) ? value.name : value))];
}

function isPrincipal(value: unknown): value is { readonly name: string } {
  return typeof value === 'object' && value !== null && 'tokenId' in value;
}

describe('the two calls of a workload', () => {
  test('a challenge is created, 201, as the use case gave it', async () => {
    const body = { deployment: 'llm', key: 'weights' };
    const answer = await ask(`${running.url}/v1/challenges`, { method: 'POST', body });
    expect(answer.status).toBe(201);
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.json).toEqual(challenge);
    expect(lastCall()).toEqual(['issueChallenge', body]);
  });

  test('a release is answered 200, and the use case sees the request as it was sent', async () => {
    const answer = await ask(`${running.url}/v1/releases`, { method: 'POST', body: releaseRequest });
    expect([answer.status, answer.json]).toEqual([200, released]);
    expect(lastCall()).toEqual(['release', releaseRequest]);
  });

  test('are answered alike with a query, which takes the way through the router', async () => {
    const answer = await ask(`${running.url}/v1/challenges?`, {
      method: 'POST',
      body: { deployment: 'llm', key: 'weights' },
    });
    expect([answer.status, answer.json]).toEqual([201, challenge]);
  });

  test('a token of an administrator changes nothing about them', async () => {
    const answer = await ask(`${running.url}/v1/releases`, { method: 'POST', body: releaseRequest, token: 'nonsense' });
    expect(answer.status).toBe(200);
    expect(running.broker.calls.map(({ method }) => method)).toEqual(['release']);
  });
});

describe('the use cases of administrators', () => {
  const cases: readonly (readonly [string, string, object | undefined, unknown[], number])[] = [
    ['GET', '/v1/broker', undefined, ['describe'], 200],
    ['GET', '/v1/deployments?limit=7&cursor=abc', undefined, ['listDeployments', { limit: 7, cursor: 'abc' }], 200],
    ['POST', '/v1/deployments', { a: 1 }, ['applyDeployment', 'operator', { a: 1 }, { createOnly: true }], 201],
    [
      'PUT',
      '/v1/deployments/llm',
      { metadata: { name: 'llm' } },
      ['applyDeployment', 'operator', { metadata: { name: 'llm' } }, { dryRun: false }],
      201,
    ],
    [
      'PUT',
      '/v1/deployments/llm?dry_run=true',
      { metadata: { name: 'llm' } },
      ['applyDeployment', 'operator', { metadata: { name: 'llm' } }, { dryRun: true }],
      200,
    ],
    ['GET', '/v1/deployments/llm', undefined, ['showDeployment', 'llm'], 200],
    ['POST', '/v1/deployments/llm/freeze', undefined, ['setDeploymentFrozen', 'operator', 'llm', true], 200],
    ['POST', '/v1/deployments/llm/unfreeze', {}, ['setDeploymentFrozen', 'operator', 'llm', false], 200],
    [
      'POST',
      '/v1/policies',
      { deployment: 'llm', content: 'AA', not_after: '2027-11-01T00:00:00Z' },
      ['registerPolicy', 'operator', { deployment: 'llm', content: 'AA', not_after: '2027-11-01T00:00:00Z' }],
      201,
    ],
    ['GET', '/v1/policies?deployment=llm', undefined, ['listPolicies', { deployment: 'llm' }], 200],
    ['GET', `/v1/policies/${HASH}`, undefined, ['showPolicy', HASH], 200],
    ['POST', `/v1/policies/${HASH}/retire`, { deployment: 'llm' }, ['retirePolicy', 'operator', HASH, 'llm'], 200],
    ['POST', `/v1/policies/${HASH}/retire`, undefined, ['retirePolicy', 'operator', HASH, undefined], 200],
    [
      'POST',
      '/v1/keys',
      { name: 'W-1', deployments: [], type: 'RSA', size: 3072 },
      ['createKey', 'operator', { name: 'W-1', deployments: [], type: 'RSA', size: 3072 }],
      201,
    ],
    ['GET', '/v1/keys', undefined, ['listKeys', {}], 200],
    ['GET', '/v1/keys/W-1?version=latest', undefined, ['showKey', 'W-1', 'latest'], 200],
    ['POST', '/v1/keys/W-1/rotate', undefined, ['rotateKey', 'operator', 'W-1'], 200],
    ['POST', '/v1/keys/W-1/enable', { version: '0a' }, ['setKeyEnabled', 'operator', 'W-1', true, '0a'], 200],
    ['POST', '/v1/keys/W-1/disable', undefined, ['setKeyEnabled', 'operator', 'W-1', false, undefined], 200],
    ['POST', '/v1/keys/W-1/freeze', undefined, ['setKeyFrozen', 'operator', 'W-1', true], 200],
    ['POST', '/v1/keys/W-1/unfreeze', undefined, ['setKeyFrozen', 'operator', 'W-1', false], 200],
    ['DELETE', '/v1/keys/W-1?version=0a&recovery_days=7', undefined, ['deleteKey', 'operator', 'W-1', '0a', 7], 200],
    ['POST', '/v1/keys/W-1/recover', undefined, ['recoverKey', 'operator', 'W-1', undefined], 200],
    [
      'PUT',
      '/v1/keys/W-1/deployments',
      { deployments: ['a', 'b'] },
      ['setKeyDeployments', 'operator', 'W-1', ['a', 'b']],
      200,
    ],
    [
      'POST',
      '/v1/attesters',
      { deployment: 'llm', public: 'AA', name: 'node_1.a' },
      ['trustAttester', 'operator', { deployment: 'llm', public: 'AA', name: 'node_1.a' }],
      201,
    ],
    ['GET', '/v1/attesters', undefined, ['listAttesters', {}], 200],
    ['GET', '/v1/attesters/node_1.a', undefined, ['showAttester', 'node_1.a'], 200],
    ['POST', `/v1/attesters/${HASH}/revoke`, undefined, ['revokeAttester', 'operator', HASH], 200],
    [
      'POST',
      `/v1/attesters/000d${HASH}${HASH}/quarantine`,
      undefined,
      ['setAttesterQuarantined', 'operator', `000d${HASH}${HASH}`, true],
      200,
    ],
    ['POST', '/v1/attesters/n/unquarantine', {}, ['setAttesterQuarantined', 'operator', 'n', false], 200],
    ['POST', '/v1/revocations', { identity: `ek/${HASH}` }, ['revokeIdentity', 'operator', `ek/${HASH}`], 200],
    ['GET', '/v1/revocations?limit=7', undefined, ['listRevocations', { limit: 7 }], 200],
    [
      'GET',
      '/v1/entries?type=key.created&limit=1000',
      undefined,
      ['listEntries', { type: 'key.created', limit: 1000 }],
      200,
    ],
  ];
  test.each(cases)('%s %s', async (method, path, body, call, status) => {
    const answer = await ask(running.url + path, { method, ...operator, ...(body === undefined ? {} : { body }) });
    expect([answer.status, lastCall()]).toEqual([status, call]);
  });

  test.each([
    [
      'POST',
      '/v1/tokens',
      { name: 'ci', role: 'auditor' },
      ['createToken', 'admin', { name: 'ci', role: 'auditor' }],
      201,
    ],
    ['GET', '/v1/tokens', undefined, ['listTokens', {}], 200],
    ['DELETE', '/v1/tokens/00000000000000a4', undefined, ['revokeToken', 'admin', '00000000000000a4'], 200],
    ['POST', '/v1/kek/rotate', {}, ['rotateKek', 'admin'], 200],
  ])('%s %s, for admins', async (method, path, body, call, status) => {
    const answer = await ask(running.url + path, {
      method,
      token: TOKENS.admin,
      ...(body === undefined ? {} : { body }),
    });
    expect([answer.status, lastCall()]).toEqual([status, call]);
  });

  test('a document that names another deployment than the path is request.malformed', async () => {
    for (const document of [{ metadata: { name: 'other' } }, { metadata: null }, {}]) {
      const answer = await ask(`${running.url}/v1/deployments/llm`, { method: 'PUT', ...operator, body: document });
      expect([answer.status, answer.json['reason']]).toEqual([400, 'request.malformed']);
    }
    expect(running.broker.calls.map(({ method }) => method)).not.toContain('applyDeployment');
  });
});

describe('a path or method that is not in the table', () => {
  test.each([
    '/',
    '/v1',
    '/v1/keys/',
    '/V1/keys',
    '//v1/keys',
    '/v1//keys',
    '/v1/keys/..',
    '/v1/keys/%2e%2e',
    '/v1/keys/a%2Fb',
    '/v1/keys/a%2fb',
    '/v1/keys/%6b',
    '/v1/keys/%',
    '/v1/keys/%00',
    '/v1/keys/%zz',
    '/v1/keys/%ff%fe',
    '/v1/keys/*',
    '/v1/keys/a*',
    '/v1/keys/a.b',
    '/v1/keys/a_b',
    `/v1/keys/${'a'.repeat(128)}`,
    '/v1/keys/a;b=c',
    '/v1/keys/a\\b',
    '/v1/deployments/LLM',
    '/v1/deployments/-a',
    '/v1/deployments/a-',
    `/v1/deployments/${'a'.repeat(64)}`,
    `/v1/policies/${HASH.toUpperCase()}`,
    `/v1/policies/${HASH.slice(2)}`,
    '/v1/attesters/.hidden',
    '/v1/attesters/..',
    `/v1/attesters/${'a'.repeat(133)}`,
    '/v1/attesters/ek%2Fab',
    '/v1/keys/__proto__',
    '/v1/%6beys',
    '/healthz/',
    '/%2e/healthz',
    '/../healthz',
    '/log/../v1/keys',
  ])('%s is 404 route.unknown, and strangers learn no more than that a credential is missing', async (path) => {
    const get = (head: string) =>
      raw(running.port, `GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${head}\r\n`);
    const known = await get(`authorization: Bearer ${TOKENS.admin}\r\n`);
    expect(known).toMatch(/^HTTP\/1\.1 404 /);
    expect(known).toContain('"reason":"route.unknown"');
    expect(await get('')).toMatch(/"reason":"(?:route\.unknown|auth\.missing)"/);
    expect(running.broker.calls.filter(({ method }) => method !== 'authenticate')).toEqual([]);
  });

  test.each([
    ['PATCH', '/v1/keys', 'GET, HEAD, POST'],
    ['DELETE', '/v1/challenges', 'POST'],
    ['GET', '/v1/releases', 'POST'],
    ['OPTIONS', '/v1/keys/a', 'GET, HEAD, DELETE'],
    ['TRACE', '/healthz', 'GET, HEAD'],
    ['POST', '/metrics', 'GET, HEAD'],
  ])('%s %s is 404 with the methods that are there', async (method, path, allow) => {
    const answer = await ask(running.url + path, { method, token: TOKENS.admin });
    expect([answer.status, answer.json['reason'], answer.headers.allow]).toEqual([404, 'route.unknown', allow]);
  });

  test('OPTIONS of an unknown path is 404 too', async () => {
    const answer = await ask(`${running.url}/nothing`, { method: 'OPTIONS' });
    expect([answer.status, answer.json['reason']]).toEqual([404, 'route.unknown']);
  });

  test('HEAD is GET without a body, and needs the same credential', async () => {
    const open = await ask(`${running.url}/healthz`, { method: 'HEAD' });
    expect([open.status, open.text, Number(open.headers['content-length'])]).toEqual([200, '', 15]);
    const text = await raw(running.port, 'HEAD /v1/keys HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 401 /);
  });
});

describe('authentication', () => {
  const keys = (headers: Record<string, string | string[]>) => ask(`${running.url}/v1/keys`, { headers });

  test.each([
    ['a scheme without token', 'Bearer'],
    ['another scheme', 'Basic YTpi'],
    ['two spaces', `Bearer  ${TOKENS.admin}`],
    ['something behind', `Bearer ${TOKENS.admin} x`],
    ['a list', `Bearer ${TOKENS.admin}, Bearer ${TOKENS.admin}`],
    ['quotes', `Bearer "${TOKENS.admin}"`],
    ['an endless token', `Bearer ${'a'.repeat(257)}`],
    ['nothing', ''],
  ])('%s is auth.invalid', async (_what, authorization) => {
    const answer = await keys({ authorization });
    expect([answer.status, answer.json['reason']]).toEqual([401, 'auth.invalid']);
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="portcullis", error="invalid_token"');
  });

  test('the scheme is case-insensitive', async () => {
    expect((await keys({ authorization: `bEARER ${TOKENS.auditor}` })).status).toBe(200);
  });

  test('two authorization headers are auth.invalid', async () => {
    const line = `authorization: Bearer ${TOKENS.admin}\r\n`;
    const text = await raw(running.port, `GET /v1/keys HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${line}${line}\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 401 /);
    expect(text).toContain('"reason":"auth.invalid"');
  });

  test('none at all is auth.missing, with the scheme to use', async () => {
    const answer = await keys({});
    expect([answer.status, answer.json['reason']]).toEqual([401, 'auth.missing']);
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="portcullis"');
  });

  test('a token elsewhere than in the header is none', async () => {
    const answer = await ask(`${running.url}/v1/keys?access_token=${TOKENS.admin}`, {
      headers: { 'x-api-key': TOKENS.admin },
    });
    expect(answer.json['reason']).toBe('auth.missing');
  });

  test('runs before the body is read: an oversize or broken body without credential is 401', async () => {
    for (const body of ['{', 'x'.repeat(2 * 1024 * 1024)]) {
      const answer = await ask(`${running.url}/v1/keys`, { method: 'POST', body });
      expect([answer.status, answer.json['reason']]).toEqual([401, 'auth.missing']);
    }
  });

  describe('is repeated behind a body', () => {
    /** A request with the operator's token whose last byte is held back until `meanwhile` has changed what the token is. */
    async function heldBack(meanwhile: Result<Principal>): Promise<{ text: string; used: string[]; checks: number }> {
      const asOperator = accept<Principal>({ tokenId: 'a2', name: 'operator', role: 'operator' });
      let now: Result<Principal> = asOperator;
      let checked = (): void => undefined;
      const firstCheck = new Promise<void>((resolve) => (checked = resolve));
      const broker = fakeBroker({
        authenticate: async () => {
          checked();
          return now;
        },
      });
      const other = await start({ broker });
      try {
        const body = JSON.stringify({ deployments: ['a'] });
        const socket = connect(other.port, '127.0.0.1');
        let text = '';
        socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        socket.write(
          `PUT /v1/keys/a/deployments HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer ${TOKENS.operator}\r\ncontent-type: application/json\r\ncontent-length: ${String(body.length)}\r\n\r\n${body.slice(0, -1)}`,
        );
        await firstCheck;
        now = meanwhile;
        socket.write(body.slice(-1));
        await once(socket, 'close');
        const methods = broker.calls.map(({ method }) => method);
        const used = methods.filter((method) => method !== 'authenticate');
        return { text, used, checks: methods.length - used.length };
      } finally {
        await other.stop();
      }
    }

    test('a token that is revoked before the body is complete is auth.invalid, and reaches no use case', async () => {
      const { text, used, checks } = await heldBack(reject('auth.invalid', 'the token is revoked'));
      expect(text).toMatch(/^HTTP\/1\.1 401 /);
      expect(text).toContain('"reason":"auth.invalid"');
      expect([used, checks]).toEqual([[], 2]);
    });

    test('a token whose role no longer suffices is auth.role', async () => {
      const { text, used } = await heldBack(accept({ tokenId: 'a3', name: 'auditor', role: 'auditor' }));
      expect(text).toMatch(/^HTTP\/1\.1 403 /);
      expect(text).toContain('"reason":"auth.role"');
      expect(used).toEqual([]);
    });

    test('a token that is still valid passes', async () => {
      const { text, used } = await heldBack(accept({ tokenId: 'a2', name: 'operator', role: 'operator' }));
      expect(text).toMatch(/^HTTP\/1\.1 200 /);
      expect(used).toEqual(['setKeyDeployments']);
    });

    test('and only there: without body it runs once', async () => {
      await ask(`${running.url}/v1/keys`, operator);
      await ask(`${running.url}/v1/keys/a/freeze`, { method: 'POST', ...operator });
      expect(running.broker.calls.map(({ method }) => method)).toEqual([
        'authenticate',
        'listKeys',
        'authenticate',
        'setKeyFrozen',
      ]);
    });
  });
});

describe('the query', () => {
  test.each([
    'limit=0',
    'limit=1001',
    'limit=01',
    'limit=1e2',
    'limit=-1',
    'limit=+1',
    'limit=',
    'limit',
    'limit=1&limit=1',
    'limit[]=1',
    'cursor=a%00b',
    `cursor=${'a'.repeat(513)}`,
    'unknown=1',
    '__proto__=1',
    'constructor=1',
    'toString=1',
    '=1',
  ])('?%s is request.malformed', async (query) => {
    const answer = await ask(`${running.url}/v1/keys?${query}`, { token: TOKENS.auditor });
    expect([answer.status, answer.json['reason']]).toEqual([400, 'request.malformed']);
    expect(running.broker.calls.map(({ method }) => method)).toEqual(['authenticate']);
  });

  test.each(['dry_run=1', 'dry_run=TRUE', 'dry_run='])('?%s is not a boolean', async (query) => {
    const answer = await ask(`${running.url}/v1/deployments/llm?${query}`, { method: 'PUT', ...operator, body: {} });
    expect([answer.status, answer.json['reason']]).toEqual([400, 'request.malformed']);
  });
});

describe('every answer', () => {
  test('has a request id of ours, a new one each time', async () => {
    const ids = [await ask(`${running.url}/healthz`), await ask(`${running.url}/nothing`)].map(
      ({ headers }) => headers['x-request-id'],
    );
    for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(ids[0]).not.toBe(ids[1]);
  });

  test('takes over a request id of the caller, in problem documents too', async () => {
    const headers = { 'x-request-id': 'trace-1.A_b' };
    const answer = await ask(`${running.url}/nothing`, { headers });
    expect([answer.headers['x-request-id'], answer.json['request_id']]).toEqual(['trace-1.A_b', 'trace-1.A_b']);
  });

  test.each(['', 'a b', 'a"b', 'ä', 'a'.repeat(65), '{"a":1}'])('replaces the request id %j', async (id) => {
    const bytes = Buffer.from(`GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-request-id: ${id}\r\n\r\n`);
    expect(await raw(running.port, bytes)).toMatch(/x-request-id: [0-9a-f-]{36}\r\n/);
  });

  test('cannot be sniffed, cached or framed, and does not say what serves it', async () => {
    for (const path of ['/healthz', '/metrics', '/openapi.json', '/nothing', '/v1/keys']) {
      const { headers } = await ask(running.url + path);
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      });
      expect(headers).not.toHaveProperty('x-powered-by');
      expect(headers).not.toHaveProperty('etag');
      expect(headers).not.toHaveProperty('server');
    }
  });
});

describe('a refusal of a use case', () => {
  test('is a problem document with the members of the contract in their order', async () => {
    const decision = { met: false, conditions: [{ claim: 'tpm.pcrs.sha256.8', operator: 'in' as const, met: false }] };
    const findings = [{ claim: 'x', operator: 'exists' as const, expected: true, found: null }];
    const broker = fakeBroker({
      release: async () => ({ ...reject('policy.hash', 'no such policy', ...findings), decision }),
    });
    const other = await start({ broker });
    try {
      const answer = await ask(`${other.url}/v1/releases`, { method: 'POST', body: releaseRequest });
      expect(answer.status).toBe(403);
      expect(answer.headers['content-type']).toBe('application/problem+json');
      expect(Object.keys(answer.json)).toEqual([
        'type',
        'title',
        'status',
        'detail',
        'reason',
        'decision',
        'request_id',
      ]);
      expect(answer.json).toEqual({
        type: 'urn:portcullis:problem:policy.hash',
        title: 'The policy PCR equals that of no policy registered for the deployment.',
        status: 403,
        detail: 'no such policy',
        reason: 'policy.hash',
        decision,
        request_id: answer.headers['x-request-id'],
      });
    } finally {
      await other.stop();
    }
  });
});

describe('a fault', () => {
  const secret = 'canary-in-an-error-message';
  const faults: readonly (readonly [string, unknown, number, string])[] = [
    ['a store that cannot write', new StoreUnavailableError(secret), 503, 'store.unavailable'],
    ['a row that fails its authentication', new StoreIntegrityError(secret), 503, 'store.integrity'],
    ['a KEK that fails', new KekError(secret), 500, 'internal'],
    ['a bug', new TypeError(secret), 500, 'internal'],
    ['a thrown string', secret, 500, 'internal'],
  ];
  test.each(faults)(
    '%s is answered without its message, and logged under the request id',
    async (_what, error, status, reason) => {
      const fail = async () => {
        throw error as Error;
      };
      const other = await start({ broker: fakeBroker({ release: fail, listKeys: fail }) });
      try {
        for (const answer of [
          await ask(`${other.url}/v1/releases`, { method: 'POST', body: releaseRequest }),
          await ask(`${other.url}/v1/keys`, { token: TOKENS.admin }),
        ]) {
          expect([answer.status, answer.json['reason']]).toEqual([status, reason]);
          expect(answer.text).not.toContain(secret);
          expect(answer.text).not.toContain('.ts');
          expect(answer.headers['retry-after']).toBe(status === 503 ? '5' : undefined);
          const logged = other.log.filter(({ level }) => level === 'error').map(({ fields }) => fields['request_id']);
          expect(logged).toContain(answer.json['request_id']);
        }
      } finally {
        await other.stop();
      }
    },
  );

  test('an answer that cannot be written as JSON is internal', async () => {
    const broker = fakeBroker({ describe: async () => ({ kek: 1n }) as never });
    const other = await start({ broker });
    try {
      const answer = await ask(`${other.url}/v1/broker`, { token: TOKENS.admin });
      expect([answer.status, answer.json['reason']]).toEqual([500, 'internal']);
    } finally {
      await other.stop();
    }
  });
});

describe('operations', () => {
  test('/healthz is 200 whatever the store says; /readyz is not', async () => {
    for (const [error, reason] of [
      [new StoreUnavailableError('disk full'), 'store.unavailable'],
      [new StoreIntegrityError('row'), 'store.integrity'],
      [new Error('anything'), 'store.unavailable'],
    ] as const) {
      const other = await start({
        broker: fakeBroker({
          ready: async () => {
            throw error;
          },
        }),
      });
      try {
        const health = await ask(`${other.url}/healthz`);
        expect([health.status, health.json]).toEqual([200, { status: 'ok' }]);
        const ready = await ask(`${other.url}/readyz`);
        expect([ready.status, ready.json['reason'], ready.headers['retry-after']]).toEqual([503, reason, '5']);
      } finally {
        await other.stop();
      }
    }
  });

  test('/readyz is 200 when a release could be recorded, and asks the store once for many callers', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(`${running.url}/readyz`)));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    expect(answers[0]?.json).toEqual({ status: 'ready' });
    expect(running.broker.calls.filter(({ method }) => method === 'ready').length).toBeLessThanOrEqual(2);
  });

  test('/metrics is what telemetry gives', async () => {
    const answer = await ask(`${running.url}/metrics`);
    expect([answer.status, answer.headers['content-type'], answer.text]).toEqual([
      200,
      'text/plain; version=0.0.4',
      'portcullis_up 1\n',
    ]);
  });
});

describe('the rate limit', () => {
  test('answers 429 with Retry-After over the rate, on releases alone, before the body is read', async () => {
    const other = await start({ native: { releasesPerSecond: 2 } });
    try {
      const send = () => ask(`${other.url}/v1/releases`, { method: 'POST', body: releaseRequest });
      const answers = await Promise.all([send(), send(), send(), send(), send()]);
      const refused = answers.filter(({ status }) => status === 429);
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(2);
      expect(refused).toHaveLength(3);
      expect(refused[0]?.json['reason']).toBe('request.rate_limited');
      expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThanOrEqual(1);
      expect(other.broker.calls).toHaveLength(2);
      const broken = await ask(`${other.url}/v1/releases`, { method: 'POST', body: '{' });
      expect(broken.status).toBe(429);
      const challenged = await ask(`${other.url}/v1/challenges`, {
        method: 'POST',
        body: { deployment: 'llm', key: 'k' },
      });
      expect(challenged.status).toBe(201);
    } finally {
      await other.stop();
    }
  });
});

describe('the part of the rate that one of several processes has', () => {
  test('need be no whole number: one release in a window that is as much longer', async () => {
    const other = await start({ native: { releasesPerSecond: 0.25 } });
    try {
      const send = () => ask(`${other.url}/v1/releases`, { method: 'POST', body: releaseRequest });
      const answers = await Promise.all([send(), send(), send()]);
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 429, 429]);
      expect(answers[0].headers['ratelimit-policy']).toBe('1;w=4');
    } finally {
      await other.stop();
    }
  });

  test('sums up to the whole: 10 over 4 processes are 3 in 1.2 s for each', async () => {
    const other = await start({ native: { releasesPerSecond: 2.5 } });
    try {
      const send = () => ask(`${other.url}/v1/releases`, { method: 'POST', body: releaseRequest });
      const answers = await Promise.all(Array.from({ length: 5 }, send));
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
    } finally {
      await other.stop();
    }
  });
});

describe('the access log', () => {
  test('has one line a request: template, status, reason, id, address; no path, query or body', async () => {
    const other = await start();
    try {
      await ask(`${other.url}/v1/keys/canary-name?version=canary`, { token: TOKENS.auditor });
      await ask(`${other.url}/v1/canary-path?canary=1`);
      await ask(`${other.url}/v1/challenges`, {
        method: 'POST',
        body: { deployment: 'canary', key: 'CANARY', x: 'canary' },
      });
    } finally {
      await other.stop();
    }
    const lines = other.log.filter(({ message }) => message === 'request').map(({ fields }) => fields);
    expect(lines.map(({ method, route, status, reason }) => [method, route, status, reason])).toEqual([
      ['GET', '/v1/keys/{name}', 200, undefined],
      ['GET', 'unknown', 404, 'route.unknown'],
      ['POST', '/v1/challenges', 400, 'request.malformed'],
    ]);
    for (const line of lines) {
      expect(Object.keys(line).sort()).toEqual(
        [
          'duration_ms',
          'method',
          'remote_address',
          'request_id',
          'route',
          'status',
          ...(line['reason'] === undefined ? [] : ['reason']),
        ].sort(),
      );
      expect(line['remote_address']).toBe('127.0.0.1');
    }
    expect(JSON.stringify(other.log)).not.toMatch(/canary/i);
    expect(other.observed.map(({ route, method, status }) => [route, method, status])).toEqual([
      ['/v1/keys/{name}', 'GET', 200],
      ['unknown', 'other', 404],
      ['/v1/challenges', 'POST', 400],
    ]);
  });
});
