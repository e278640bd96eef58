import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { start } from '../http/harness.js';
import { ADMIN, bootedMachine, released, TestBroker, valueOf } from '../helpers/test-broker.js';
import { fakeBroker, onlyJson, portcullis, problem, type FakeBroker } from './harness.js';

const ID = '0123456789abcdef0123456789abcdef';
const SAME = {
  release_id: ID,
  index: 7,
  same: true,
  appraised_at: '2026-11-22T00:00:00.000Z',
  decision: { met: true, conditions: [] },
  claims: { tpm: {} },
  differences: [],
  log: { type: 'release' },
};
const OTHER = {
  ...SAME,
  same: false,
  decision: { met: false, conditions: [] },
  refusal: { reason: 'policy.hash', detail: 'no registered policy was measured' },
  differences: [
    { member: 'outcome', recorded: 'released', replayed: 'policy.hash' },
    { member: 'policy_sha384', replayed: 'ab' },
    { member: 'decision', recorded: { met: true } },
  ],
};

let dir: string;
let broker: FakeBroker;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-cli-'));
  broker = await fakeBroker();
});
afterAll(async () => {
  await broker.close();
  rmSync(dir, { recursive: true });
});

const run = (...args: readonly string[]) =>
  portcullis(['replay', ...args], { cwd: dir, env: { PORTCULLIS_URL: broker.url, PORTCULLIS_TOKEN: 'pc_a_b' } });

describe('portcullis replay', () => {
  test('asks the broker, in any case of the id, and says that it comes to the same', async () => {
    broker.answer({ status: 200, body: SAME });
    const { code, stdout, stderr } = await run('--release', ID.toUpperCase());
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`Release ${ID}, entry 7, appraised at 2026-11-22`);
    expect(stdout).not.toContain('NOT');
    expect(broker.only()).toMatchObject({ method: 'GET', url: `/v1/releases/${ID}/replay` });
  });

  test('ends with 1 where it comes to something else, and shows what', async () => {
    broker.answer({ status: 200, body: OTHER });
    const { code, stdout } = await run('--release', ID);
    expect(code).toBe(1);
    for (const shown of ['NOT', 'policy.hash: no registered policy', 'outcome', '(absent)', '{"met":true}']) {
      expect(stdout).toContain(shown);
    }
    const json = await run('--release', ID, '--json');
    expect(json.code).toBe(1);
    expect(onlyJson(json.stdout)).toEqual(OTHER);
  });

  test('writes the request as it was received, for its owner alone, and not into the answer', async () => {
    const presented = { nonce: 'n', evidence: { tpm: { quoted: 'AA' } } };
    broker.answer({ status: 200, body: { ...SAME, presented } });
    const { code, stdout } = await run('--release', ID, '--evidence-out', 'request.json', '--json');
    expect(code).toBe(0);
    expect(onlyJson(stdout)).toEqual(SAME);
    expect(broker.only().url).toBe(`/v1/releases/${ID}/replay?evidence=true`);
    expect(JSON.parse(readFileSync(join(dir, 'request.json'), 'utf8'))).toEqual(presented);
    expect(statSync(join(dir, 'request.json')).mode & 0o777).toBe(0o600);
  });

  test('passes a refusal on, and leaves no file', async () => {
    broker.answer(problem(404, 'resource.unknown'));
    const { code, stdout, stderr } = await run('--release', ID, '--evidence-out', 'none.json');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^portcullis: resource\.unknown: why resource\.unknown/);
    expect(readdirSync(dir).filter((name) => name.startsWith('none'))).toEqual([]);
  });

  test.each([[['--release', 'abc']], [['--release', `${ID}0`]], [[]], [['--release', ID, '--evidence-out', 'no/dir']]])(
    'is wrong usage with %j',
    async (args) => {
      broker.answer({ status: 200, body: SAME });
      expect((await run(...args)).code).toBe(2);
      expect(broker.received).toHaveLength(0);
    },
  );
});

test('an auditor replays a release of a real broker over HTTP; without a token nobody does', async () => {
  const real = await TestBroker.start({ archiveEvidence: true });
  const machine = await bootedMachine();
  await real.deploy('llm');
  await real.pin(machine, 'llm');
  await real.key('weights', 'llm');
  const { release_id: id } = released(await real.release(machine, { deployment: 'llm', key: 'weights' }));
  const { token } = valueOf(await real.broker.createToken(ADMIN, { name: 'audit', role: 'auditor' }));
  const http = await start({ broker: { ...real.broker, calls: [] } });
  try {
    const ask = (env: Readonly<Record<string, string>>, ...more: readonly string[]) =>
      portcullis(['replay', '--release', id, '--json', ...more], {
        cwd: dir,
        env: { PORTCULLIS_URL: http.url, ...env },
      });
    const { code, stdout } = await ask({ PORTCULLIS_TOKEN: token }, '--evidence-out', 'real.json');
    expect(code).toBe(0);
    expect(onlyJson(stdout)).toMatchObject({
      release_id: id,
      same: true,
      claims: { tpm: { ak: { trust: 'pinned' } } },
    });
    expect(JSON.parse(readFileSync(join(dir, 'real.json'), 'utf8'))).toMatchObject({ deployment: 'llm' });
    const stranger = await ask({});
    expect(stranger.code).toBe(1);
    expect(onlyJson(stranger.stdout)).toMatchObject({ ok: false, reason: 'auth.missing' });
  } finally {
    await http.stop();
    await real.close();
  }
});
