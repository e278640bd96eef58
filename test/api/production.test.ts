import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createAuthority } from '../http/pki.js';
import { portcullis } from '../helpers/portcullis.js';
import { ServedBroker } from '../helpers/served-broker.js';

const HEX = 'ab'.repeat(32);

describe('the production profile', () => {
  let folder: string;
  let dataDir: string;
  let token: string;
  const file = (name: string) => join(folder, name);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'portcullis-production-'));
    dataDir = file('data');
    const { code, stdout } = await portcullis(['init', '--data-dir', dataDir, '--json']);
    expect(code).toBe(0);
    const made = JSON.parse(stdout) as Record<string, string>;
    expect(Object.keys(made).sort()).toEqual(['admin_token', 'broker', 'log_key', 'profile']);
    expect(made).toMatchObject({ profile: 'production', admin_token: expect.stringMatching(/^pc_[0-9a-f]{16}_/) });
    token = made['admin_token'] ?? '';
  });

  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  test('keeps its directory to itself, and touches none that holds anything', async () => {
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    writeFileSync(file('note'), 'mine');
    expect(await portcullis(['init', '--data-dir', folder])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('untouched'),
    });
    expect(await portcullis(['init', '--data-dir', dataDir])).toMatchObject({ code: 1 });
    expect(readFileSync(file('note'), 'utf8')).toBe('mine');
  });

  test.each([
    ['an uninitialised directory', ['--data-dir', 'EMPTY'], 'portcullis init'],
    ['TLS-less listening beyond loopback', ['--data-dir', 'DATA', '--listen', '0.0.0.0:0'], 'tls.cert'],
    ['another profile than init fixed', ['--data-dir', 'DATA', '--profile', 'development'], 'production profile'],
    ['a TLS file that is not there', ['--data-dir', 'DATA', '--tls-cert', 'no.pem', '--tls-key', 'no.key'], 'no.pem'],
  ])('refuses %s as wrong usage, whatever the number of workers, and says what to do', async (_, args, advice) => {
    const at = args.map((arg) => arg.replace('EMPTY', file('empty')).replace('DATA', dataDir));
    for (const workers of ['1', '2']) {
      const { code, stderr, stdout } = await portcullis(['serve', '--workers', workers, ...at]);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toContain(advice);
      expect(stderr.match(/portcullis:/g)).toHaveLength(1);
    }
  });

  test('refuses a development data directory', async () => {
    const development = file('development');
    await portcullis(['init', '--data-dir', development, '--profile', 'development']);
    const { code, stderr } = await portcullis([
      'serve',
      '--data-dir',
      development,
      '--profile',
      'production',
      '--workers',
      '1',
    ]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('development profile')]);
  });

  test('refuses a KEK file that others can read', async () => {
    const open = file('open');
    await portcullis(['init', '--data-dir', open]);
    const { chmodSync } = await import('node:fs');
    chmodSync(join(open, 'kek.json'), 0o644);
    const { code, stderr } = await portcullis([
      'serve',
      '--data-dir',
      open,
      '--workers',
      '1',
      '--listen',
      '127.0.0.1:0',
    ]);
    expect([code, stderr]).toEqual([1, expect.stringContaining('kek.json')]);
  });

  test('refuses deployments that prove nothing, each with what to do', async () => {
    const broker = await ServedBroker.start({ dataDir });
    const env = { PORTCULLIS_URL: broker.url, PORTCULLIS_TOKEN: token };
    const apply = async (members: string) => {
      const document = `apiVersion: portcullis/v1\nkind: Deployment\nmetadata: { name: d }\npolicies: [{ sha256: ${HEX} }]\n${members}\n`;
      writeFileSync(file('d.yaml'), document);
      return portcullis(['deployment', 'apply', file('d.yaml')], env);
    };
    const chain = `platform: { pcrs: { "4": [${HEX}], "7": [${HEX}] } }`;
    const pinned = 'attesters: { trust: [pinned] }';
    const cases = [
      [pinned, 'deployment.unmeasured_boot', 'platform.pcrs'],
      [`${chain}\n${pinned}\nmeasurement: { pcr: 23 }`, 'deployment.resettable_pcr', 'allowResettable'],
      [`${chain}\nattesters: { trust: [simulator] }`, 'deployment.simulator_trust', 'pinned'],
    ] as const;
    for (const [members, reason, advice] of cases) {
      const { code, stderr } = await apply(members);
      expect([code, stderr]).toEqual([1, expect.stringContaining(reason)]);
      expect(stderr).toContain(advice);
    }
    expect(await apply(`${chain}\n${pinned}`)).toMatchObject({ code: 0 });
    expect((await broker.call('POST', '/v1/simulator/machines', {})).body).toMatchObject({ reason: 'route.unknown' });
    await broker.kill('SIGTERM');
  });

  test('over mutual TLS serves those who show a certificate, the command among them', async () => {
    const authority = createAuthority('test authority');
    const [server, client] = [authority.issue('localhost'), authority.issue('operator')];
    for (const [name, pem] of Object.entries({
      'ca.pem': authority.cert,
      'server.pem': server.cert,
      'server.key': server.key,
      'client.pem': client.cert,
      'client.key': client.key,
    })) {
      writeFileSync(file(name), pem);
    }
    writeFileSync(
      file('config.yaml'),
      'tls: { cert: server.pem, key: server.key, client_ca: ca.pem }\nlimits: { challenge_ttl: 60s }\n',
    );
    const broker = await ServedBroker.start({ dataDir, args: ['--config', file('config.yaml')] });
    expect(broker.url).toMatch(/^https:/);
    const env = { PORTCULLIS_URL: broker.url, PORTCULLIS_TOKEN: token };
    const list = ['deployment', 'list', '--json', '--ca', file('ca.pem')];
    const shown = await portcullis(
      [...list, '--client-cert', file('client.pem'), '--client-key', file('client.key')],
      env,
    );
    expect([shown.code, JSON.parse(shown.stdout)]).toEqual([0, expect.objectContaining({ items: expect.any(Array) })]);
    expect((await portcullis(list, env)).code).toBe(3);
    expect((await portcullis([...list, '--client-cert', file('client.pem')], env)).code).toBe(2);
    const mixed = ['--tls-cert', file('server.pem'), '--tls-key', file('client.key'), '--listen', '127.0.0.1:0'];
    const refused = await portcullis(['serve', '--data-dir', dataDir, ...mixed]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('client.key is not the private key') });
    const port = new URL(broker.url).port;
    const taken = await portcullis(['serve', '--data-dir', dataDir, '--workers', '1', '--listen', `127.0.0.1:${port}`]);
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringContaining('another process listens there') });
    await broker.kill('SIGTERM');
  });
});
