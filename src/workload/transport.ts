import { Agent, request } from 'undici';
import type { Json } from '../bytes/canonical-json.js';
import { BrokerAnswerError, BrokerUnreachableError } from './errors.js';

/** The largest answer that is read: a released key is at most 64 KiB, in base64url twice over, and its decision tree beside. */
export const MAX_ANSWER_BYTES = 1024 * 1024;

/** One answer of the broker, its body not yet parsed and at most MAX_ANSWER_BYTES long. */
export interface TransportAnswer {
  readonly status: number;
  readonly body: Buffer;
  /** `Retry-After` in seconds, where the answer has it. */
  readonly retryAfterSeconds?: number;
}

/** How requests reach the broker; tests hand in their own. Throws BrokerUnreachableError, or BrokerAnswerError for an answer over the limit. */
export interface Transport {
  /** Sends `body` as JSON. `path` starts with a slash. */
  post(path: string, body: Json): Promise<TransportAnswer>;
  /** Fetches what is public. `path` starts with a slash. */
  get(path: string): Promise<TransportAnswer>;
  /** Lets go of open connections. */
  close(): Promise<void>;
}

export interface HttpTransportOptions {
  /** `https://broker.example:8440`; a path is kept as a prefix. */
  readonly url: string;
  /** PEM of the only roots to believe; default: those of Node. */
  readonly ca?: string;
  /** PEM of certificate (with intermediates) and private key, for brokers that ask for one. */
  readonly clientCertificate?: { readonly certificate: string; readonly privateKey: string };
  /** For one request, from connecting to the last byte. Default 30000. */
  readonly timeoutMs?: number;
}

interface Message {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 1_000;

/**
 * HTTP over undici. Redirects are not followed, compressed answers are not asked for, and no proxy is taken from the
 * environment: the broker is who the URL says. Throws TypeError for a URL that is not http or https, or holds credentials.
 */
export function httpTransport(options: HttpTransportOptions): Transport {
  const base = brokerUrl(options.url);
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const agent = new Agent({
    maxResponseSize: MAX_ANSWER_BYTES,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: {
      ...(options.ca === undefined ? {} : { ca: options.ca }),
      ...(options.clientCertificate === undefined
        ? {}
        : { cert: options.clientCertificate.certificate, key: options.clientCertificate.privateKey }),
    },
  });
  const exchange = async (path: string, message: Message): Promise<TransportAnswer> => {
    try {
      const answer = await request(`${base}${path}`, {
        ...message,
        dispatcher: agent,
        signal: AbortSignal.timeout(timeoutMs),
      });
      const retryAfter = Number(answer.headers['retry-after'] ?? 'none');
      return {
        status: answer.statusCode,
        body: Buffer.from(await answer.body.arrayBuffer()),
        ...(Number.isSafeInteger(retryAfter) && retryAfter >= 0 ? { retryAfterSeconds: retryAfter } : {}),
      };
    } catch (cause) {
      throw transportError(base, timeoutMs, cause);
    }
  };
  return {
    post: (path, body) =>
      exchange(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json, application/problem+json' },
        body: JSON.stringify(body),
      }),
    get: (path) => exchange(path, { method: 'GET', headers: { accept: 'text/plain, application/problem+json' } }),
    close: () => agent.close(),
  };
}

function brokerUrl(text: string): string {
  if (!URL.canParse(text)) throw new TypeError('the broker URL is not a URL');
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new TypeError('the broker URL is not http or https');
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new TypeError('the broker URL holds more than scheme, host, port and path');
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

function transportError(base: string, timeoutMs: number, cause: unknown): Error {
  const { code, name, message } = cause as { code?: unknown; name?: unknown; message?: unknown };
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') {
    return new BrokerAnswerError(`the answer of ${base} is over ${String(MAX_ANSWER_BYTES)} bytes`, { cause });
  }
  const timedOut = name === 'TimeoutError' ? `no answer within ${String(timeoutMs)} ms` : undefined;
  const why = timedOut ?? (typeof code === 'string' ? code : String(message));
  return new BrokerUnreachableError(`cannot reach the broker at ${base}: ${why}`, { cause });
}
