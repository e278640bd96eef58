import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { Denial } from '../release/broker.js';
import type { ReasonCode } from '../reason/reason.js';
import { ClientGoneError, expectsContinue, readOff } from './body.js';
import type { Lifecycle } from './lifecycle.js';
import type { Log, Metrics } from './ports.js';
import { problem, PROBLEM_TYPE, refusalOfFault } from './problem.js';

/** What every exchange of a process shares. */
export interface ExchangeServices {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly lifecycle: Lifecycle;
}

/** A request id of the caller's that is taken over; any other is replaced by ours, so that nothing can be smuggled into logs. */
const REQUEST_ID = /^[0-9A-Za-z._-]{1,64}$/;

/** An answer up to this length is over for us once it is written, whether its client takes it or not. In bytes. */
const SMALL_ANSWER_BYTES = 16 * 1024;

/** An API that answers JSON: nothing may be sniffed, cached, framed, or loaded by it. */
const SECURITY_HEADERS: readonly (readonly [name: string, value: string])[] = Object.entries({
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
});

/**
 * One request and its one answer: the request id, the headers that every answer has, and the line in the access log. The
 * line names method, route template, status, reason, time, id and remote address; never a path, a query or a body.
 */
export class Exchange {
  readonly id: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly #services: ExchangeServices;
  /** The matched route; unmatched requests stay `unknown`, so that labels never come from input. */
  #route = 'unknown';
  #method = 'other';
  #reason: ReasonCode | undefined;
  #answered: () => void = () => undefined;

  constructor(request: IncomingMessage, response: ServerResponse, services: ExchangeServices) {
    this.request = request;
    this.response = response;
    this.#services = services;
    const given = request.headers['x-request-id'];
    this.id = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    this.#recordWhenDone();
  }

  /** Names the route that the request matched. */
  matched(method: string, template: string): void {
    this.#method = method;
    this.#route = template;
  }

  /**
   * Calls `answered` when the answer costs nothing any more: headers and body are written and small, or the operating
   * system has taken them. It is not called where the connection is gone before. What the client still sends is not waited for.
   */
  onAnswered(answered: () => void): void {
    this.#answered = answered;
  }

  json(status: number, value: unknown): void {
    this.text(status, 'application/json', JSON.stringify(value));
  }

  /** Answers with a body that is complete: text, or bytes as they are. */
  text(status: number, contentType: string, body: string | Uint8Array): void {
    const { request, response } = this;
    if (response.headersSent || response.destroyed) return;
    const unread = !request.complete && request.listenerCount('data') === 0;
    const neverSent = unread && expectsContinue(request);
    if (unread && !neverSent) readOff(request);
    const draining = this.#services.lifecycle.phase === 'draining';
    if (neverSent || draining) response.setHeader('connection', 'close');
    const bytes = Buffer.byteLength(body);
    const taken = bytes > SMALL_ANSWER_BYTES ? this.#answered : undefined;
    response.writeHead(status, this.#headers(contentType, bytes));
    if (request.complete || neverSent || (response.shouldKeepAlive && !draining)) {
      response.end(body, taken);
    } else {
      // The end of the last answer closes the socket, and while a client still sends its body that would take the answer away from it.
      response.write(body, taken);
      request.once('end', () => response.end());
    }
    if (taken === undefined) this.#answered();
  }

  refuse(refusal: Denial): void {
    const { reason, status, headers, body } = problem(refusal, this.id);
    if (this.response.headersSent) return;
    this.#reason = reason;
    for (const [name, value] of Object.entries(headers)) this.response.setHeader(name, value);
    this.text(status, PROBLEM_TYPE, body);
  }

  /** Answers a fault with nothing of the fault in it, and logs the error under the request id. */
  fault(error: unknown): void {
    if (error instanceof ClientGoneError) return;
    this.#services.log.error({ err: error, request_id: this.id, route: this.#route }, 'request failed');
    if (this.response.headersSent) this.response.destroy();
    else this.refuse(refusalOfFault(error));
  }

  /** What every answer has, unless the response has it already, as the list that Node writes as it is. */
  #headers(contentType: string, length: number): string[] {
    const list = ['x-request-id', this.id, 'content-type', contentType, 'content-length', String(length)];
    for (const [name, value] of SECURITY_HEADERS) if (!this.response.hasHeader(name)) list.push(name, value);
    return list;
  }

  #recordWhenDone(): void {
    const { request, response } = this;
    const { log, metrics } = this.#services;
    const startedMs = performance.now();
    const remoteAddress = request.socket.remoteAddress;
    response.once('close', () => {
      const milliseconds = performance.now() - startedMs;
      const status = response.writableFinished ? response.statusCode : 'aborted';
      const reason = this.#reason === undefined ? {} : { reason: this.#reason };
      metrics.requested({ route: this.#route, method: this.#method, status, ...reason, seconds: milliseconds / 1000 });
      const line = {
        method: request.method,
        route: this.#route,
        status,
        ...reason,
        duration_ms: Math.round(milliseconds * 1000) / 1000,
        request_id: this.id,
        remote_address: remoteAddress,
      };
      log.info(line, 'request');
    });
  }
}
