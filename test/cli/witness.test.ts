import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { serveWitness } from '../../src/cli/compose/witness.js';
import { parseVerifierKey, TYPE_COSIGNATURE } from '../../src/translog/note.js';
import { SignedLog } from '../helpers/signed-log.js';
import { createAuthority } from '../http/pki.js';
import { onlyJson, portcullis } from './harness.js';

const log = new SignedLog('broker.example/0011223344556677');

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-witness-cli-'));
  writeFileSync(join(dir, 'log.vkey'), `${log.signer.vkey}\n`);
});
afterEach(() => rmSync(dir, { recursive: true }));

const run = (line: string) => portcullis(line.split(' '), { cwd: dir });
const init = async () => onlyJson((await run('witness init --data-dir w --name witness.example/w1 --json')).stdout);

/** Runs a witness in this process while `work` uses it. */
async function serving(work: (url: string) => Promise<void>): Promise<void> {
  let stop = (): void => undefined;
  const untilStopped = new Promise<void>((resolve) => (stop = resolve));
  let served: Promise<unknown> = Promise.resolve();
  const url = await new Promise<string>((onListening, fail) => {
    served = serveWitness({
      dataDir: join(dir, 'w'),
      logs: [parseVerifierKey(log.signer.vkey)],
      listen: { host: '127.0.0.1', port: 0 },
      clock: () => 1_800_000_000_000,
      onListening,
      untilStopped,
    });
    served.catch(fail);
  });
  try {
    await work(url);
  } finally {
    stop();
    expect(await served).toMatchObject({ ok: true });
  }
}

describe('witness init', () => {
  test('makes a key of its own, and prints the vkey of type 04', async () => {
    const { name, key } = await init();
    expect(name).toBe('witness.example/w1');
    expect(parseVerifierKey(String(key))).toMatchObject({ name, type: TYPE_COSIGNATURE });
    expect(statSync(join(dir, 'w', 'witness.json')).mode & 0o777).toBe(0o600);
    const other = await run('witness init --data-dir other --name witness.example/w1 --json');
    expect(onlyJson(other.stdout)['key']).not.toBe(key);
  });

  test('shows people the vkey and what to do with it, and never the seed', async () => {
    const { code, stdout, stderr } = await run('witness init --data-dir w --name witness.example/w1');
    expect(code).toBe(0);
    expect(stdout).toMatch(/witness\.example\/w1\+[0-9a-f]{8}\+/);
    expect(stdout).toContain('portcullis witness serve --data-dir w');
    const { seed } = JSON.parse(readFileSync(join(dir, 'w', 'witness.json'), 'utf8')) as { seed: string };
    expect(stdout + stderr).not.toContain(seed);
  });

  test('leaves a directory that holds anything as it is: exit 1', async () => {
    const { key } = await init();
    const again = await run('witness init --data-dir w --name witness.example/w2 --json');
    expect(again.code).toBe(1);
    expect(onlyJson(again.stdout)).toMatchObject({ reason: 'resource.exists' });
    expect(onlyJson((await run('witness show --data-dir w --json')).stdout)).toMatchObject({ key });
  });

  test('refuses names that no key may have', async () => {
    for (const name of ['a+b', '']) {
      const { code, stderr } = await portcullis(['witness', 'init', '--data-dir', 'w', '--name', name], { cwd: dir });
      expect([code, stderr]).toEqual([2, expect.stringContaining('Key names are not empty')]);
    }
    expect((await portcullis(['witness', 'init', '--data-dir', 'w', '--name', 'a b'], { cwd: dir })).code).toBe(2);
  });
});

