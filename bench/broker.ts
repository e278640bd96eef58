import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import type { AkScheme } from '../src/simulator/ak.js';
import { SimulatedTpm } from '../src/simulator/vtpm.js';
import { SimulatorAttester } from '../src/workload/attesters/simulator.js';
import { sha256 } from '../src/crypto/digest.js';

/** A broker of the built program, in processes of its own, with one deployment and one key. */
export interface BenchBroker {
  readonly url: string;
  /** The vkey of its log. */
  readonly logKey: string;
  readonly deployment: string;
  readonly key: string;
  /** A simulated machine that measured the policy, its AK pinned. */
  machine(scheme: AkScheme): Promise<SimulatorAttester>;
  /** CPU time and memory of the broker's processes, and the releases it has counted. */
  usage(): Promise<{ readonly cpuSeconds: number; readonly rssBytes: number; readonly releases: number }>;
  close(): Promise<void>;
}

const POLICY = Buffer.from('{"bench":true}\n');
const DEPLOYMENT = 'bench';
const KEY = 'bench-key';

/** `nodeArgs` go to the broker's node, for profiling. */
export async function startBenchBroker(workers: number, nodeArgs: readonly string[]): Promise<BenchBroker> {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));
  const dataDir = join(folder, 'data');
  const args = ['dist/main.js', 'serve', '--data-dir', dataDir, '--profile', 'development', '--listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, [...nodeArgs, ...args, '--workers', String(workers)], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    let output = '';
    child.once('exit', () => reject(new Error('the broker ended instead of starting; is dist/ built?')));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const found = /listening on (\S+)\n/.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    });
  });
  const token = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
  const authorization = { authorization: `Bearer ${token}` };
  const admin = async (path: string, body: unknown): Promise<void> => {
    const headers = { ...authorization, 'content-type': 'application/json' };
    const answer = await request(url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`${path} answered ${String(answer.statusCode)}: ${text}`);
  };
  await admin('/v1/deployments', {
    apiVersion: 'portcullis/v1',
    kind: 'Deployment',
    metadata: { name: DEPLOYMENT },
    policies: [{ content: POLICY.toString('base64url') }],
    platform: { pcrs: { '4': ['00'.repeat(32)], '7': ['00'.repeat(32)] } },
    attesters: { trust: ['pinned'] },
  });
  await admin('/v1/keys', { name: KEY, type: 'oct', deployments: [DEPLOYMENT] });
  const described = await request(`${url}/v1/broker`, { headers: authorization });
  const { log_key: logKey } = (await described.body.json()) as { log_key: string };
  return {
    url,
    logKey,
    deployment: DEPLOYMENT,
    key: KEY,
    machine: async (scheme) => {
      const tpm = new SimulatedTpm();
      tpm.extend('sha256', 8, sha256(POLICY));
      const attester = new SimulatorAttester(tpm, await tpm.createAk({ scheme }));
      await admin('/v1/attesters', { deployment: DEPLOYMENT, public: attester.ak.tpm2bPublic.toString('base64url') });
      return attester;
    },
    usage: () => readUsage(url),
    close: async () => {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function readUsage(url: string): Promise<{ cpuSeconds: number; rssBytes: number; releases: number }> {
  const text = await (await request(`${url}/metrics`)).body.text();
  const sum = (name: RegExp) =>
    text
      .split('\n')
      .filter((line) => name.test(line))
      .reduce((total, line) => total + Number(line.split(' ').at(-1)), 0);
  return {
    cpuSeconds: sum(/^(?:portcullis_)?process_cpu_seconds_total/),
    rssBytes: sum(/^(?:portcullis_)?process_resident_memory_bytes/),
    releases: sum(/^portcullis_releases_total/),
  };
}
