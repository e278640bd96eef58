import { Agent, request } from 'undici';
import { MalformedError } from '../bytes/malformed-error.js';
import type { VerifierKey } from '../translog/note.js';
import {
  cosignatureIn,
  formatAddCheckpoint,
  MAX_WITNESS_BYTES,
  originHash,
  parseConflict,
} from '../translog/witness.js';

/** A checkpoint to have cosigned. */
export interface Submission {
  readonly size: number;
  /** The note text: what is cosigned. */
  readonly text: string;
  /** The signed note. */
  readonly checkpoint: string;
  /** The proof from an older size to this one. */
  consistency(oldSize: number): Promise<readonly Buffer[]>;
}

/**
 * What a witness came to. `ahead`: it says that it has cosigned a larger tree of this log. `disputed`: it does not find that
 * this log has grown from what it cosigned last. Both are words alone, that nothing vouches for. `resting`: it failed, and
 * is not asked for a while.
 */
export type WitnessAnswer =
  | { readonly outcome: 'cosigned'; readonly line: string }
  | { readonly outcome: 'ahead'; readonly size: number }
  | { readonly outcome: 'disputed' | 'failed' | 'resting'; readonly why: string };

export interface WitnessClientOptions {
  readonly url: string;
  readonly key: VerifierKey;
  /** For one submission, retries included, and for one fetch. */
  readonly timeoutMs: number;
  /** Milliseconds, never going back. */
  readonly monotonic: () => number;
}

/** The first request guesses the size that the witness holds, the second knows it; siblings may come between, each time. */
const MAX_ATTEMPTS = 16;
const FIRST_REST_MS = 100;
const LONGEST_REST_MS = 5_000;
const MAX_WHY = 200;

interface Reply {
  readonly status: number;
  readonly text: string;
}

/**
 * One witness, as the broker sees it: one request at a time, over a connection that is kept. No redirect is followed, an
 * answer is at most 64 KiB. A witness that fails is left alone for a while, longer each time, up to 5 s.
 */
export class WitnessClient {
  readonly key: VerifierKey;
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #monotonic: () => number;
  readonly #agent: Agent;
  #isClosed = false;
  #turn: Promise<unknown> = Promise.resolve();
  /** Size of the checkpoint that it cosigned last, as far as is known here. */
  #held = 0;
  #failures = 0;
  #restUntilMs = 0;
  #lastWhy = '';

  constructor({ url, key, timeoutMs, monotonic }: WitnessClientOptions) {
    this.key = key;
    this.#url = url.replace(/\/+$/, '');
    this.#timeoutMs = timeoutMs;
    this.#monotonic = monotonic;
    this.#agent = new Agent({ maxResponseSize: MAX_WITNESS_BYTES, connections: 1, pipelining: 1 });
  }

  get name(): string {
    return this.key.name;
  }

  /** How long it is left alone yet. */
  get restMs(): number {
    return Math.max(0, this.#restUntilMs - this.#monotonic());
  }

  /**
   * Asks for a cosignature, which is verified. Waits for the request before it; `abandoned` ends that wait, not a request
   * that has begun. Throws nothing.
   */
  ask(submission: Submission, abandoned: AbortSignal): Promise<WitnessAnswer> {
    const ask = async (): Promise<WitnessAnswer> => {
      if (abandoned.aborted || this.#isClosed) return { outcome: 'resting', why: 'no longer needed' };
      if (this.restMs > 0) return { outcome: 'resting', why: this.#lastWhy };
      try {
        const answer = await this.#submit(submission);
        if (answer.outcome === 'failed' || answer.outcome === 'disputed') this.#rest(answer.why);
        // Who is ahead may be doubted yet, and then again.
        else if (answer.outcome === 'cosigned') this.#failures = 0;
        return answer;
      } catch (error) {
        const why = reasonOf(error, this.#timeoutMs);
        this.#rest(why);
        return { outcome: 'failed', why };
      }
    };
    const turn = this.#turn.then(ask);
    this.#turn = turn;
    return turn;
  }

  /** The log has nothing of the size that this witness was `ahead` with: it is left alone for a while, and then asked what it holds. */
  doubt(why: string): void {
    this.#held = 0;
    this.#rest(why);
  }

  /** The checkpoint of a log that the witness holds, not verified; undefined where it never cosigned one. Throws where it does not say. */
  async latest(origin: string): Promise<string | undefined> {
    const { status, text } = await this.#call(
      'GET',
      `/${originHash(origin)}/checkpoint`,
      AbortSignal.timeout(this.#timeoutMs),
    );
    if (status === 200) return text;
    if (status === 404) return undefined;
    throw new MalformedError(refusalText(status, text));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#agent.destroy();
    await this.#turn;
  }

  async #submit(submission: Submission): Promise<WitnessAnswer> {
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const oldSize = this.#held;
      if (oldSize > submission.size) return { outcome: 'ahead', size: oldSize };
      const proof = await submission.consistency(oldSize);
      const { checkpoint } = submission;
      const body = formatAddCheckpoint({ oldSize, proof, checkpoint });
      const { status, text } = await this.#call('POST', '/add-checkpoint', deadline, body);
      if (status === 200) {
        const line = cosignatureIn(text, submission.text, this.key);
        this.#held = submission.size;
        return { outcome: 'cosigned', line };
      }
      if (status === 422) return { outcome: 'disputed', why: refusalText(status, text) };
      if (status !== 409) return { outcome: 'failed', why: refusalText(status, text) };
      this.#held = parseConflict(text);
      // A witness goes forward only, except before the first answer: what it was known to hold may be from before a reset.
      if (this.#held === oldSize || (this.#held < oldSize && attempt > 0)) break;
    }
    return { outcome: 'failed', why: 'it does not say, twice in the same way, which tree it cosigned last' };
  }

  async #call(method: 'GET' | 'POST', path: string, signal: AbortSignal, body?: string): Promise<Reply> {
    const answer = await request(`${this.#url}${path}`, {
      method,
      dispatcher: this.#agent,
      signal,
      ...(body === undefined ? {} : { body, headers: { 'content-type': 'text/plain; charset=utf-8' } }),
    });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    // Not fatal: what is no UTF-8 is no signature line either.
    return { status: answer.statusCode, text: bytes.toString('utf8') };
  }

  #rest(why: string): void {
    this.#failures++;
    this.#lastWhy = why;
    this.#restUntilMs = this.#monotonic() + Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** (this.#failures - 1));
  }
}

/** The statuses of the specification in words; what the witness says itself is for people, and bounded. */
function refusalText(status: number, text: string): string {
  const known: Readonly<Record<number, string>> = {
    403: 'it does not accept the signature: it knows another key for this log',
    404: 'it does not know this log: give it the log key',
    422: 'it holds another history of this log, or one that this log does not grow from',
  };
  // An answer from outside must not write lines of its own into messages.
  const said = text
    .slice(0, MAX_WHY)
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim();
  return `${known[status] ?? `it answered ${String(status)}`}${said === '' ? '' : ` (${said})`}`;
}

function reasonOf(error: unknown, timeoutMs: number): string {
  if (error instanceof MalformedError) return error.message;
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (name === 'TimeoutError') return `no answer within ${String(timeoutMs)} ms`;
  return typeof code === 'string' ? code : `cannot be asked (${String(name)})`;
}
