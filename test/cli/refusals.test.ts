import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MAX_BUNDLE_BYTES } from '../../src/collateral/bundle.js';
import { REASONS } from '../../src/reason/reason.js';
import { adviceFor } from '../../src/cli/advice.js';
import { fakeBroker, nobody, onlyJson, portcullis, problem, type FakeBroker } from './harness.js';

let broker: FakeBroker;
beforeAll(async () => {
  broker = await fakeBroker();
});
afterAll(() => broker.close());

const run = (line: string, more: object = {}) =>
  portcullis(line.split(' '), { env: { PORTCULLIS_URL: broker.url }, ...more });

const DECISION = {
  met: false,
  conditions: [
    { claim: 'tpm.pcrs.sha256.8', operator: 'in', expected: ['aa', 'bb'], found: 'cc', met: false, note: 'policy PCR' },
    { claim: 'tpm.pcrs.sha256.4', operator: 'in', expected: ['dd'], found: 'dd', met: true },
    {
      authority: 'portcullis',
      met: false,
      anyOf: [
        { claim: 'tpm.safe', operator: 'equals', expected: true, found: null, met: false },
        { claim: 'tpm.clock', operator: 'greater', found: 5, met: false },
      ],
    },
  ],
};

describe('a refusal', () => {
  test('is exit 1, one line on stderr with reason, detail, advice and request id', async () => {
    broker.answer(problem(404, 'key.unknown'));
    const { code, stdout, stderr } = await run('key show weights');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      'portcullis: key.unknown: why key.unknown; `portcullis key list` shows the keys and the deployments that may draw them (request req-1)\n',
    );
  });

  test('shows the conditions that are not met, with expected and found', async () => {
    broker.answer(problem(403, 'policy.pcr', { decision: DECISION }));
    const { code, stdout } = await run('workload release --deployment llm --key weights');
    expect(code).toBe(1);
    expect(stdout).toContain('Not met:');
    const lines = stdout.split('\n').map((line) => line.split(/ {2,}/));
    expect(lines).toContainEqual(['claim', 'operator', 'expected', 'found', 'note']);
    expect(lines).toContainEqual(['tpm.pcrs.sha256.8', 'in', 'aa, bb', 'cc', 'policy PCR']);
    expect(lines).toContainEqual(['tpm.safe', 'equals', 'true', '(absent)']);
    expect(lines).toContainEqual(['tpm.clock', 'greater', '(not shown)', '5']);
    expect(stdout).not.toContain('tpm.pcrs.sha256.4');
  });

  test('is passed on whole by --json', async () => {
    broker.answer(problem(403, 'policy.pcr', { decision: DECISION }));
    const { stdout } = await run('workload release --deployment llm --key weights --json');
    expect(onlyJson(stdout)).toEqual({
      ok: false,
      reason: 'policy.pcr',
      detail: 'why policy.pcr',
      status: 403,
      decision: DECISION,
      request_id: 'req-1',
    });
  });

  test('with a reason that this version does not know is passed on', async () => {
    broker.answer(problem(403, 'gpu.debug'));
    expect(onlyJson((await run('key list --json')).stdout)).toMatchObject({ reason: 'gpu.debug' });
  });

  test('cannot write control characters to the terminal', async () => {
    broker.answer(problem(403, 'policy.pcr', { detail: 'a\u001b[2Jb\nc\u202e' }));
    expect((await run('key list')).stderr).toContain('policy.pcr: a\ufffd[2Jb c\ufffd');
  });

  test.each([
    ['HTML', { status: 502, body: '<html>', raw: true as const }],
    ['no problem document', { status: 500, body: {} }],
    ['an array', { status: 200, body: [] }],
    ['a redirect', { status: 302, body: {} }],
    ['duplicate members', { status: 200, body: '{"items":[],"items":[]}', raw: true as const }],
  ])('is made of an answer that is no answer of a broker: %s', async (_what, answer) => {
    broker.answer(answer);
    const { code, stderr } = await run('key list');
    expect(code).toBe(1);
    expect(stderr).toContain('is --url a Portcullis broker?');
  });

  test('of the simulator by a production broker says what to do', async () => {
    broker.answer(problem(404, 'route.unknown'));
    const { code, stderr } = await run('workload release --deployment llm --key weights');
    expect(code).toBe(1);
    expect(stderr).toContain('--tpm device:/dev/tpmrm0');
  });
});

