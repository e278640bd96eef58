import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { fakeBroker, NOW_MS, onlyJson, portcullis, problem, type FakeBroker, type RunOptions } from './harness.js';

const TOKEN = 'pc_0123456789abcdef_SECRETSECRETSECRETSECRETSECRETSECRETSECRET0';
const SHA = 'ab'.repeat(32);
const VERSION = '0123456789abcdef0123456789abcdef';
const AT = '2026-11-22T00:00:00.000Z';

const LINK = { deployment: 'llm', sha256: SHA, origin: 'registered', valid: true, not_after: '2027-01-01T00:00:00Z' };
const POLICY = {
  sha256: SHA,
  size: 12,
  created_at: AT,
  deployments: [LINK, { ...LINK, deployment: 'other', valid: false }],
};
const KEY = {
  name: 'weights',
  kty: 'oct',
  size: 256,
  deployments: ['llm'],
  state: 'enabled',
  frozen: false,
  created_at: AT,
  versions: [{ version: VERSION, state: 'enabled', created_at: AT, kek: 'kek-1' }],
};
const DEPLOYMENT = {
  name: 'llm',
  frozen: false,
  document: { measurement: { pcr: 8 } },
  policies: [{ sha256: SHA, origin: 'document', valid: true }],
  created_at: AT,
  updated_at: AT,
};
const ATTESTER = {
  name: 'node-1',
  ak_name: '000b' + SHA,
  ak_spki_sha256: SHA,
  pem: '-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n',
  trust: 'pinned',
  state: 'trusted',
  deployments: ['llm'],
  created_at: AT,
};
const TOKEN_VIEW = { id: '0123456789abcdef', name: 'ci', role: 'operator', state: 'active', created_at: AT };
const ENTRY = { index: 7, type: 'release', entry: { type: 'release', time: AT, deployment: 'llm', key: 'weights' } };
const APPLIED = {
  deployment: DEPLOYMENT,
  created: false,
  dry_run: false,
  changes: [
    { path: `/policies/${SHA}`, change: 'added' },
    { path: '/platform/pcrs/7', change: 'removed', before: ['aa'] },
    { path: '/measurement/pcr', change: 'changed', before: 8, after: 12 },
  ],
  warnings: ['measurement.pcr 8: GRUB extends it'],
};
const listOf = (item: unknown) => ({ items: [item] });

let dir: string;
let broker: FakeBroker;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-cli-'));
  broker = await fakeBroker();
  writeFileSync(join(dir, 'p.json'), '{"allow":1}\n');
  writeFileSync(join(dir, 'ak.pub'), Buffer.from([0, 1, 2]));
  writeFileSync(join(dir, 'k.jwk'), '\n {"kty":"oct","k":"AAAA"}');
  writeFileSync(join(dir, 'k.pem'), '-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n');
  writeFileSync(join(dir, 'k.raw'), Buffer.from([0x7b, 1, 2]));
  writeFileSync(join(dir, 'token'), `${TOKEN}\n`);
  writeFileSync(
    join(dir, 'd.yaml'),
    [
      'apiVersion: portcullis/v1',
      'kind: Deployment',
      'metadata: {name: llm}',
      'policies: [{file: p.json}]',
      'platform: {pcrs: {4: [' + SHA + '], 7: [' + SHA + ']}}',
      'attesters: {trust: [pinned]}',
    ].join('\n'),
  );
});
afterAll(async () => {
  await broker.close();
  rmSync(dir, { recursive: true });
});

function run(line: string | readonly string[], options: RunOptions = {}) {
  const args = typeof line === 'string' ? line.split(' ') : line;
  return portcullis(args, { cwd: dir, env: { PORTCULLIS_URL: broker.url, PORTCULLIS_TOKEN: TOKEN }, ...options });
}

const base64url = (bytes: string | Buffer) => Buffer.from(bytes as string).toString('base64url');

interface Case {
  readonly line: string;
  readonly call: string;
  readonly body?: unknown;
  readonly answer: unknown;
  readonly status?: number;
  /** What people see. */
  readonly shows: readonly string[];
}

