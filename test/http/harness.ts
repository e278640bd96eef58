import { request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { connect } from 'node:net';
import { Lifecycle } from '../../src/http/lifecycle.js';
import { createNativeApp, type NativeApp, type NativeOptions } from '../../src/http/native/app.js';
import type { RequestObservation } from '../../src/http/ports.js';
import { type BrokerServer, createServer, type ListenOptions } from '../../src/http/server.js';
import { type FakeBroker, fakeBroker } from './fake-broker.js';

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Running {
  readonly url: string;
  readonly port: number;
  readonly broker: FakeBroker;
  readonly native: NativeApp;
  readonly server: BrokerServer;
  readonly lifecycle: Lifecycle;
  readonly log: LogLine[];
  readonly observed: RequestObservation[];
  stop(): Promise<void>;
}

/** The native face on a real socket of the loopback interface, over a broker in memory. */
export async function start(
  options: {
    readonly broker?: FakeBroker;
    readonly native?: Partial<NativeOptions>;
    readonly listen?: Partial<ListenOptions>;
  } = {},
): Promise<Running> {
  const { broker = fakeBroker() } = options;
  const lifecycle = new Lifecycle();
  const log: LogLine[] = [];
  const observed: RequestObservation[] = [];
  const write = (level: LogLine['level']) => (fields: LogLine['fields'], message: string) => {
    log.push({ level, fields, message });
  };
  const services = {
    lifecycle,
    log: { info: write('info'), warn: write('warn'), error: write('error') },
    metrics: {
      requested: (observation: RequestObservation) => void observed.push(observation),
      exposition: async () => ({ contentType: 'text/plain; version=0.0.4', text: 'portcullis_up 1\n' }),
    },
  };
  const native = createNativeApp({
    broker,
    version: '0.1.0',
    bodyBytes: 1024 * 1024,
    releasesPerSecond: 0,
    challengeNeedsCertificate: false,
    ...services,
    ...options.native,
  });
  const server = createServer(native.listener, {
    host: '127.0.0.1',
    port: 0,
    lifecycle,
    log: services.log,
    ...options.listen,
  });
  const url = await server.start();
  const port = Number(new URL(url).port);
  return { url, port, broker, native, server, lifecycle, log, observed, stop: () => server.stop() };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  /** An object is sent as JSON. */
  readonly body?: Uint8Array | string | object;
  readonly token?: string;
  readonly tls?: RequestOptions;
}

/** One request on a connection of its own. */
export function ask(url: string, { method = 'GET', headers = {}, body, token, tls = {} }: Ask = {}): Promise<Answer> {
  const bytes =
    body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
  const options: RequestOptions = {
    method,
    agent: false,
    headers: {
      ...(bytes === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(bytes) }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...tls,
  };
  return new Promise((resolve, fail) => {
    const request = url.startsWith('https:') ? httpsRequest(url, options) : httpRequest(url, options);
    request.on('error', fail).on('response', (response) => {
      const chunks: Buffer[] = [];
      response
        .on('error', fail)
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const json =
            text !== '' && (response.headers['content-type'] ?? '').includes('json')
              ? (JSON.parse(text) as Answer['json'])
              : {};
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
        });
    });
    request.end(bytes);
  });
}

/** Writes bytes as they are on a new connection, and collects what comes back until the server closes it. */
export function raw(port: number, ...writes: readonly (string | Uint8Array)[]): Promise<string> {
  return new Promise((resolve, fail) => {
    const socket = connect(port, '127.0.0.1', () => {
      for (const bytes of writes) socket.write(bytes);
    });
    const chunks: Buffer[] = [];
    socket
      .on('data', (chunk) => chunks.push(chunk))
      .on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') fail(error);
      })
      .on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
}
