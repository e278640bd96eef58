import { setTimeout as pause } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { Served } from '../../collateral/sources.js';

/** For one attempt, from the first byte of the request to the last of the answer. */
const TIMEOUT_MS = 10_000;
const MAX_ATTEMPTS = 4;
/** Waits between attempts, all of one download together. */
const MAX_WAIT_MS = 60_000;
const FIRST_WAIT_MS = 2_000;
/** The largest CRL is 4 MiB; a RIM in base64 is far below it. */
const MAX_BYTES = 8 * 1024 * 1024;

/** It could not be had; the message says why and holds nothing of the answer. */
export class DownloadError extends Error {
  override readonly name = 'DownloadError';
}

export interface DownloaderOptions {
  /** Told of each wait: `5 s, since it answered 429`. */
  readonly waiting?: (why: string) => void;
  /** How waits are spent. */
  readonly pause?: (milliseconds: number) => Promise<unknown>;
  /** For one attempt. */
  readonly timeoutMs?: number;
}

/**
 * Fetches what makers publish, one GET after the other. Each attempt has 10 s and 8 MiB. Makers limit how often they are asked:
 * after 429 and 503 it asks again, up to three times, after the time that Retry-After names, in all a minute. No redirect
 * is followed. What comes back is not verified.
 */
export class Downloader {
  readonly #agent: Agent;
  readonly #waiting: (why: string) => void;
  readonly #pause: (milliseconds: number) => Promise<unknown>;
  readonly #timeoutMs: number;

  constructor({ waiting = () => undefined, pause: spend = pause, timeoutMs = TIMEOUT_MS }: DownloaderOptions = {}) {
    this.#agent = new Agent({ connect: { timeout: timeoutMs }, maxResponseSize: MAX_BYTES });
    this.#waiting = waiting;
    this.#pause = spend;
    this.#timeoutMs = timeoutMs;
  }

  /** The answer, of status 200. Throws DownloadError. */
  async get(url: string): Promise<Served> {
    let waitedMs = 0;
    for (let attempt = 1; ; attempt++) {
      const { status, retryAfter, download } = await this.#attempt(url);
      if (status === 200) return download;
      const why = `it answered ${String(status)}`;
      if (status !== 429 && status !== 503) throw new DownloadError(why);
      const waitMs = retryAfterMs(retryAfter) ?? FIRST_WAIT_MS * 2 ** (attempt - 1);
      waitedMs += waitMs;
      if (attempt === MAX_ATTEMPTS) throw new DownloadError(`${why}, ${String(attempt)} times`);
      if (waitedMs > MAX_WAIT_MS) {
        throw new DownloadError(`${why} and wants to be asked again in ${String(Math.ceil(waitMs / 1000))} s`);
      }
      this.#waiting(`${String(Math.ceil(waitMs / 1000))} s, since ${why}`);
      await this.#pause(waitMs);
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #attempt(url: string) {
    try {
      const signal = AbortSignal.timeout(this.#timeoutMs);
      const { statusCode, headers, body } = await request(url, { dispatcher: this.#agent, signal });
      const once = (name: string) => {
        const value = headers[name];
        return typeof value === 'string' ? value : undefined;
      };
      const bytes = Buffer.from(await body.arrayBuffer());
      return { status: statusCode, retryAfter: once('retry-after'), download: { body: bytes, header: once } };
    } catch (error) {
      throw new DownloadError(whyNot(error, this.#timeoutMs), { cause: error });
    }
  }
}

/** Seconds (RFC 9110 section 10.2.3); a date is not understood, and counts as none. */
function retryAfterMs(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) * 1000 : undefined;
}

function whyNot(error: unknown, timeoutMs: number): string {
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown };
  if (name === 'TimeoutError') return `no answer within ${String(timeoutMs / 1000)} s`;
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') return `its answer has more than ${String(MAX_BYTES)} bytes`;
  return typeof code === 'string' ? `it cannot be reached (${code})` : 'it cannot be reached';
}
