import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer as createTlsServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import forge from 'node-forge';
import { initialise } from '../../src/cli/compose/init.js';
import { brokerFindings, clockFinding } from '../../src/cli/doctor/broker.js';
import { deviceFinding, nodeFinding, toolsFinding } from '../../src/cli/doctor/machine.js';
import { storeReport } from '../../src/cli/doctor/store.js';
import { CliContext } from '../../src/cli/context.js';
import {
  fakeBroker,
  fakeIo,
  nobody,
  NO_PARTS,
  NOW_MS,
  onlyJson,
  portcullis,
  problem,
  type FakeBroker,
} from './harness.js';

interface Found {
  readonly check: string;
  readonly status: string;
  readonly detail: string;
  readonly advice?: string;
}

let dir: string;
let good: string;
let broker: FakeBroker;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-doctor-'));
  good = join(dir, 'good');
  broker = await fakeBroker();
  await initialise({ dataDir: good, profile: 'production' });
});
afterAll(async () => {
  await broker.close();
  rmSync(dir, { recursive: true });
});

async function doctor(line: string, env: Record<string, string> = {}) {
  const words = line === '' ? [] : line.split(' ');
  const { code, stdout, stderr } = await portcullis(['doctor', ...words, '--json'], {
    cwd: dir,
    env: { PORTCULLIS_URL: broker.url, ...env },
    parts: { now: () => Date.now() },
  });
  const document = onlyJson(stdout) as { ok?: boolean; findings: readonly Found[] };
  const of = (check: string) => document.findings.filter((finding) => finding.check === check);
  return { code, ok: document.ok, stderr, findings: document.findings, of };
}

/** A copy of the good data directory, to be spoilt. */
function copy(name: string): string {
  const path = join(dir, name);
  cpSync(good, path, { recursive: true });
  chmodSync(path, 0o700);
  return path;
}

describe('a data directory', () => {
  test('as init made it is in order', async () => {
    const { code, ok, of } = await doctor('--offline --data-dir good');
    expect({ code, ok }).toEqual({ code: 0, ok: true });
    for (const check of ['data directory', 'files', 'KEK', 'disk', 'store', 'durability', 'clock and nonces']) {
      expect(of(check)).toMatchObject([{ status: 'ok' }]);
    }
  });

  test('that is not there, or empty, fails', async () => {
    mkdirSync(join(dir, 'empty'));
    for (const name of ['none', 'empty']) {
      const { code, of } = await doctor(`--offline --data-dir ${name}`);
      expect(code).toBe(1);
      expect(of('data directory')).toMatchObject([
        { status: 'fail', advice: expect.stringContaining('portcullis init') },
      ]);
    }
  });

  test('that others can enter, or read a file of, fails', async () => {
    const path = copy('open');
    chmodSync(path, 0o750);
    chmodSync(join(path, 'portcullis.db'), 0o644);
    const { code, of } = await doctor('--offline --data-dir open');
    expect(code).toBe(1);
    expect(of('data directory')).toMatchObject([{ status: 'fail', advice: `run: chmod 700 ${path}` }]);
    expect(of('files')).toMatchObject([{ status: 'fail', detail: 'open to others: portcullis.db' }]);
  });

  test('whose KEK is readable by others, or gone, fails', async () => {
    const path = copy('kek');
    chmodSync(join(path, 'kek.json'), 0o644);
    expect((await doctor('--offline --data-dir kek')).of('KEK')).toMatchObject([{ status: 'fail' }]);
    rmSync(join(path, 'kek.json'));
    expect((await doctor('--offline --data-dir kek')).of('KEK')).toMatchObject([{ status: 'fail' }]);
  });

  test('whose database is gone, damaged or of another program fails', async () => {
    const path = copy('damaged');
    rmSync(join(path, 'portcullis.db'));
    expect((await doctor('--offline --data-dir damaged')).of('store')).toMatchObject([{ status: 'fail' }]);
    writeFileSync(join(path, 'portcullis.db'), 'not a database, and long enough to be looked at as one'.repeat(100));
    expect((await doctor('--offline --data-dir damaged')).of('store')).toMatchObject([{ status: 'fail' }]);
    rmSync(join(path, 'portcullis.db'));
    const other = new Database(join(path, 'portcullis.db'));
    other.exec('CREATE TABLE t (a)');
    other.close();
    expect((await doctor('--offline --data-dir damaged')).of('store')).toMatchObject([
      { status: 'fail', detail: expect.stringContaining('another program') },
    ]);
  });

  test('whose database is not in WAL mode is warned of', () => {
    const path = join(copy('journal'), 'portcullis.db');
    const db = new Database(path);
    db.pragma('journal_mode = DELETE');
    db.close();
    const { findings } = storeReport(path, Date.now());
    expect(findings.find(({ check }) => check === 'durability')).toMatchObject({ status: 'warn' });
  });

  test('that has seen a later time than the clock shows fails', () => {
    const path = join(good, 'portcullis.db');
    expect(storeReport(path, Date.now()).profile).toBe('production');
    const spoilt = join(copy('floor'), 'portcullis.db');
    const db = new Database(spoilt);
    db.prepare('UPDATE state SET nonce_floor_ms = ?').run(NOW_MS + 60_000);
    db.close();
    const at = (nowMs: number) => storeReport(spoilt, nowMs).findings.find(({ check }) => check === 'clock and nonces');
    expect(at(NOW_MS)).toMatchObject({ status: 'fail', detail: expect.stringContaining('60 s behind') });
    expect(at(NOW_MS + 60_000)).toMatchObject({ status: 'ok' });
  });

  test('is left as it was, but for what SQLite keeps beside an open database', async () => {
    const path = copy('untouched');
    const state = () =>
      readdirSync(path)
        .filter((name) => !/-(?:wal|shm)$/.test(name))
        .map((name) => [name, statSync(join(path, name)).mtimeMs, statSync(join(path, name)).mode]);
    const before = state();
    await doctor('--offline --data-dir untouched');
    expect(state()).toEqual(before);
    expect((await doctor('--offline --data-dir untouched')).of('files')).toMatchObject([{ status: 'ok' }]);
  });
});

