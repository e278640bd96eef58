import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CliIo } from '../../src/cli/io.js';
import type { CliParts } from '../../src/cli/parts.js';
import { run } from '../../src/cli/program.js';

/** What a run of the program came to. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
  readonly cwd?: string;
  readonly isTerminal?: boolean;
  readonly parts?: Partial<CliParts>;
}

export const NOW_MS = Date.UTC(2026, 10, 22);

/** Parts that must not be needed by the command under test. */
export const NO_PARTS: CliParts = {
  initialise: () => Promise.reject(new Error('init was not expected')),
  serve: () => Promise.reject(new Error('serve was not expected')),
  now: () => NOW_MS,
};

/** Runs the program in this process. */
export async function portcullis(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const written = { stdout: '', stderr: '' };
  const io = fakeIo(written, options);
  const code = await run(args, io, { ...NO_PARTS, ...options.parts });
  return { code, ...written };
}

/** An io that collects what is written. */
export function fakeIo(written: { stdout: string; stderr: string }, options: RunOptions = {}): CliIo {
  const isTerminal = options.isTerminal ?? false;
  return {
    stdout: { write: (text) => void (written.stdout += text), isTerminal },
    stderr: { write: (text) => void (written.stderr += text), isTerminal },
    stdin: stdinOf(options.stdin),
    env: { ...options.env },
    cwd: options.cwd ?? process.cwd(),
  };
}

async function* stdinOf(content: string | Buffer | undefined): AsyncGenerator<Buffer> {
  if (content === undefined) throw new Error('stdin was not expected to be read');
  yield Buffer.from(content as string);
}

/** One JSON document and a line break: the whole of stdout under --json. */
export function onlyJson(stdout: string): Record<string, unknown> {
  if (!stdout.endsWith('\n') || stdout.trimEnd().includes('\n')) throw new Error(`not one line: ${stdout}`);
  return JSON.parse(stdout) as Record<string, unknown>;
}

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

export interface FakeBroker {
  readonly url: string;
  readonly received: readonly Received[];
  /** The one request that came. */
  only(): Received;
  /** What comes next; the last answer stays. */
  answer(...answers: readonly { readonly status: number; readonly body: unknown; readonly raw?: true }[]): void;
  close(): Promise<void>;
}

/** A server that records requests and gives prepared answers. */
export async function fakeBroker(): Promise<FakeBroker> {
  const received: Received[] = [];
  let answers: readonly { readonly status: number; readonly body: unknown; readonly raw?: true }[] = [];
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8');
      const { method = '', url = '', headers } = request;
      received.push({ method, url, headers, body: text === '' ? undefined : JSON.parse(text) });
      const [next, ...rest] = answers;
      if (rest.length > 0) answers = rest;
      const { status, body, raw } = next ?? { status: 500, body: {} };
      response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' });
      response.end(raw === true ? (body as string) : JSON.stringify(body));
    });
  };
  const server = createServer(listener);
  const url = await listen(server);
  return {
    url,
    received,
    only() {
      if (received.length !== 1) throw new Error(`${String(received.length)} requests came`);
      return received[0]!;
    },
    answer(...next) {
      answers = next;
      received.length = 0;
    },
    close: () => closed(server),
  };
}

/** A URL where nothing listens. */
export async function nobody(): Promise<string> {
  const server = createServer();
  const url = await listen(server);
  await closed(server);
  return url;
}

export function problem(status: number, reason: string, more: Record<string, unknown> = {}) {
  const body = {
    type: `urn:portcullis:problem:${reason}`,
    title: 'T',
    status,
    detail: `why ${reason}`,
    reason,
    request_id: 'req-1',
    ...more,
  };
  return { status, body };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
