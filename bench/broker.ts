import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { cpuSeconds, processTree, memoryBytes } from './process-tree.js';

export interface BrokerOptions {
  /** With its admin token in it. Made, and removed again, where it is left out. */
  readonly dataDir?: string;
  readonly workers: number;
  /** PostgreSQL instead of SQLite. */
  readonly storeUrl?: string;
  /** Go to the node of every process of the broker, for profiling. */
  readonly nodeArgs?: readonly string[];
}

/** What the broker has counted since it started. */
export interface Counts {
  readonly releases: number;
  readonly commits: number;
  /** That were made durable by these commits: releases, and what else the log records. */
  readonly records: number;
}

/** The built program, serving in processes of its own under the development profile, with every check on. */
export class BrokerProcess {
  readonly url: string;
  /** The vkey of its log. */
  readonly logKey: string;
  readonly id: string;
  readonly #child: ChildProcess;
  readonly #pids: readonly number[];
  readonly #token: string;
  readonly #folder: string;

  private constructor(
    running: { readonly child: ChildProcess; readonly url: string; readonly workers: number },
    described: { readonly log_key: string; readonly broker: string },
    token: string,
    folder: string,
  ) {
    this.url = running.url;
    this.logKey = described.log_key;
    this.id = described.broker;
    this.#child = running.child;
    this.#token = token;
    this.#folder = folder;
    this.#pids = processTree(running.child.pid ?? 0);
    if (this.#pids.length < (running.workers === 1 ? 1 : running.workers + 1)) {
      throw new Error('the processes of the broker cannot be found in /proc: this bench needs Linux');
    }
  }

  static async start({ dataDir, workers, storeUrl, nodeArgs = [] }: BrokerOptions): Promise<BrokerProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));
    const data = dataDir ?? join(folder, 'data');
    const args = ['dist/main.js', 'serve', '--data-dir', data, '--profile', 'development', '--listen', '127.0.0.1:0'];
    if (storeUrl !== undefined) {
      const config = join(folder, 'config.yaml');
      writeFileSync(config, JSON.stringify({ store: { url: storeUrl } }), { mode: 0o600 });
      args.push('--config', config);
    }
    const child = spawn(process.execPath, [...nodeArgs, ...args, '--workers', String(workers)], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    // A bench that is interrupted leaves no broker behind.
    const abandon = (): void => void child.kill('SIGKILL');
    process.once('exit', abandon);
    child.once('exit', () => process.off('exit', abandon));
    try {
      const url = await urlOf(child);
      if (storeUrl !== undefined && existsSync(join(data, 'portcullis.db'))) {
        throw new Error('the broker keeps its state in SQLite, and not where it was told to');
      }
      const token = readFileSync(join(data, 'admin.token'), 'utf8').trim();
      const described = await request(`${url}/v1/broker`, { headers: { authorization: `Bearer ${token}` } });
      const body = (await described.body.json()) as { log_key: string; broker: string };
      return new BrokerProcess({ child, url, workers }, body, token, folder);
    } catch (error) {
      abandon();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** An administrative request. Throws for any answer but success. */
  async admin(path: string, body: unknown): Promise<void> {
    const headers = { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' };
    const answer = await request(this.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`${path} answered ${String(answer.statusCode)}: ${text}`);
  }

  /** CPU time of its processes so far, the supervising one included. */
  cpuSeconds(): number {
    return cpuSeconds(this.#pids);
  }

  memoryBytes(): number {
    return memoryBytes(this.#pids);
  }

  async counts(): Promise<Counts> {
    const text = await (await request(`${this.url}/metrics`)).body.text();
    const value = (name: string) => Number(new RegExp(`^portcullis_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN);
    return {
      releases: value('releases_total'),
      commits: value('commit_records_count'),
      records: value('commit_records_sum'),
    };
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      await gone;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function urlOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    child.once('exit', () => reject(new Error('the broker ended instead of starting; is dist/ built?')));
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const found = /listening on (\S+)\n/.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    });
  });
}