describe('the broker', () => {
  test('that is ready is in order; the token is tried where there is one', async () => {
    broker.answer({ status: 200, body: {} });
    const without = await doctor('');
    expect(without.of('broker')).toMatchObject([{ status: 'ok' }]);
    expect(without.of('clock')).toMatchObject([{ status: 'ok' }]);
    expect(without.of('token')).toEqual([]);
    broker.answer({ status: 200, body: {} }, { status: 200, body: { profile: 'production', version: '0.1.0' } });
    const env = { PORTCULLIS_TOKEN: 'pc_a_b' };
    expect((await doctor('', env)).of('token')).toMatchObject([{ status: 'ok' }]);
    broker.answer({ status: 200, body: {} }, { status: 200, body: { profile: 'production', version: '9.9.9' } });
    expect((await doctor('', env)).of('token')).toMatchObject([{ status: 'warn' }]);
    broker.answer({ status: 200, body: {} }, problem(401, 'auth.invalid'));
    expect((await doctor('', env)).of('token')).toMatchObject([{ status: 'fail' }]);
  });

  test('that is not ready, or not there, fails', async () => {
    broker.answer({ status: 503, body: {} });
    const { code, of } = await doctor('');
    expect(code).toBe(1);
    expect(of('broker')).toMatchObject([{ status: 'fail' }]);
    const absent = await doctor(`--url ${await nobody()}`);
    expect(absent.code).toBe(1);
    expect(absent.of('broker')).toMatchObject([{ status: 'fail', detail: expect.stringContaining('refused') }]);
  });

  test('whose clock differs is warned of from 5 s, and fails from 120 s on', () => {
    expect(clockFinding(NOW_MS, NOW_MS + 5_000).status).toBe('ok');
    expect(clockFinding(NOW_MS, NOW_MS + 5_001).status).toBe('warn');
    expect(clockFinding(NOW_MS, NOW_MS - 120_000).status).toBe('warn');
    expect(clockFinding(NOW_MS, NOW_MS - 120_001)).toMatchObject({
      status: 'fail',
      advice: expect.stringContaining('ntp'),
    });
  });
});

