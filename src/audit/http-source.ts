import { gunzipSync } from 'node:zlib';
import { Agent, type Dispatcher, request } from 'undici';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { tooLong } from './directory-source.js';
import { CHECKPOINT, LOG_KEY, type LogSource, LogSourceError, type Resource, textOf, tileResource } from './source.js';

export interface HttpSourceOptions {
  /** The prefix of the log, such as `https://broker.example:8440/log`: what `checkpoint` and `tile/` stand below. */
  readonly url: URL;
  /** PEM of the only roots to believe; default: those of Node. */
  readonly ca?: string;
  /** PEM of what to show to a server that asks for a certificate. */
  readonly clientCertificate?: { readonly certificate: string; readonly privateKey: string };
  /** For one file, from connecting to the last byte. Default 30000. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** As many as files are asked for ahead. */
const CONNECTIONS = 8;
const MAX_PROBLEM_BYTES = 64 * 1024;

/**
 * A log over HTTP: a broker, or any server of static tlog-tiles files. Redirects are not followed, connections are kept
 * open, and gzip is undone, since a log may use it without being asked (C2SP tlog-tiles, "Log entries").
 */
export function httpSource(options: HttpSourceOptions): LogSource {
  const prefix = `${options.url.origin}${options.url.pathname.replace(/\/+$/, '')}`;
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const { ca, clientCertificate: shown } = options;
  const agent = new Agent({
    connections: CONNECTIONS,
    connect: {
      timeout: CONNECT_TIMEOUT_MS,
      ...(ca === undefined ? {} : { ca }),
      ...(shown === undefined ? {} : { cert: shown.certificate, key: shown.privateKey }),
    },
  });
  const read = async (resource: Resource): Promise<Buffer> => {
    try {
      const answer = await request(`${prefix}/${resource.path}`, {
        dispatcher: agent,
        headers: { 'accept-encoding': 'gzip, identity' },
        signal: AbortSignal.timeout(timeoutMs),
      });
      return await contentOf(answer, resource);
    } catch (cause) {
      if (cause instanceof LogSourceError) throw cause;
      throw new LogSourceError('unreachable', whyUnreachable(cause, timeoutMs), { cause });
    }
  };
  return {
    where: prefix,
    checkpoint: async () => textOf(CHECKPOINT, await read(CHECKPOINT)),
    verifierKey: async () => textOf(LOG_KEY, await read(LOG_KEY)).trim(),
    tile: (name) => read(tileResource(name)),
    close: () => agent.destroy(),
  };
}

async function contentOf(answer: Dispatcher.ResponseData, { path, maxBytes }: Resource): Promise<Buffer> {
  if (answer.statusCode !== 200) throw await statusFailure(answer, path);
  const encoding = answer.headers['content-encoding'];
  const body = await bounded(answer, maxBytes, path);
  if (encoding === undefined || encoding === 'identity') return body;
  if (encoding !== 'gzip') throw new LogSourceError('unfit', `${path} came in an encoding that was not asked for`);
  try {
    return gunzipSync(body, { maxOutputLength: maxBytes });
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    if (code === 'ERR_BUFFER_TOO_LARGE') throw tooLong(path, maxBytes);
    throw new LogSourceError('unfit', `${path} came as gzip that cannot be undone`, { cause });
  }
}

async function bounded(answer: Dispatcher.ResponseData, maxBytes: number, path: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let total = 0;
  // Leaving the loop destroys the body, and with it the connection.
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > maxBytes) throw tooLong(path, maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, total);
}

async function statusFailure(answer: Dispatcher.ResponseData, path: string): Promise<LogSourceError> {
  const { statusCode: status } = answer;
  const body = await bounded(answer, MAX_PROBLEM_BYTES, path).catch(() => Buffer.alloc(0));
  if (status === 404 || status === 410) return new LogSourceError('absent', `${path} is missing (${String(status)})`);
  const problem = problemIn(answer.headers['content-type'], body);
  if (problem !== undefined) return new LogSourceError('refused', problem.detail, { reason: problem.reason });
  if (status >= 500 || status === 429) {
    return new LogSourceError('unreachable', `it answered ${String(status)} for ${path}; try again later`);
  }
  const why = status >= 300 && status < 400 ? '; redirects are not followed: name the place itself' : '';
  return new LogSourceError('unfit', `it answered ${String(status)} for ${path}${why}`);
}

/** What a problem document (RFC 9457) of a broker says. */
function problemIn(contentType: unknown, body: Buffer): { reason: string; detail: string } | undefined {
  if (typeof contentType !== 'string' || !contentType.startsWith('application/problem+json')) return undefined;
  try {
    const { reason, detail } = parseJson(body) as { reason?: unknown; detail?: unknown };
    if (typeof reason !== 'string') return undefined;
    return { reason, detail: typeof detail === 'string' ? detail : reason };
  } catch (error) {
    if (error instanceof MalformedError || error instanceof TypeError) return undefined;
    throw error;
  }
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_GET_ISSUER_CERT',
]);

function whyUnreachable(cause: unknown, timeoutMs: number): string {
  const { code, name } = cause as { code?: unknown; name?: unknown };
  if (name === 'TimeoutError' || code === 'UND_ERR_CONNECT_TIMEOUT') {
    return `no answer within ${String(name === 'TimeoutError' ? timeoutMs : CONNECT_TIMEOUT_MS)} ms`;
  }
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the host name does not resolve';
  if (typeof code === 'string' && UNTRUSTED.has(code))
    return 'its TLS certificate is not trusted; give its issuer with --ca';
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return 'its TLS certificate is not valid at this time; check the clock';
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'its TLS certificate is for another host name';
  return typeof code === 'string' ? code : 'it does not speak HTTP there';
}