const CASES: readonly Case[] = [
  {
    line: 'policy register p.json --deployment llm --not-before 2026-11-01T00:00:00Z --not-after 2027-11-01T00:00:00+01:00',
    call: 'POST /v1/policies',
    body: {
      deployment: 'llm',
      content: base64url('{"allow":1}\n'),
      not_before: '2026-11-01T00:00:00Z',
      not_after: '2027-11-01T00:00:00+01:00',
    },
    answer: POLICY,
    status: 201,
    shows: ['Deployment llm accepts policy', SHA],
  },
  {
    line: 'policy list',
    call: 'GET /v1/policies?limit=1000',
    answer: listOf(POLICY),
    shows: [SHA, 'llm, other (not now)'],
  },
  {
    line: 'policy list --deployment llm',
    call: 'GET /v1/policies?deployment=llm&limit=1000',
    answer: listOf(POLICY),
    shows: [SHA],
  },
  {
    line: `policy show ${SHA.toUpperCase()}`,
    call: `GET /v1/policies/${SHA}`,
    answer: POLICY,
    shows: ['other', '2027-01-01'],
  },
  {
    line: `policy retire ${SHA}`,
    call: `POST /v1/policies/${SHA}/retire`,
    body: {},
    answer: POLICY,
    shows: ['No deployment accepts'],
  },
  {
    line: `policy retire ${SHA} --deployment llm`,
    call: `POST /v1/policies/${SHA}/retire`,
    body: { deployment: 'llm' },
    answer: POLICY,
    shows: ['Deployment llm no longer accepts'],
  },
  {
    line: 'deployment list',
    call: 'GET /v1/deployments?limit=1000',
    answer: listOf(DEPLOYMENT),
    shows: ['llm', 'active'],
  },
  {
    line: 'deployment show llm',
    call: 'GET /v1/deployments/llm',
    answer: DEPLOYMENT,
    shows: [SHA, 'measurement:\n  pcr: 8'],
  },
  {
    line: 'deployment freeze llm',
    call: 'POST /v1/deployments/llm/freeze',
    body: {},
    answer: { ...DEPLOYMENT, frozen: true },
    shows: ['Deployment llm is frozen.'],
  },
  {
    line: 'deployment unfreeze llm',
    call: 'POST /v1/deployments/llm/unfreeze',
    body: {},
    answer: DEPLOYMENT,
    shows: ['Deployment llm is active.'],
  },
  {
    line: 'key create weights --deployment llm --deployment other',
    call: 'POST /v1/keys',
    body: { name: 'weights', type: 'oct', deployments: ['llm', 'other'] },
    answer: KEY,
    status: 201,
    shows: ['Key weights is made.', 'oct 256 bit', VERSION],
  },
  {
    line: 'key create signer --type EC --curve P-384 --deployment llm',
    call: 'POST /v1/keys',
    body: { name: 'signer', type: 'EC', curve: 'P-384', deployments: ['llm'] },
    answer: { ...KEY, kty: 'EC', curve: 'P-384' },
    status: 201,
    shows: ['EC P-384'],
  },
  {
    line: 'key create big --type RSA --size 4096 --deployment llm',
    call: 'POST /v1/keys',
    body: { name: 'big', type: 'RSA', size: 4096, deployments: ['llm'] },
    answer: KEY,
    status: 201,
    shows: [],
  },
  {
    line: 'key import weights --file k.jwk --deployment llm',
    call: 'POST /v1/keys',
    body: {
      name: 'weights',
      deployments: ['llm'],
      material: { format: 'jwk', data: base64url('\n {"kty":"oct","k":"AAAA"}') },
    },
    answer: KEY,
    status: 201,
    shows: ['Key weights is imported.'],
  },
  {
    line: 'key import weights --file k.pem --deployment llm',
    call: 'POST /v1/keys',
    body: {
      name: 'weights',
      deployments: ['llm'],
      material: { format: 'pkcs8', data: base64url('-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n') },
    },
    answer: KEY,
    status: 201,
    shows: [],
  },
  {
    line: 'key import weights --file k.raw --raw --deployment llm',
    call: 'POST /v1/keys',
    body: { name: 'weights', deployments: ['llm'], material: { format: 'raw', data: 'ewEC' } },
    answer: KEY,
    status: 201,
    shows: [],
  },
  {
    line: 'key list',
    call: 'GET /v1/keys?limit=1000',
    answer: listOf({ ...KEY, frozen: true }),
    shows: ['weights', 'enabled, frozen'],
  },
  {
    line: `key show weights --version ${VERSION}`,
    call: `GET /v1/keys/weights?version=${VERSION}`,
    answer: KEY,
    shows: [VERSION, 'kek-1'],
  },
  { line: 'key rotate weights', call: 'POST /v1/keys/weights/rotate', body: {}, answer: KEY, shows: [VERSION] },
  { line: 'key disable weights', call: 'POST /v1/keys/weights/disable', body: {}, answer: KEY, shows: ['state'] },
  {
    line: `key disable weights --version ${VERSION.toUpperCase()}`,
    call: 'POST /v1/keys/weights/disable',
    body: { version: VERSION },
    answer: KEY,
    shows: [],
  },
  {
    line: `key enable weights --version ${VERSION}`,
    call: 'POST /v1/keys/weights/enable',
    body: { version: VERSION },
    answer: KEY,
    shows: [],
  },
  {
    line: 'key freeze weights',
    call: 'POST /v1/keys/weights/freeze',
    body: {},
    answer: { ...KEY, frozen: true },
    shows: ['enabled, frozen'],
  },
  { line: 'key unfreeze weights', call: 'POST /v1/keys/weights/unfreeze', body: {}, answer: KEY, shows: [] },
  {
    line: `key delete weights --version ${VERSION} --recovery-days 30`,
    call: `DELETE /v1/keys/weights?version=${VERSION}&recovery_days=30`,
    answer: { ...KEY, state: 'deleted', purge_at: AT },
    shows: ['deleted', `destroyed at  ${AT}`],
  },
  { line: 'key recover weights', call: 'POST /v1/keys/weights/recover', body: {}, answer: KEY, shows: [] },
  {
    line: 'attester trust ak.pub --deployment llm --name node-1',
    call: 'POST /v1/attesters',
    body: { deployment: 'llm', name: 'node-1', public: 'AAEC' },
    answer: ATTESTER,
    status: 201,
    shows: ['Deployment llm trusts attester node-1.', SHA],
  },
  {
    line: `attester trust ${SHA.toUpperCase()} --deployment llm`,
    call: 'POST /v1/attesters',
    body: { deployment: 'llm', spki_sha256: SHA },
    answer: ATTESTER,
    status: 201,
    shows: [],
  },
  {
    line: 'attester list',
    call: 'GET /v1/attesters?limit=1000',
    answer: listOf(ATTESTER),
    shows: ['node-1', 'pinned', SHA],
  },
  {
    line: 'attester show node-1',
    call: 'GET /v1/attesters/node-1',
    answer: ATTESTER,
    shows: ['-----BEGIN PUBLIC KEY-----'],
  },
  { line: 'attester show ../keys', call: 'GET /v1/attesters/..%2Fkeys', answer: ATTESTER, shows: [] },
  {
    line: 'attester revoke node-1',
    call: 'POST /v1/attesters/node-1/revoke',
    body: {},
    answer: { ak_spki_sha256: SHA, state: 'revoked' },
    shows: ['Attester node-1 is revoked', SHA],
  },
  {
    line: 'token list',
    call: 'GET /v1/tokens?limit=1000',
    answer: listOf(TOKEN_VIEW),
    shows: ['0123456789abcdef', 'ci', 'active'],
  },
  {
    line: 'token revoke 0123456789abcdef',
    call: 'DELETE /v1/tokens/0123456789abcdef',
    answer: { ...TOKEN_VIEW, state: 'revoked' },
    shows: ['Token 0123456789abcdef (ci) is revoked.'],
  },
  {
    line: 'kek rotate',
    call: 'POST /v1/kek/rotate',
    body: {},
    answer: { kek: 'kek-2', rewrapped: 5 },
    shows: ['KEK kek-2 is active; 5 wrappings were renewed.'],
  },
  {
    line: 'entries --type release --deployment llm',
    call: 'GET /v1/entries?type=release&deployment=llm&limit=50',
    answer: { items: [ENTRY], next_cursor: 'c1' },
    shows: [], // pages are followed; see below
  },
  {
    line: 'entries --limit 1 --cursor c0',
    call: 'GET /v1/entries?limit=1&cursor=c0',
    answer: listOf(ENTRY),
    shows: ['release', 'deployment=llm key=weights'],
  },
];