describe('over TLS', () => {
  const today = Date.now();
  const { cert, key } = selfSigned(new Date(today - 60_000), new Date(today + 366 * 86_400_000));
  let server: Server;
  let url: string;
  beforeAll(async () => {
    writeFileSync(join(dir, 'ca.pem'), cert);
    server = createTlsServer({ cert, key }, (_request, response) => response.end('{"items":[]}'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `https://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });

  test('a certificate is believed with --ca alone', async () => {
    const line = ['key', 'list', '--url', url];
    const without = await portcullis(line, { cwd: dir });
    expect(without).toMatchObject({ code: 3 });
    expect(without.stderr).toContain('--ca');
    expect(await portcullis([...line, '--ca', 'ca.pem'], { cwd: dir })).toMatchObject({ code: 0 });
    expect(await portcullis(line, { cwd: dir, env: { PORTCULLIS_CA: 'ca.pem' } })).toMatchObject({ code: 0 });
    const localhost = [...line.slice(0, 3), url.replace('127.0.0.1', 'localhost'), '--ca', 'ca.pem'];
    expect((await portcullis(localhost, { cwd: dir })).stderr).toContain('for another host name');
  });

  test('a certificate that ends soon is warned of, one that has ended fails', async () => {
    const at = async (nowMs: number) => {
      const io = fakeIo({ stdout: '', stderr: '' }, { cwd: dir });
      const context = new CliContext(io, { ...NO_PARTS, now: () => nowMs }, { json: true, url, ca: 'ca.pem' });
      const findings = await brokerFindings(context);
      await context.close();
      return findings.find(({ check }) => check === 'TLS certificate');
    };
    expect(await at(today)).toMatchObject({ status: 'ok' });
    expect(await at(today + 340 * 86_400_000)).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('in 2'),
    });
    expect(await at(today + 367 * 86_400_000)).toMatchObject({ status: 'fail' });
  });
});

describe('the machine', () => {
  test.each([
    ['20.18.3', 'fail'],
    ['20.19.0', 'ok'],
    ['21.7.0', 'fail'],
    ['22.13.0', 'fail'],
    ['22.14.0', 'ok'],
    ['24.0.0', 'ok'],
    ['18.20.0', 'fail'],
  ])('Node %s: %s', (version, status) => {
    expect(nodeFinding(version).status).toBe(status);
  });

  test('without tpm2-tools is warned of', () => {
    expect(toolsFinding(dir)).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('tpm2_quote'),
    });
    const tools = join(dir, 'tools');
    mkdirSync(tools);
    for (const tool of ['createak', 'createek', 'evictcontrol', 'flushcontext', 'getcap', 'quote', 'readpublic']) {
      writeFileSync(join(tools, `tpm2_${tool}`), '');
    }
    expect(toolsFinding(`${dir}:${tools}`).status).toBe('ok');
  });

  test('without a TPM device is in order, with one that cannot be used is warned of', () => {
    expect(deviceFinding([join(dir, 'no-tpm')]).status).toBe('ok');
    const device = join(dir, 'tpm');
    writeFileSync(device, '');
    expect(deviceFinding([join(dir, 'no-tpm'), device])).toMatchObject({
      status: 'ok',
      detail: `${device} can be used`,
    });
    expect(deviceFinding([device], () => false)).toMatchObject({
      status: 'warn',
      advice: expect.stringContaining('tss'),
    });
  });
});

describe('a deployment document', () => {
  const SHA = 'ab'.repeat(32);
  const document = (more: string) =>
    `apiVersion: portcullis/v1\nkind: Deployment\nmetadata: {name: llm}\npolicies: [{sha256: ${SHA}, notAfter: 2099-01-01T00:00:00Z}]\nattesters: {trust: [pinned]}\n${more}`;
  const PINNED = `platform: {pcrs: {4: [${SHA}], 7: [${SHA}], 11: [${SHA}], 12: [${SHA}]}}\n`;

  test('with the policy in PCR 8, which GRUB extends, is warned of', async () => {
    writeFileSync(join(dir, 'grub.yaml'), document(PINNED));
    const { code, of } = await doctor('--offline --deployment grub.yaml');
    expect(code).toBe(0);
    expect(of('deployment grub.yaml')).toMatchObject([{ status: 'warn', detail: expect.stringContaining('GRUB') }]);
  });

  test('with GPUs, of which the collateral has no manifests, is warned of', async () => {
    writeFileSync(join(dir, 'gpus.yaml'), document(PINNED.replace('}}\n', '}, gpus: {count: 1}}\n')));
    const { code, of } = await doctor('--offline --deployment gpus.yaml --data-dir good');
    expect(code).toBe(0);
    expect(of('collateral').map(({ detail }) => detail)).toEqual([
      expect.stringContaining('deployment llm needs a manifest (RIM) of the driver of its GPUs'),
      expect.stringContaining('deployment llm needs a manifest (RIM) of the VBIOS of its GPUs'),
    ]);
  });

  test('that a production broker refuses fails, and so does one that cannot be read', async () => {
    writeFileSync(join(dir, 'open.yaml'), document(''));
    const open = await doctor('--offline --deployment open.yaml --data-dir good');
    expect(open.code).toBe(1);
    expect(open.of('deployment open.yaml')).toMatchObject([
      { status: 'fail', detail: expect.stringContaining('deployment.unmeasured_boot') },
    ]);
    expect((await doctor('--offline --deployment none.yaml')).of('deployment none.yaml')).toMatchObject([
      { status: 'fail' },
    ]);
  });
});

test('people see what is wrong and what to do', async () => {
  const { code, stdout } = await portcullis(['doctor', '--offline', '--data-dir', 'none'], { cwd: dir });
  expect(code).toBe(1);
  expect(stdout).toMatch(
    /\nfail {2}data directory: cannot open .*\n {6}-> make it with: portcullis init --data-dir .*\n/,
  );
  expect(stdout).toMatch(/\n\d failed, \d warnings\.\n$/);
});

function selfSigned(notBefore: Date, notAfter: Date): { readonly cert: string; readonly key: string } {
  const keys = forge.pki.rsa.generateKeyPair(2048);
  const cert = forge.pki.createCertificate();
  cert.publicKey = keys.publicKey;
  cert.serialNumber = '01';
  cert.validity.notBefore = notBefore;
  cert.validity.notAfter = notAfter;
  const name = [{ name: 'commonName', value: 'broker' }];
  cert.setSubject(name);
  cert.setIssuer(name);
  cert.setExtensions([
    { name: 'basicConstraints', cA: true },
    { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
  ]);
  cert.sign(keys.privateKey, forge.md.sha256.create());
  return { cert: forge.pki.certificateToPem(cert), key: forge.pki.privateKeyToPem(keys.privateKey) };
}
