/**
 * HTTP. Faces (a folder each) turn requests into calls of use cases; this room may assume a Broker that authenticates and
 * decides, and nothing at all of whoever connects. Here: sockets, TLS, limits on slow and many clients, start and stop.
 */
import { randomUUID } from 'node:crypto';
import {
  createServer as createHttpServer,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { createServer as createHttpsServer, type ServerOptions as TlsServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { type Connection, Connections } from './connections.js';
import type { Lifecycle } from './lifecycle.js';
import type { LoadObserver, Log } from './ports.js';
import { PROBLEM_TYPE, transportProblem } from './problem.js';

/** PEM texts. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Every client must show a certificate under this authority. */
  readonly clientCa?: string;
  /** Clients may show a certificate under this authority; the routes that need one look. The same as clientCa, or without it. */
  readonly challengeClientCa?: string;
}

/** Bounds on what one client, and all together, may hold. Times in ms. */
export interface ServerLimits {
  /** From the first byte, or from connecting, to the end of the headers. */
  readonly headersTimeoutMs: number;
  /** To the end of the body. */
  readonly requestTimeoutMs: number;
  /** Between two requests of a connection. */
  readonly keepAliveTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  /** How long a client may leave an answer lying that it does not take. */
  readonly stallTimeoutMs: number;
  /** How often the timeouts above are looked at. */
  readonly checkIntervalMs: number;
  readonly maxHeaderBytes: number;
  /** Shared among sources: see Connections. */
  readonly maxConnections: number;
  /** How long requests in flight may take after stop. */
  readonly drainTimeoutMs: number;
}

export const DEFAULT_LIMITS: ServerLimits = {
  headersTimeoutMs: 30_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 15_000,
  handshakeTimeoutMs: 10_000,
  stallTimeoutMs: 30_000,
  checkIntervalMs: 1_000,
  maxHeaderBytes: 16 * 1024,
  maxConnections: 16_384,
  drainTimeoutMs: 10_000,
};

export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: TlsFiles;
  readonly limits?: Partial<ServerLimits>;
  readonly lifecycle: Lifecycle;
  readonly log: Log;
  readonly load?: LoadObserver;
}

export interface BrokerServer {
  readonly server: Server;
  /** Listens, and from then on /readyz may say ready. The URL under which it answers. Throws what listen(2) fails with. */
  start(): Promise<string>;
  /**
   * Drains: /readyz is 503 at once, no new connection is accepted, idle ones are closed, requests in flight are answered
   * with `connection: close`. What is not done after drainTimeoutMs is cut off. May be called again.
   */
  stop(): Promise<void>;
}

/** A server, not yet listening. Throws for TLS files that do not fit together. */
export function createServer(listener: RequestListener, options: ListenOptions): BrokerServer {
  const { host, port, tls, lifecycle, log } = options;
  const limits: ServerLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const connections = new Connections(limits.maxConnections, options.load);
  const onRequest: RequestListener = (request, response) => {
    if (connections.begin(request.socket, response)) listener(request, response);
  };
  const server =
    tls === undefined
      ? createHttpServer(httpOptions(limits), onRequest)
      : createHttpsServer({ ...httpOptions(limits), ...tlsOptions(tls, limits) }, onRequest);
  server.on('connection', (socket: Socket) => {
    lifecycle.accept();
    connections.accept(socket, { tls: tls !== undefined });
  });
  server.on('secureConnection', (socket: Socket) => connections.secured(socket));
  // Clients that wait for `100 Continue` get it when their body is wanted, and not before.
  server.on('checkContinue', onRequest).on('checkExpectation', onRequest);
  const refusals = new FewLines(log);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    options.load?.shed('connection.refused');
    refusals.write({ code: error.code, remote_address: socket.remoteAddress }, 'connection refused');
    refuseConnection(socket, error.code, connections.answerOn(socket));
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    options.load?.shed('connection.refused');
    refusals.write({ code: error.code, remote_address: socket.remoteAddress }, 'TLS handshake failed');
    socket.destroy();
  });
  const watch = setInterval(
    () => connections.closeStalled(performance.now(), limits.stallTimeoutMs),
    limits.checkIntervalMs,
  ).unref();
  server.once('close', () => clearInterval(watch));

  let stopped: Promise<void> | undefined;
  return {
    server,
    start: async () => {
      await listen(server, host, port);
      lifecycle.serve();
      return urlOf(server, tls === undefined ? 'http' : 'https', host);
    },
    stop: () => {
      lifecycle.drain();
      stopped ??= close(server, connections, limits.drainTimeoutMs);
      return stopped;
    },
  };
}

function httpOptions(limits: ServerLimits): ServerOptions {
  return {
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: limits.checkIntervalMs,
    maxHeaderSize: limits.maxHeaderBytes,
    // Answered with a problem document by the face, as everything is.
    requireHostHeader: false,
    noDelay: true,
  };
}

function tlsOptions({ cert, key, clientCa, challengeClientCa }: TlsFiles, limits: ServerLimits): TlsServerOptions {
  if (clientCa !== undefined && challengeClientCa !== undefined && clientCa !== challengeClientCa) {
    throw new Error('tls.client_ca and challenge.client_ca name different authorities; name one');
  }
  const ca = clientCa ?? challengeClientCa;
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    handshakeTimeout: limits.handshakeTimeoutMs,
    ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: clientCa !== undefined }),
  };
}

/** Connections that the operating system keeps until they are accepted, one a turn of the event loop; what goes beyond is tried again by the client, after a second. */
const BACKLOG = 4096;

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, fail) => {
    server.once('error', fail);
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', fail);
      resolve();
    });
  });
}

function urlOf(server: Server, scheme: string, host: string): string {
  const { port } = server.address() as AddressInfo;
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
}

function close(server: Server, connections: Iterable<Connection>, drainTimeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cutOff = setTimeout(() => {
      for (const { tcp } of connections) tcp.destroy();
    }, drainTimeoutMs);
    server.close(() => {
      clearTimeout(cutOff);
      resolve();
    });
    // Node closes connections that are idle after a request; those that never sent a byte are idle too.
    for (const { tcp } of connections) if (tcp.bytesRead === 0) tcp.destroy();
  });
}

/** Lines about clients that misbehave: whoever makes ten thousand of them fills no log. The metrics count them all. */
class FewLines {
  readonly #log: Log;
  #secondAtMs = 0;
  #written = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  write(fields: Readonly<Record<string, unknown>>, message: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#secondAtMs >= 1000) {
      this.#secondAtMs = nowMs;
      this.#written = 0;
    }
    if (this.#written++ < LINES_PER_SECOND) this.#log.info(fields, message);
  }
}

const LINES_PER_SECOND = 20;

/** Answers what the parser gave up on, unless an answer is under way on the socket, and closes it. */
function refuseConnection(socket: Socket, code: string | undefined, current: ServerResponse | undefined): void {
  const answering = current?.headersSent === true && !current.writableFinished;
  if (!socket.writable || code === 'ECONNRESET' || answering) {
    socket.destroy();
    return;
  }
  const id = randomUUID();
  const { status, body } = transportProblem(code, id);
  const head = [
    `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${String(Buffer.byteLength(body))}`,
    `x-request-id: ${id}`,
    'x-content-type-options: nosniff',
    'cache-control: no-store',
    'connection: close',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  // Not end(): a client that keeps its half open would keep the connection.
  socket.destroySoon();
}
