import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { portcullis } from '../helpers/portcullis.js';
import { PROGRAM, ServedBroker } from '../helpers/served-broker.js';
import { provision, wireRequest } from '../helpers/wire-workload.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';

let dir: string;
let dataDir: string;
let machine: SimulatorAttester;
let witnessKey: string;
let witness: ChildProcess | undefined;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-witnessed-'));
  dataDir = join(dir, 'data');
  const made = await portcullis(['init', '--data-dir', dataDir, '--profile', 'development', '--json']);
  const { admin_token, log_key } = JSON.parse(made.stdout) as { admin_token: string; log_key: string };
  writeFileSync(join(dataDir, 'admin.token'), admin_token, { mode: 0o600 });
  writeFileSync(join(dir, 'log.vkey'), `${log_key}\n`);
  const named = await portcullis([
    'witness',
    'init',
    '--data-dir',
    join(dir, 'w'),
    '--name',
    'witness.example/w',
    '--json',
  ]);
  witnessKey = (JSON.parse(named.stdout) as { key: string }).key;
  writeFileSync(join(dir, 'w.json'), named.stdout);
  const broker = await ServedBroker.start({ dataDir });
  machine = await provision(broker);
  await broker.kill('SIGTERM');
});

afterAll(async () => {
  if (witness !== undefined) {
    const gone = once(witness, 'exit');
    witness.kill('SIGTERM');
    await gone;
  }
  rmSync(dir, { recursive: true });
});

/** The broker, demanding the cosignature of the witness at this URL. */
function demanding(url: string): Promise<ServedBroker> {
  const config = join(dir, 'broker.yaml');
  writeFileSync(config, JSON.stringify({ log: { witnesses: [{ url, key: witnessKey }], quorum: 1 } }));
  return ServedBroker.start({ dataDir, args: ['--config', config] });
}

async function startWitness(): Promise<string> {
  const args = [
    'witness',
    'serve',
    '--data-dir',
    join(dir, 'w'),
    '--log',
    join(dir, 'log.vkey'),
    '--listen',
    '127.0.0.1:0',
  ];
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  witness = child;
  process.once('exit', () => child.kill('SIGKILL'));
  let said = '';
  for await (const text of child.stdout.setEncoding('utf8')) {
    said += String(text);
    const url = /listening on (\S+)\n/.exec(said)?.[1];
    if (url !== undefined) return url;
  }
  throw new Error('the witness ended instead of listening');
}

test('without the cosignature that is demanded nothing is handed out: log.unwitnessed', async () => {
  const broker = await demanding('http://127.0.0.1:9');
  try {
    const { status, body } = await broker.call('POST', '/v1/releases', await wireRequest(broker, machine));
    expect({ status, body }).toMatchObject({ status: 503, body: { reason: 'log.unwitnessed' } });
    expect(JSON.stringify(body)).not.toMatch(/jwe|receipt/);
  } finally {
    await broker.kill('SIGTERM');
  }
});

test('with it the receipt carries the cosignature, and verifies offline', async () => {
  const broker = await demanding(await startWitness());
  try {
    const { status, body } = await broker.call('POST', '/v1/releases', await wireRequest(broker, machine));
    expect(status).toBe(200);
    writeFileSync(join(dir, 'answer.json'), JSON.stringify(body));
  } finally {
    await broker.kill('SIGTERM');
  }
  // Where the other processes of the broker find it.
  const shared = join(dataDir, 'log.cosigned');
  expect(readFileSync(shared, 'utf8')).toContain('— witness.example/w ');
  expect(statSync(shared).mode & 0o777).toBe(0o600);
  const examined = await portcullis(['doctor', '--offline', '--data-dir', dataDir, '--json']);
  const { findings } = JSON.parse(examined.stdout) as { findings: { check: string; status: string }[] };
  expect(findings.filter(({ check }) => check === 'files')).toMatchObject([{ status: 'ok' }]);
  const keys = ['--log-key', join(dir, 'log.vkey'), '--witness', join(dir, 'w.json')];
  const { code, stdout } = await portcullis(['receipt', 'verify', join(dir, 'answer.json'), ...keys, '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ ok: true, proved: { witnesses: [{ name: 'witness.example/w' }] } });
});