describe('each command makes its one call and shows the answer', () => {
  test.each(CASES.map((each) => [each.line.slice(0, 90), each] as const))(
    '%s',
    async (_line, { line, call, body, answer, status = 200, shows }) => {
      broker.answer({ status, body: answer }, { status: 200, body: { items: [] } });
      const people = await run(line);
      expect(people).toMatchObject({ code: 0, stderr: '' });
      const [request] = broker.received;
      expect(`${request!.method} ${request!.url}`).toBe(call);
      expect(request!.body).toEqual(body);
      expect(request!.headers.authorization).toBe(`Bearer ${TOKEN}`);
      for (const text of shows) expect(people.stdout).toContain(text);
      expect(people.stdout + people.stderr).not.toContain('SECRET');

      broker.answer({ status, body: answer }, { status: 200, body: { items: [] } });
      // Global options after the command are the command's own business, and go nowhere.
      const json = await run(`${line} --json --url ${broker.url}`);
      expect(json.code).toBe(0);
      expect(broker.received[0]!.body).toEqual(body);
      expect(typeof onlyJson(json.stdout)).toBe('object');
    },
  );

  test('--json prints the answer of the broker as it is', async () => {
    broker.answer({ status: 200, body: KEY });
    expect(onlyJson((await run('key show weights --json')).stdout)).toEqual(KEY);
  });
});

