import { open } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import { Agent, type Dispatcher, request } from 'undici';

/** A document of an authority cannot be had: it does not answer, or answers something that cannot be it. The message is for the log, and holds no query of a URL. */
export class AuthorityFetchError extends Error {
  override readonly name = 'AuthorityFetchError';
}

const CONNECTIONS = 2;
const KEEP_ALIVE_MS = 1_000;

/** Connections to one authority. `roots` are PEM, beside those of Node. */
export function authorityAgent(roots: readonly string[], timeoutMs: number): Agent {
  return new Agent({
    connections: CONNECTIONS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: { timeout: timeoutMs, ...(roots.length === 0 ? {} : { ca: [...rootCertificates, ...roots] }) },
  });
}

/** Without its query, which may hold a key. */
function named({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}

/** The body at an https URL, status 200 alone; redirects are not followed. Throws AuthorityFetchError. */
export async function fetchDocument(
  url: URL,
  { agent, signal, maxBytes }: { readonly agent: Dispatcher; readonly signal: AbortSignal; readonly maxBytes: number },
): Promise<Buffer> {
  try {
    const answer = await request(url, {
      dispatcher: agent,
      signal,
      headers: { accept: 'application/json', 'accept-encoding': 'identity' },
    });
    if (answer.statusCode !== 200) {
      await answer.body.dump();
      throw new AuthorityFetchError(`${named(url)} answered ${String(answer.statusCode)}`);
    }
    const chunks: Buffer[] = [];
    let total = 0;
    // Leaving the loop destroys the body, and with it the connection.
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      total += chunk.length;
      if (total > maxBytes) throw new AuthorityFetchError(`${named(url)} is over ${String(maxBytes)} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, total);
  } catch (cause) {
    if (cause instanceof AuthorityFetchError) throw cause;
    throw new AuthorityFetchError(`${named(url)} cannot be fetched: ${codeOf(cause)}`, { cause });
  }
}

/** A file of at most `maxBytes`. Throws AuthorityFetchError. */
export async function readDocument(file: string, maxBytes: number): Promise<Buffer> {
  try {
    const handle = await open(file, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
      if (bytesRead > maxBytes) throw new AuthorityFetchError(`${file} is over ${String(maxBytes)} bytes`);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (cause instanceof AuthorityFetchError) throw cause;
    throw new AuthorityFetchError(`${file} cannot be read: ${codeOf(cause)}`, { cause });
  }
}

function codeOf(cause: unknown): string {
  const { code, name } = cause as { code?: unknown; name?: unknown };
  if (name === 'TimeoutError') return 'no answer in time';
  return typeof code === 'string' ? code : String(name);
}
