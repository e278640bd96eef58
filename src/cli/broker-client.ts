import { Agent, request } from 'undici';
import { MalformedError } from '../bytes/malformed-error.js';
import { parseJson } from '../bytes/json.js';
import type { Decision } from '../policy/decision.js';
import type { Finding } from '../reason/reason.js';
import type { ListView } from '../release/views.js';
import { errorCode } from './error-code.js';
import { UnreachableError, type Refusal } from './outcome.js';

const CONNECT_TIMEOUT_MS = 5_000;
const ANSWER_TIMEOUT_MS = 60_000;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const MAX_ANSWER_DEPTH = 64;
const PAGE_SIZE = 1_000;

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';
export type Reply<T> = { readonly ok: true; readonly value: T } | Refusal;

/** Members of a query string; undefined ones are left out. */
export type Query = Readonly<Record<string, string | undefined>>;

/** Where the broker is and how to speak to it. */
export interface BrokerAddress {
  readonly url: URL;
  /** PEM text of the certificates to trust. */
  readonly ca?: string;
  /** PEM texts of what to show to a broker that asks for a certificate. */
  readonly clientCertificate?: { readonly certificate: string; readonly privateKey: string };
}

/** Which part of a list is wanted. */
export interface ListRange {
  /** At most so many items; all when left out. */
  readonly limit?: number;
  readonly cursor?: string;
}

/** What came back, of any status. */
export interface RawReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
}

/**
 * Speaks the native interface of one broker. No retries and no redirects: the token goes to the named host alone. An answer
 * is trusted as far as TLS vouches for the host; its shape is not checked beyond being a JSON object.
 */
export class BrokerClient {
  readonly #base: URL;
  readonly #token: string | undefined;
  readonly #agent: Agent;

  constructor(address: BrokerAddress, token: string | undefined) {
    this.#base = address.url;
    this.#token = token;
    const { ca, clientCertificate: shown } = address;
    this.#agent = new Agent({
      connect: {
        timeout: CONNECT_TIMEOUT_MS,
        ...(ca === undefined ? {} : { ca }),
        ...(shown === undefined ? {} : { cert: shown.certificate, key: shown.privateKey }),
      },
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
      maxResponseSize: MAX_ANSWER_BYTES,
    });
  }

  get hasToken(): boolean {
    return this.#token !== undefined;
  }

  /** One call. `path` starts with a slash, its segments are encoded. Throws UnreachableError. */
  async call<T>(method: Method, path: string, body?: unknown, query: Query = {}): Promise<Reply<T>> {
    const reply = await this.raw(method, path, body, query);
    const value = objectIn(reply.body);
    if (reply.status >= 200 && reply.status < 300 && value !== undefined) return { ok: true, value: value as T };
    return refusalOf(reply, value, this.#base);
  }

  /** A list, page after page, up to the limit. `next_cursor` is left where there is more. */
  async list<T>(path: string, range: ListRange, query: Query = {}): Promise<Reply<ListView<T>>> {
    const items: T[] = [];
    const wanted = range.limit ?? Number.POSITIVE_INFINITY;
    let cursor = range.cursor;
    const seen = new Set<string>();
    for (;;) {
      const limit = Math.min(PAGE_SIZE, wanted - items.length);
      const page = await this.call<ListView<T>>('GET', path, undefined, { ...query, limit: String(limit), cursor });
      if (!page.ok) return page;
      if (!Array.isArray(page.value.items)) return notPortcullis(this.#base, 'a list without items');
      for (const item of page.value.items as readonly T[]) items.push(item);
      cursor = page.value.next_cursor;
      if (cursor === undefined) return { ok: true, value: { items } };
      if (items.length >= wanted) return { ok: true, value: { items, next_cursor: cursor } };
      if (seen.has(cursor)) return notPortcullis(this.#base, 'the same page twice');
      seen.add(cursor);
    }
  }

  /** One exchange, whatever its status and body. Throws UnreachableError. */
  async raw(method: Method, path: string, body?: unknown, query: Query = {}): Promise<RawReply> {
    const url = new URL(this.#base);
    url.pathname = url.pathname.replace(/\/$/, '') + path;
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
    try {
      const response = await request(url, {
        method,
        dispatcher: this.#agent,
        headers: {
          accept: 'application/json, application/problem+json',
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: body === undefined ? null : JSON.stringify(body),
      });
      return {
        status: response.statusCode,
        headers: response.headers,
        body: Buffer.from(await response.body.arrayBuffer()),
      };
    } catch (error) {
      throw new UnreachableError(
        `cannot reach the broker at ${this.#base.origin}: ${whyUnreachable(error, this.#base)}`,
      );
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

function objectIn(body: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = parseJson(body, MAX_ANSWER_DEPTH);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

function refusalOf(reply: RawReply, problem: Readonly<Record<string, unknown>> | undefined, base: URL): Refusal {
  const reason = problem?.['reason'];
  if (problem === undefined || typeof reason !== 'string') {
    return notPortcullis(base, `status ${String(reply.status)} and no reason`);
  }
  const { detail, title, decision, findings, request_id: requestId } = problem;
  return {
    ok: false,
    reason,
    detail: typeof detail === 'string' ? detail : typeof title === 'string' ? title : `status ${String(reply.status)}`,
    status: reply.status,
    ...(typeof decision === 'object' && decision !== null ? { decision: decision as Decision } : {}),
    ...(Array.isArray(findings) ? { findings: findings as readonly Finding[] } : {}),
    ...(typeof requestId === 'string' ? { request_id: requestId } : {}),
  };
}

function notPortcullis(base: URL, what: string): Refusal {
  return {
    ok: false,
    reason: 'internal',
    detail: `${base.origin} answered with ${what}; is --url a Portcullis broker?`,
  };
}

/** Why there was no answer, and what to do about it. */
function whyUnreachable(error: unknown, base: URL): string {
  const code = errorCode(error);
  switch (code) {
    case 'ECONNREFUSED':
      return 'connection refused; start it with `portcullis serve`, or correct --url';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the host name does not resolve; correct --url';
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
    case 'ETIMEDOUT':
      return 'no answer in time; check the network and that the broker is ready';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_GET_ISSUER_CERT':
      return 'its TLS certificate is not trusted; give its issuer with --ca F';
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return 'its TLS certificate is not valid at this time; renew it, or correct the clock';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'its TLS certificate is for another host name; correct --url';
    default:
      break;
  }
  if (base.protocol === 'https:' && (code === 'EPROTO' || code.startsWith('ERR_SSL_'))) {
    return 'it does not speak TLS there; try http://';
  }
  if (base.protocol === 'http:' && (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code.startsWith('HPE_'))) {
    return 'it closed the connection; if it listens with TLS, use https://';
  }
  return `${code === '' ? 'it does not speak HTTP there' : code}; check --url`;
}
