/** A witness of the product, served over real HTTP in this process, from a directory of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lifecycle } from '../../src/http/lifecycle.js';
import { type BrokerServer, createServer, type TlsFiles } from '../../src/http/server.js';
import { createWitnessApp } from '../../src/http/witness/app.js';
import { createWitnessDirectory } from '../../src/store/witness/identity.js';
import { WitnessState } from '../../src/store/witness/witness-state.js';
import { Cosigner } from '../../src/translog/cosignature.js';
import { parseVerifierKey } from '../../src/translog/note.js';

export interface LogLine {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export interface LocalWitnessOptions {
  readonly name?: string;
  /** vkeys. */
  readonly logs: readonly string[];
  readonly tls?: TlsFiles;
  /** Listen there again. */
  readonly port?: number;
  /** The directory of one that was closed with `keep`. */
  readonly scratch?: string;
}

const START_MS = 1_800_000_000_000;

export class LocalWitness {
  readonly url: string;
  /** vkey. */
  readonly key: string;
  readonly scratch: string;
  readonly state: WitnessState;
  readonly lines: readonly LogLine[];
  nowMs = START_MS;
  /** Requests to add-checkpoint so far. */
  submissions = 0;
  /** Awaited before each request is looked at. */
  gate: Promise<unknown> = Promise.resolve();
  readonly #server: BrokerServer;

  private constructor(
    url: string,
    key: string,
    scratch: string,
    state: WitnessState,
    lines: LogLine[],
    server: BrokerServer,
  ) {
    this.url = url;
    this.key = key;
    this.scratch = scratch;
    this.state = state;
    this.lines = lines;
    this.#server = server;
  }

  static async start(options: LocalWitnessOptions): Promise<LocalWitness> {
    const name = options.name ?? 'witness.example/w1';
    const seed = Buffer.alloc(32, name);
    const scratch = options.scratch ?? mkdtempSync(join(tmpdir(), 'portcullis-witness-'));
    const directory = join(scratch, 'w');
    if (options.scratch === undefined) await createWitnessDirectory(directory, { name, seed });
    const cosigner = new Cosigner(name, seed);
    const state = await WitnessState.open(directory, parseVerifierKey(cosigner.verifierKey));
    const lines: LogLine[] = [];
    const write = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) =>
      void lines.push({ level, fields, message });
    const log = { info: write('info'), warn: write('warn'), error: write('error') };
    const lifecycle = new Lifecycle();
    const logs = new Map(options.logs.map(parseVerifierKey).map((key) => [key.name, key]));
    // eslint-disable-next-line prefer-const -- the clock and the gate are those of what is made below
    let served: LocalWitness | undefined;
    const clock = () => served?.nowMs ?? START_MS;
    const app = createWitnessApp({ cosigner, logs, memory: state, clock, lifecycle, log });
    const gated: typeof app = (request, response) => {
      if (served !== undefined && request.url === '/add-checkpoint') served.submissions++;
      void (served?.gate ?? Promise.resolve()).then(() => app(request, response));
    };
    const tls = options.tls === undefined ? {} : { tls: options.tls };
    const limits = { drainTimeoutMs: 50 };
    const server = createServer(gated, { host: '127.0.0.1', port: options.port ?? 0, ...tls, limits, lifecycle, log });
    const url = await server.start();
    served = new LocalWitness(url, cosigner.verifierKey, scratch, state, lines, server);
    return served;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  async post(body: string | Buffer): Promise<{ status: number; type: string | null; text: string }> {
    const answer = await fetch(`${this.url}/add-checkpoint`, { method: 'POST', body });
    return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
  }

  async get(path: string): Promise<{ status: number; type: string | null; text: string }> {
    const answer = await fetch(`${this.url}${path}`);
    return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
  }

  /** Stops it; with `keep` the directory stays. */
  async close(keep?: 'keep'): Promise<void> {
    await this.#server.stop();
    await this.state.close();
    if (keep === undefined) rmSync(this.scratch, { recursive: true });
  }
}