test('advice is given for reasons that exist, where the detail has none', () => {
  for (const reason of ['auth.missing', 'policy.hash', 'deployment.frozen']) {
    expect(Object.hasOwn(REASONS, reason)).toBe(true);
    expect(adviceFor(reason, 'no')).toBeDefined();
  }
  expect(adviceFor('toString', 'no')).toBeUndefined();
  expect(adviceFor('key.unknown', 'no such key; see: portcullis key list')).toBeUndefined();
});

test('advice about limits of the broker is given where the broker refused, and not for sizes that are fixed here', async () => {
  broker.answer(problem(413, 'request.too_large'));
  expect((await run('key list')).stderr).toContain('raise limits.body in the configuration of the broker');
  const directory = mkdtempSync(join(tmpdir(), 'too-large-'));
  try {
    const [file, dir] = [join(directory, 'bundle.json'), join(directory, 'collateral')];
    writeFileSync(file, '');
    truncateSync(file, MAX_BUNDLE_BYTES + 1);
    expect(await portcullis(['collateral', 'import', file, '--dir', dir])).toMatchObject({
      code: 1,
      stderr: `portcullis: request.too_large: ${file} is larger than ${String(MAX_BUNDLE_BYTES)} bytes\n`,
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

describe('no answer is exit 3', () => {
  test('connection refused', async () => {
    const { code, stderr } = await portcullis(['key', 'list', '--url', await nobody()]);
    expect(code).toBe(3);
    expect(stderr).toMatch(
      /^portcullis: cannot reach the broker at http:\/\/127.0.0.1:\d+: connection refused; start it with `portcullis serve`, or correct --url\n$/,
    );
  });

  test('a host name that does not resolve', async () => {
    const { code, stderr } = await portcullis(['key', 'list', '--url', 'https://broker.invalid']);
    expect(code).toBe(3);
    expect(stderr).toContain('the host name does not resolve');
  });

  test('https to a port that speaks plain HTTP, and what is no HTTP at all', async () => {
    const tls = await portcullis(['key', 'list', '--url', broker.url.replace('http:', 'https:')]);
    expect(tls.code).toBe(3);
    expect(tls.stderr).toContain('does not speak TLS');
    const server = createServer((socket) => {
      socket.on('error', () => undefined).resume();
      socket.end('220 mail.example ESMTP\r\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    expect(await portcullis(['key', 'list', '--url', url])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('does not speak HTTP'),
    });
    expect((await portcullis(['workload', 'release', '--deployment', 'llm', '--key', 'w', '--url', url])).code).toBe(3);
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('people', () => {
  test('see colours on a terminal, and not with NO_COLOR or TERM=dumb', async () => {
    const colours = async (env: Record<string, string>, isTerminal: boolean) => {
      broker.answer({ status: 200, body: { items: [] } });
      const { stdout } = await portcullis(['key', 'list'], { env: { PORTCULLIS_URL: broker.url, ...env }, isTerminal });
      return stdout.includes('\u001b[');
    };
    expect(await colours({}, true)).toBe(true);
    expect(await colours({}, false)).toBe(false);
    expect(await colours({ NO_COLOR: '1' }, true)).toBe(false);
    expect(await colours({ NO_COLOR: '' }, true)).toBe(true);
    expect(await colours({ TERM: 'dumb' }, true)).toBe(false);
  });

  test('get columns that line up, without lines and trailing blanks', async () => {
    const token = (id: string, name: string) => ({ id, name, role: 'admin', state: 'active', created_at: 'now' });
    broker.answer({ status: 200, body: { items: [token('1', 'long name'), token('22', 'b')] } });
    expect((await run('token list')).stdout).toBe(
      [
        'id  name       role   state   created  expires',
        '1   long name  admin  active  now',
        '22  b          admin  active  now',
        '',
      ].join('\n'),
    );
  });

  test('a fault of the program is one line, exit 1', async () => {
    const { code, stdout, stderr } = await portcullis(['init', '--data-dir', 'x', '--json']);
    expect(code).toBe(1);
    expect(onlyJson(stdout)).toMatchObject({ ok: false, reason: 'internal' });
    expect(stderr).toBe('portcullis: init was not expected; PORTCULLIS_DEBUG=1 shows where\n');
  });
});