describe('global options', () => {
  test('work before and after the sub-command, the later one counts', async () => {
    for (const line of ['--json key list', 'key --json list', 'key list --json']) {
      broker.answer({ status: 200, body: listOf(KEY) });
      expect(onlyJson((await run(line)).stdout)).toEqual(listOf(KEY));
    }
    broker.answer({ status: 200, body: listOf(KEY) });
    const { code } = await run(['--url', 'http://127.0.0.1:1', 'key', 'list', '--url', broker.url]);
    expect(code).toBe(0);
  });

  test('the token comes from --token-file, PORTCULLIS_TOKEN or PORTCULLIS_TOKEN_FILE, in that order', async () => {
    const bearer = async (args: string, env: Record<string, string>, stdin?: string) => {
      broker.answer({ status: 200, body: listOf(KEY) });
      await run(args, { env: { PORTCULLIS_URL: broker.url, ...env }, ...(stdin === undefined ? {} : { stdin }) });
      return broker.only().headers.authorization;
    };
    expect(await bearer('key list --token-file token', { PORTCULLIS_TOKEN: 'pc_other_other' })).toBe(`Bearer ${TOKEN}`);
    expect(await bearer('key list --token-file -', {}, 'pc_in_stdin\n')).toBe('Bearer pc_in_stdin');
    expect(await bearer('key list', { PORTCULLIS_TOKEN: 'pc_env_env', PORTCULLIS_TOKEN_FILE: 'token' })).toBe(
      'Bearer pc_env_env',
    );
    expect(await bearer('key list', { PORTCULLIS_TOKEN_FILE: 'token' })).toBe(`Bearer ${TOKEN}`);
    expect(await bearer('key list', { PORTCULLIS_TOKEN: '' })).toBeUndefined();
  });

  test('a token that could not be a header is wrong usage and is not printed', async () => {
    const { code, stderr } = await run('key list', {
      env: { PORTCULLIS_URL: broker.url, PORTCULLIS_TOKEN: 'pc_a_b\nx: SECRET' },
    });
    expect(code).toBe(2);
    expect(stderr).not.toContain('SECRET');
  });

  test('a token typed as an argument is not printed again', async () => {
    for (const line of [`token revoke ${TOKEN}`, `key list --token=${TOKEN}`, TOKEN, `key show ${TOKEN}`]) {
      for (const flag of ['', ' --json']) {
        const { code, stdout, stderr } = await run(line + flag);
        expect(code).toBe(2);
        expect(stdout + stderr).not.toContain('SECRET');
      }
    }
  });

  test.each(['ftp://x', 'no url', 'http://user:pass@host', 'http://host/?a=b', 'http://host/#x'])(
    '--url %s is wrong usage',
    async (url) => {
      const { code, stderr } = await run(['key', 'list', '--url', url]);
      expect(code).toBe(2);
      expect(stderr).toContain('--url');
      expect(stderr).not.toContain('user');
    },
  );

  test('a path in --url is kept', async () => {
    broker.answer({ status: 200, body: listOf(KEY) });
    await run(['key', 'list', '--url', `${broker.url}/keys-of-ours/`]);
    expect(broker.only().url).toBe('/keys-of-ours/v1/keys?limit=1000');
  });

  test('--ca wants https and a certificate', async () => {
    expect((await run(['key', 'list', '--ca', 'p.json'])).stderr).toContain('--ca needs an https:// URL');
    const notPem = await run(['key', 'list', '--url', 'https://127.0.0.1:1', '--ca', 'p.json']);
    expect(notPem).toMatchObject({ code: 2 });
    expect(notPem.stderr).toContain('no PEM certificate');
    expect((await run(['key', 'list', '--url', 'https://127.0.0.1:1', '--ca', 'none'])).code).toBe(2);
  });

  test('stdin is read once only', async () => {
    const { code, stderr } = await run('key import weights --file - --deployment llm --token-file -', { stdin: '{}' });
    expect(code).toBe(2);
    expect(stderr).toContain('once only');
  });

  test('a token that goes to another machine in the clear is warned of', async () => {
    const { stderr } = await run(['key', 'list', '--url', 'http://host.invalid:1']);
    expect(stderr).toContain('warning: the token goes to host.invalid:1 in the clear');
  });
});

