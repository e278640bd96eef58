import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ServeOptions } from '../../src/cli/compose/ports.js';
import { UsageError } from '../../src/cli/outcome.js';
import type { CliParts } from '../../src/cli/parts.js';
import { accept, reject } from '../../src/reason/reason.js';
import { onlyJson, portcullis } from './harness.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-serve-'));
  writeFileSync(join(dir, 'config.yaml'), 'data_dir: broker\nlisten: 127.0.0.1:1234\nexplain: codes\n');
  writeFileSync(join(dir, 'bad.yaml'), 'data_dir: broker\nlissten: 127.0.0.1:1234\n');
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const MADE = { broker: 'b1', adminToken: 'pc_0123456789abcdef_x', logKey: 'b1/1+00+AQ==' };

describe('init', () => {
  const run = (line: string, initialise?: CliParts['initialise']) => {
    const asked: unknown[] = [];
    const standard: CliParts['initialise'] = async (options) => {
      asked.push(options);
      return accept({ ...MADE, profile: options.profile });
    };
    return portcullis(line.split(' '), { cwd: dir, parts: { initialise: initialise ?? standard } }).then((ran) => ({
      ...ran,
      asked,
    }));
  };

  test('--json is exactly broker, admin_token, log_key and profile; production is the default', async () => {
    const { code, stdout, asked } = await run('init --data-dir new --json');
    expect(code).toBe(0);
    expect(onlyJson(stdout)).toEqual({
      broker: 'b1',
      admin_token: MADE.adminToken,
      log_key: MADE.logKey,
      profile: 'production',
    });
    expect(asked).toEqual([{ dataDir: join(dir, 'new'), profile: 'production' }]);
  });

  test('people see the token once, and what to do next', async () => {
    const { stdout, asked } = await run('init --data-dir new --profile development');
    expect(asked).toEqual([{ dataDir: join(dir, 'new'), profile: 'development' }]);
    expect(stdout.split(MADE.adminToken)).toHaveLength(2);
    expect(stdout).toContain('portcullis serve --data-dir new');
    expect(stdout).toContain('--token-file');
  });

  test('a directory that holds anything is exit 1', async () => {
    const taken: CliParts['initialise'] = async () => reject('resource.exists', 'D holds something');
    expect(await run('init --data-dir new', taken)).toMatchObject({ code: 1, stdout: '' });
  });

  test('wrong usage is exit 2', async () => {
    expect(await run('init')).toMatchObject({ code: 2 });
    expect(await run('init --data-dir new --profile test')).toMatchObject({ code: 2 });
  });
});

describe('serve', () => {
  const run = async (line: string, env: Record<string, string> = {}, exit: number | Error = 0) => {
    const asked: ServeOptions[] = [];
    const serve: CliParts['serve'] = async (options) => {
      asked.push(options);
      if (exit instanceof UsageError) throw exit;
      options.onListening('http://127.0.0.1:8440');
      if (typeof exit !== 'number') throw exit;
      return exit;
    };
    const ran = await portcullis(line.split(' '), { cwd: dir, env, parts: { serve } });
    return { ...ran, asked, config: asked[0]?.config };
  };

  test('prints listening on URL, and comes to what the broker comes to', async () => {
    expect(await run('serve --data-dir broker')).toMatchObject({
      code: 0,
      stdout: 'listening on http://127.0.0.1:8440\n',
      stderr: '',
    });
    expect(await run('serve --data-dir broker', {}, 1)).toMatchObject({ code: 1 });
    expect(onlyJson((await run('serve --data-dir broker --json')).stdout)).toEqual({
      listening: 'http://127.0.0.1:8440',
    });
  });

  test('a broker that fails later prints no second document', async () => {
    const { code, stdout, stderr } = await run('serve --data-dir broker --json', {}, new Error('disk gone'));
    expect(code).toBe(1);
    expect(onlyJson(stdout)).toEqual({ listening: 'http://127.0.0.1:8440' });
    expect(stderr).toBe('portcullis: the broker has failed: disk gone\n');
  });

  test('flags win over the environment, the environment over the file', async () => {
    const line = 'serve --config config.yaml';
    expect((await run(line)).config).toMatchObject({
      dataDir: join(dir, 'broker'),
      listen: { port: 1234 },
      explain: 'codes',
    });
    expect((await run(line, { PORTCULLIS_LISTEN: '127.0.0.1:2' })).config).toMatchObject({ listen: { port: 2 } });
    expect((await run(`${line} --listen [::1]:3`, { PORTCULLIS_LISTEN: '127.0.0.1:2' })).config).toMatchObject({
      listen: { host: '::1', port: 3 },
    });
    expect((await run('serve', { PORTCULLIS_CONFIG: 'config.yaml' })).config).toMatchObject({ explain: 'codes' });
  });

  test('every flag reaches the configuration', async () => {
    const { config } = await run(
      'serve --data-dir d --listen 0.0.0.0:1 --tls-cert c.pem --tls-key k.pem --profile production',
    );
    expect(config).toMatchObject({
      dataDir: join(dir, 'd'),
      listen: { host: '0.0.0.0', port: 1 },
      tls: { cert: join(dir, 'c.pem'), key: join(dir, 'k.pem') },
      profile: 'production',
    });
  });

  test('serves with as many processes as there are cores unless told otherwise', async () => {
    expect((await run('serve --data-dir d')).asked[0]?.workers).toBe(availableParallelism());
    expect((await run('serve --data-dir d --workers 3', { PORTCULLIS_WORKERS: '5' })).asked[0]?.workers).toBe(3);
    expect((await run('serve --data-dir d', { PORTCULLIS_WORKERS: '5' })).asked[0]?.workers).toBe(5);
  });

  test('--check-config says what would be used and why, and does not serve', async () => {
    const { code, stdout, asked } = await run('serve --config config.yaml --profile production --check-config');
    expect({ code, asked }).toEqual({ code: 0, asked: [] });
    expect(stdout).toContain('listen: 127.0.0.1:1234 (file)');
    expect(stdout).toContain('profile: production (flag)');
    const json = await run('serve --config config.yaml --check-config --json');
    expect(onlyJson(json.stdout)).toMatchObject({ config: { listen: { port: 1234 } }, origins: { listen: 'file' } });
  });

  test.each([
    ['no data directory', 'serve', {}],
    ['an unknown member in the file', 'serve --config bad.yaml', {}],
    ['a file that is not there', 'serve --config none.yaml', {}],
    ['production beyond loopback without TLS', 'serve --data-dir d --profile production --listen 0.0.0.0:1', {}],
    ['half of TLS', 'serve --data-dir d --tls-cert c.pem', {}],
    ['no address', 'serve --data-dir d --listen 8440', {}],
    ['no profile', 'serve --data-dir d --profile x', {}],
    ['no workers', 'serve --data-dir d --workers 0', {}],
    ['no workers in the environment', 'serve --data-dir d', { PORTCULLIS_WORKERS: 'all' }],
  ])('%s is wrong usage', async (_what, line, env) => {
    const { code, stdout, stderr, asked } = await run(line, env);
    expect({ code, stdout, asked }).toEqual({ code: 2, stdout: '', asked: [] });
    expect(stderr).toMatch(/^portcullis: [^\n]+\n$/);
  });

  test('another profile than that of the data directory is wrong usage', async () => {
    expect(await run('serve --data-dir d', {}, new UsageError('initialised for production'))).toMatchObject({
      code: 2,
      stdout: '',
    });
  });
});
