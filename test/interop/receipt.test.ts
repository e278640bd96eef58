import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { request } from 'undici';
import { portcullis } from '../helpers/portcullis.js';
import { ServedBroker } from '../helpers/served-broker.js';
import { provision, wireRequest } from '../helpers/wire-workload.js';
import type { WireReceipt } from '../helpers/test-log.js';

const SCRIPT = fileURLToPath(new URL('../../scripts/interop/verify-receipt.py', import.meta.url));
const run = promisify(execFile);
const available = ['python3', 'openssl'].every((tool) => existsSync(`/usr/bin/${tool}`));
const RELEASES = 9;

interface ReleaseAnswer {
  readonly jwe: string;
  readonly receipt: WireReceipt;
}

describe('receipts of a running broker', () => {
  let dir: string;
  let broker: ServedBroker;
  const answers: ReleaseAnswer[] = [];

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'portcullis-interop-'));
    broker = await ServedBroker.start();
    const machine = await provision(broker);
    for (let at = 0; at < RELEASES; at++) {
      const { status, body } = await broker.call('POST', '/v1/releases', await wireRequest(broker, machine));
      expect(status).toBe(200);
      answers.push(body as unknown as ReleaseAnswer);
    }
    const { body } = await request(`${broker.url}/log/key`);
    save('log.vkey', await body.text());
  });

  afterAll(async () => {
    await broker.close();
    rmSync(dir, { recursive: true });
  });

  function save(name: string, content: string): string {
    writeFileSync(join(dir, name), content);
    return join(dir, name);
  }

  /** What the script says of an answer; its complaint where it refuses. */
  async function verified(answer: unknown, ...jwe: readonly string[]): Promise<string> {
    const file = save('answer.json', JSON.stringify(answer));
    const args = [SCRIPT, file, join(dir, 'log.vkey'), ...jwe];
    const ran = run('python3', args).catch((error: unknown) => error as { stdout: string; stderr: string });
    const { stdout, stderr } = await ran;
    return stdout === '' ? stderr : stdout;
  }

  (available ? test : test.skip)('verify with python and openssl alone', async () => {
    for (const [at, answer] of answers.entries()) {
      expect(JSON.parse(await verified(answer))).toMatchObject({ type: 'release', deployment: 'llm', key: 'weights' });
      if (at > 0) expect(answer.receipt.index).toBeGreaterThan(answers[at - 1]!.receipt.index);
    }
    const [first] = answers as [ReleaseAnswer];
    expect(JSON.parse(await verified(first.receipt, save('weights.jwe', first.jwe)))).toMatchObject({
      type: 'release',
    });
  });

  (available ? test : test.skip)('are refused by them when they are altered', async () => {
    const [first, second] = answers as [ReleaseAnswer, ReleaseAnswer];
    const { receipt } = second;
    const proof = [...receipt.proof.slice(0, -1), 'A'.repeat(43)];
    const altered: readonly [unknown, RegExp][] = [
      [{ ...second, jwe: first.jwe }, /wrapped key/],
      [{ ...second, receipt: { ...receipt, index: receipt.index - 1 } }, /proof/],
      [{ ...second, receipt: { ...receipt, proof } }, /proof/],
      [{ ...second, receipt: { ...receipt, entry: receipt.entry.replace('"llm"', '"llm2"') } }, /proof/],
      [{ ...second, receipt: { ...receipt, checkpoint: first.receipt.checkpoint } }, /index|proof/],
      [
        { ...second, receipt: { ...receipt, checkpoint: receipt.checkpoint.replace(/\n\d+\n/, '\n99\n') } },
        /signature/,
      ],
      [{ ...second, receipt: undefined }, /refused/],
    ];
    for (const [answer, complaint] of altered) expect(await verified(answer)).toMatch(complaint);
  });

  test('verify with the command, offline', async () => {
    const last = answers.at(-1)!;
    const line = ['receipt', 'verify', save('last.json', JSON.stringify(last)), '--log-key', join(dir, 'log.vkey')];
    const { code, stdout } = await portcullis([...line, '--deployment', 'llm', '--key', 'weights', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, proved: { index: last.receipt.index, jwe: true } });
  });
});