describe('lists', () => {
  test('are read page by page', async () => {
    broker.answer(
      { status: 200, body: { items: [{ ...KEY, name: 'a' }], next_cursor: 'c1' } },
      { status: 200, body: { items: [{ ...KEY, name: 'b' }] } },
    );
    const { stdout } = await run('key list --json');
    expect(broker.received.map(({ url }) => url)).toEqual(['/v1/keys?limit=1000', '/v1/keys?limit=1000&cursor=c1']);
    expect((onlyJson(stdout)['items'] as { name: string }[]).map(({ name }) => name)).toEqual(['a', 'b']);
  });

  test('end at --limit and say where to go on', async () => {
    broker.answer({ status: 200, body: { items: [ENTRY], next_cursor: 'c1' } });
    expect(onlyJson((await run('entries --limit 1 --json')).stdout)).toEqual({ items: [ENTRY], next_cursor: 'c1' });
    broker.answer({ status: 200, body: { items: [ENTRY], next_cursor: 'c1' } });
    expect((await run('entries --limit 1')).stdout).toContain('More: --cursor c1');
  });

  test('that never end are given up', async () => {
    broker.answer({ status: 200, body: { items: [KEY], next_cursor: 'c1' } });
    const { code, stderr } = await run('key list');
    expect(code).toBe(1);
    expect(stderr).toContain('the same page twice');
  });
});

