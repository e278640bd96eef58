/** Brokers in processes of their own, without HTTP, that start quickly and are killed. See lean-broker-process.js. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Broker } from '../../src/release/broker.js';

const PROGRAM = fileURLToPath(new URL('lean-broker-process.js', import.meta.url));

/** Processes that must not outlive the tests, however these end. */
const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class LeanBroker {
  /** Its use cases. A call that the process did not live to answer is rejected. */
  readonly broker: Broker;
  readonly #process: ChildProcess;
  readonly #ready: Promise<unknown>;
  readonly #ended: Promise<unknown>;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;

  /** `store`: the URL of the database that replicas share. */
  constructor(dataDir: string, store?: string) {
    const env = { ...process.env, ...(store === undefined ? {} : { PORTCULLIS_STORE_URL: store }) };
    this.#process = spawn(process.execPath, [PROGRAM, dataDir], { stdio: ['pipe', 'pipe', 'inherit'], env });
    alive.add(this.#process);
    // Not `exit`: what it has written before it was killed is still read.
    this.#ended = once(this.#process, 'close').then(([code, signal]) =>
      this.#gone(`${String(code)}, ${String(signal)}`),
    );
    this.#process.stdin!.on('error', () => undefined);
    createInterface({ input: this.#process.stdout! }).on('line', (line) => this.#answered(line));
    this.#ready = this.#expect(0);
    this.#ready.catch(() => undefined);
    const call =
      (_: object, name: string | symbol) =>
      (...args: unknown[]) =>
        this.#call(String(name), args);
    this.broker = new Proxy({}, { get: call }) as Broker;
  }

  /** Fulfilled when it answers; rejected where it ends before. */
  async ready(): Promise<void> {
    await this.#ready;
  }

  checkpoint(): Promise<string> {
    return this.#call('checkpoint', []) as Promise<string>;
  }

  /** SIGKILL. Fulfilled when everything has been read that it ever wrote. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }

  #call(call: string, args: readonly unknown[]): Promise<unknown> {
    const id = ++this.#calls;
    const answer = this.#expect(id);
    this.#process.stdin!.write(`${JSON.stringify({ id, call, args })}\n`);
    return answer;
  }

  #expect(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (alive.has(this.#process)) this.#waiting.set(id, { resolve, reject });
      else reject(new Error('the broker has ended'));
    });
  }

  #answered(line: string): void {
    const { id, value, error } = JSON.parse(line) as { id: number; value?: unknown; error?: string };
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(error));
  }

  #gone(how: string): void {
    alive.delete(this.#process);
    for (const { reject } of this.#waiting.values()) reject(new Error(`the broker has ended: ${how}`));
    this.#waiting.clear();
  }
}
