/** The built program, serving in a process of its own, as its users run it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';

export const PROGRAM = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** Processes that must not outlive the tests, however these end. */
const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface ServeOptions {
  /** A directory that init or an earlier serve made; default: a new one. */
  readonly dataDir?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly workers?: number;
}

export class ServedBroker {
  readonly dataDir: string;
  readonly url: string;
  readonly process: ChildProcess;
  readonly #output: { stdout: string; stderr: string };

  private constructor(dataDir: string, url: string, child: ChildProcess, output: { stdout: string; stderr: string }) {
    this.dataDir = dataDir;
    this.url = url;
    this.process = child;
    this.#output = output;
  }

  static async start(options: ServeOptions = {}): Promise<ServedBroker> {
    const dataDir = options.dataDir ?? join(mkdtempSync(join(tmpdir(), 'portcullis-served-')), 'data');
    const profile = options.dataDir === undefined ? ['--profile', 'development'] : [];
    const args = [PROGRAM, 'serve', '--data-dir', dataDir, ...profile, '--listen', '127.0.0.1:0'];
    const workers = ['--workers', String(options.workers ?? 1)];
    const child = spawn(process.execPath, [...args, ...workers, ...(options.args ?? [])], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    alive.add(child);
    child.once('exit', () => alive.delete(child));
    const output = { stdout: '', stderr: '' };
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
    const url = await new Promise<string>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`serve ended with ${String(code)}: ${output.stderr}`)));
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output.stdout += text;
        const found = /listening on (\S+)\n/.exec(output.stdout)?.[1];
        if (found !== undefined) resolve(found);
      });
    });
    return new ServedBroker(dataDir, url, child, output);
  }

  /** Everything that the process has written. */
  get output(): string {
    return this.#output.stdout + this.#output.stderr;
  }

  get token(): string {
    return readFileSync(join(this.dataDir, 'admin.token'), 'utf8').trim();
  }

  async call(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown, token?: string): Promise<Answer> {
    const headers = {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    const text = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await request(this.url + path, { method, headers, ...text });
    const received = await answer.body.text();
    return { status: answer.statusCode, body: parse(received), headers: answer.headers };
  }

  /** An administrative call that must succeed. */
  async admin(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<Answer> {
    const answer = await this.call(method, path, body, this.token);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
    return answer;
  }

  /** Ends the process with a signal and waits for it. */
  async kill(signal: NodeJS.Signals): Promise<number | null> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return this.process.exitCode;
    const gone = once(this.process, 'exit');
    this.process.kill(signal);
    await gone;
    return this.process.exitCode;
  }

  /** Drains, stops, and removes the data directory. */
  async close(): Promise<void> {
    await this.kill('SIGTERM');
    rmSync(join(this.dataDir, '..'), { recursive: true, force: true });
  }
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return { text };
  }
}