describe('deployment apply', () => {
  test('sends the document with its files and prints the difference, warnings on stderr', async () => {
    broker.answer({ status: 200, body: APPLIED });
    const { code, stdout, stderr } = await run('deployment apply d.yaml');
    expect(code).toBe(0);
    const { method, url, body } = broker.only();
    expect(`${method} ${url}`).toBe('PUT /v1/deployments/llm?dry_run=false');
    expect(body).toEqual({
      apiVersion: 'portcullis/v1',
      kind: 'Deployment',
      metadata: { name: 'llm' },
      policies: [{ content: base64url('{"allow":1}\n') }],
      platform: { pcrs: { '4': [SHA], '7': [SHA] } },
      attesters: { trust: ['pinned'] },
    });
    expect(stdout).toBe(
      `+ /policies/${SHA}\n- /platform/pcrs/7: ["aa"]\n~ /measurement/pcr: 8 -> 12\nDeployment llm: updated.\n`,
    );
    expect(stderr).toBe('warning: measurement.pcr 8: GRUB extends it\n');
  });

  test('--dry-run says what would be done', async () => {
    const changes = [{ path: '', change: 'added', after: { name: 'llm' } }];
    broker.answer({ status: 200, body: { ...APPLIED, changes, created: true, dry_run: true } });
    expect((await run('deployment apply d.yaml --dry-run')).stdout).toBe(
      '+ document: {"name":"llm"}\nDeployment llm: would be created.\n',
    );
    expect(broker.only().url).toBe('/v1/deployments/llm?dry_run=true');
    broker.answer({ status: 200, body: { ...APPLIED, changes: [] } });
    expect((await run('deployment apply d.yaml')).stdout).toBe('Deployment llm: unchanged.\n');
  });

  test('files are relative to the document', async () => {
    broker.answer({ status: 200, body: APPLIED });
    expect(await run(['deployment', 'apply', join(dir, 'd.yaml')], { cwd: tmpdir() })).toMatchObject({ code: 0 });
  });

  test.each([
    ['the same member twice', 'a: 1\na: 2', 'line 2'],
    ['the same member twice, once as a number', 'platform: {pcrs: {4: [], "4": []}}', 'line 1'],
    ['the same member twice in JSON', '{"a":1,"a":2}', 'line 1'],
    ['two documents', 'a: 1\n---\nb: 2', ''],
    ['an unknown tag', 'a: !!js/function x', 'line 1'],
    ['aliases that explode', `a: &a [x]\nb: &b [${'*a,'.repeat(99)}*a]\nc: [${'*b,'.repeat(99)}*b]`, 'alias'],
    ['no document', '', 'must be an object'],
    ['an unknown member', 'apiVersion: portcullis/v1\nkind: Deployment\nmetadata: {name: llm}\nx: 1', ''],
    ['no UTF-8', Buffer.from([0x61, 0xff]), 'UTF-8'],
  ])('refuses %s', async (_what, text, says) => {
    writeFileSync(join(dir, 'bad.yaml'), text);
    const { code, stdout, stderr } = await run('deployment apply bad.yaml --json');
    expect(code).toBe(1);
    expect(onlyJson(stdout)).toMatchObject({ ok: false, reason: 'request.malformed' });
    expect(stderr).toContain(says);
    expect(stderr.trimEnd()).not.toContain('\n');
  });

  test('a file that the document names and that cannot be read is wrong usage', async () => {
    const document = readFileSync(join(dir, 'd.yaml'), 'utf8');
    for (const name of ['none.json', '.', '/dev/zero']) {
      writeFileSync(join(dir, 'names.yaml'), document.replace('p.json', name));
      const { code, stderr } = await run('deployment apply names.yaml');
      expect(code).toBe(2);
      expect(stderr).toContain(`cannot read ${name}, which the document names`);
    }
  });

  test('deployment lint needs no broker', async () => {
    const env = { PORTCULLIS_URL: 'http://127.0.0.1:1' };
    const { code, stdout, stderr } = await run('deployment lint d.yaml --json', { env });
    expect(code).toBe(0);
    expect(onlyJson(stdout)).toMatchObject({ deployment: 'llm' });
    expect(stderr).toContain('GRUB');
    writeFileSync(join(dir, 'open.yaml'), readFileSync(join(dir, 'd.yaml'), 'utf8').replace(/platform.*/, ''));
    expect((await run('deployment lint open.yaml', { env })).stderr).toContain('deployment.unmeasured_boot');
    expect((await run('deployment lint open.yaml --profile development', { env })).code).toBe(0);
  });
});

describe('key link and unlink', () => {
  test('read the list, change it and set it', async () => {
    for (const [line, deployments] of [
      ['key link weights --deployment other --deployment llm', ['llm', 'other']],
      ['key unlink weights --deployment llm', []],
    ] as const) {
      broker.answer({ status: 200, body: KEY });
      expect(await run(line)).toMatchObject({ code: 0 });
      expect(broker.received.map(({ method, url }) => `${method} ${url}`)).toEqual([
        'GET /v1/keys/weights',
        'PUT /v1/keys/weights/deployments',
      ]);
      expect(broker.received[1]!.body).toEqual({ deployments });
    }
  });

  test('stop where the key cannot be read', async () => {
    broker.answer(problem(404, 'key.unknown'));
    expect((await run('key link weights --deployment llm')).code).toBe(1);
    expect(broker.received).toHaveLength(1);
  });
});