describe('witness serve', () => {
  test('is wrong usage without a log, with a file that holds no log key, or with half of TLS', async () => {
    const { key } = await init();
    writeFileSync(join(dir, 'witness.vkey'), String(key));
    writeFileSync(join(dir, 'noise'), 'noise');
    const refused = async (line: string) => {
      const { code, stderr } = await run(`witness serve --data-dir w ${line}`);
      expect(code).toBe(2);
      return stderr;
    };
    expect(await refused('')).toContain("required option '--log <key>'");
    expect(await refused('--log missing')).toContain('there is no such file');
    expect(await refused('--log noise')).toContain('--log noise: not a verifier key');
    expect(await refused('--log witness.vkey')).toContain('key of a witness, not of a log');
    expect(await refused('--log log.vkey --log log.vkey')).toContain('two --log are of one log');
    expect(await refused('--log log.vkey --listen nonsense')).toContain('--listen needs HOST:PORT');
    expect(await refused('--log log.vkey --tls-cert a.pem')).toContain('go together');
    expect(await refused('--log log.vkey --tls-cert missing --tls-key missing')).toContain('there is no such file');
    const { cert } = createAuthority('test').issue('localhost');
    writeFileSync(join(dir, 'c.pem'), cert);
    writeFileSync(join(dir, 'k.pem'), createAuthority('other').key);
    expect(await refused('--log log.vkey --listen 127.0.0.1:0 --tls-cert c.pem --tls-key k.pem')).toContain(
      'not the private key',
    );
  });

  test('says what is wrong with its directory: exit 1', async () => {
    const serve = () => run('witness serve --data-dir w --log log.vkey --listen 127.0.0.1:0 --json');
    const reasonOf = async () => {
      const { code, stdout } = await serve();
      expect(code).toBe(1);
      const { reason, detail } = onlyJson(stdout);
      expect(reason).toBe('resource.state');
      return String(detail);
    };
    expect(await reasonOf()).toContain('portcullis witness init --data-dir');
    await init();
    rmSync(join(dir, 'w', 'origins'));
    expect(await reasonOf()).toContain('without it a lost checkpoint is not noticed');
  });

  test('is refused while another runs on the directory, or where another listens', async () => {
    await init();
    await serving(async (url) => {
      const line = `witness serve --data-dir w --log log.vkey --listen ${new URL(url).host} --json`;
      expect(onlyJson((await run(line)).stdout)).toMatchObject({
        reason: 'resource.state',
        detail: expect.stringContaining('held by another witness') as unknown,
      });
      await run('witness init --data-dir w2 --name witness.example/w2');
      expect((await run(line.replace('-dir w ', '-dir w2 '))).stdout).toContain('another process listens there');
    });
  });
});

describe('witness show', () => {
  test('says who it is and what it has cosigned, also while it runs', async () => {
    const { key } = await init();
    expect((await run('witness show --data-dir w')).stdout).toContain('It has cosigned nothing yet.');
    await serving(async (url) => {
      const answer = await fetch(`${url}/add-checkpoint`, { method: 'POST', body: log.body(0, 9) });
      const line = await answer.text();
      const { code, stdout } = await run('witness show --data-dir w --json');
      expect(code).toBe(0);
      expect(onlyJson(stdout)).toEqual({
        name: 'witness.example/w1',
        key,
        logs: [
          {
            origin_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
            origin: log.origin,
            size: 9,
            root: log.root(9).toString('base64'),
            cosigned_at: '2027-01-15T08:00:00.000Z',
            checkpoint: `${log.checkpoint(9)}${line}`,
          },
        ],
      });
      const forPeople = await run('witness show --data-dir w');
      expect(forPeople.stdout).toContain(`${log.origin}  9`);
      expect(forPeople.stdout).toContain(String(key));
    });
  });

  test('is exit 1 where something is damaged, and says what', async () => {
    await init();
    await serving(async (url) => {
      await fetch(`${url}/add-checkpoint`, { method: 'POST', body: log.body(0, 9) });
    });
    const { logs } = onlyJson((await run('witness show --data-dir w --json')).stdout) as {
      logs: [{ origin_sha256: string }];
    };
    rmSync(join(dir, 'w', 'checkpoints', logs[0].origin_sha256));
    const { code, stdout, stderr } = await run('witness show --data-dir w');
    expect(code).toBe(1);
    expect(stdout).toContain('damaged');
    expect(stderr).toContain('is missing: nothing more is cosigned for this log');
    expect((await run('witness show --data-dir nowhere')).code).toBe(1);
  });
});