describe('key import', () => {
  test('reads stdin', async () => {
    broker.answer({ status: 201, body: KEY });
    await run('key import weights --file - --deployment llm', { stdin: Buffer.from([0x30, 0x82]) });
    expect(broker.only().body).toMatchObject({ material: { format: 'pkcs8', data: 'MII' } });
  });

  test('an empty file, and one that is too large for any key, is refused without a call', async () => {
    broker.answer({ status: 201, body: KEY });
    for (const stdin of ['', Buffer.alloc(128 * 1024 + 1)]) {
      const { code, stdout } = await run('key import weights --file - --deployment llm --raw --json', { stdin });
      expect(code).toBe(1);
      expect(onlyJson(stdout)).toMatchObject({ reason: 'request.malformed' });
    }
    expect(broker.received).toHaveLength(0);
  });
});

describe('token create', () => {
  const created = { ...TOKEN_VIEW, token: 'pc_new_new' };

  test('prints the token alone on stdout, with advice on stderr', async () => {
    broker.answer({ status: 201, body: created });
    const { code, stdout, stderr } = await run('token create ci --role operator --expires-in 90d');
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'pc_new_new\n' });
    expect(stderr).toContain('shown this once');
    expect(stderr).not.toContain('pc_new');
    expect(broker.only().body).toEqual({
      name: 'ci',
      role: 'operator',
      expires_at: new Date(NOW_MS + 90 * 86_400_000).toISOString(),
    });
    broker.answer({ status: 201, body: created });
    expect(onlyJson((await run('token create ci --role operator --json')).stdout)).toEqual(created);
    expect(broker.only().body).toEqual({ name: 'ci', role: 'operator' });
  });

  test('--out writes it into a new file that only its owner can read', async () => {
    broker.answer({ status: 201, body: created });
    const { stdout } = await run('token create ci --role operator --out ci.token --json');
    expect(stdout).not.toContain('pc_new');
    expect(readFileSync(join(dir, 'ci.token'), 'utf8')).toBe('pc_new_new\n');
    expect(statSync(join(dir, 'ci.token')).mode & 0o777).toBe(0o600);
    broker.answer({ status: 201, body: created });
    const again = await run('token create ci --role operator --out ci.token');
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('exists already') });
    expect(broker.received).toHaveLength(0);
  });

  test('leaves no file where the broker refuses', async () => {
    broker.answer(problem(403, 'auth.role'));
    expect((await run('token create ci --role admin --out no.token')).code).toBe(1);
    expect(() => statSync(join(dir, 'no.token'))).toThrow('ENOENT');
  });
});

describe('wrong usage is exit 2, and no call is made', () => {
  test.each([
    'policy hash none.json',
    'policy hash .',
    'policy register p.json',
    'policy register p.json --deployment Llm',
    'policy register p.json --deployment -llm',
    'policy register p.json --deployment llm --not-after 2027-11-01',
    'policy register p.json --deployment llm --not-after 2027-13-01T00:00:00Z',
    'policy show abc',
    'key create we_ights --deployment llm',
    'key create weights --type oct',
    'key create weights --type DSA --deployment llm',
    'key create weights --size 0x100 --deployment llm',
    'key create weights --size 129 --deployment llm',
    'key create weights --type oct --curve P-256 --deployment llm',
    'key create weights --type EC --size 256 --deployment llm',
    'key create weights --type EC --curve X25519 --deployment llm',
    'key import weights --file none --deployment llm',
    'key import weights --deployment llm',
    'key show weights --version 1',
    'key delete weights --recovery-days -1',
    'attester trust none --deployment llm',
    'attester show ..',
    'token create ci',
    'token create ci --role root',
    'token create ci --role admin --expires-in 5',
    'token create ci --role admin --expires-in 5d --expires-at 2027-01-01T00:00:00Z',
    'entries --limit 0',
    'entries --limit 1e3',
    'deployment apply none.yaml',
    'workload release --deployment llm --key weights --tpm swtpm:port=1',
    'workload release --deployment llm --key weights --tpm device:dev/tpm0',
    'workload ak --tpm simulator',
    'workload ak --tpm device:/dev/tpm0 --ak-handle 1',
    'completion tcsh',
  ])('%s', async (line) => {
    broker.answer({ status: 500, body: {} });
    const { code, stdout, stderr } = await run(line);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^portcullis: [^\n]+; see `portcullis [^\n]+ --help`\n$/);
    expect(broker.received).toHaveLength(0);
  });
});
