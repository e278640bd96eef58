import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { LoadObserver } from './ports.js';
import type { Shares, Shortage } from './shares.js';

/** How much of a body that nobody wants is read off the wire, so that the client can read our answer; beyond it the socket is destroyed. */
export const READ_OFF_BYTES = 16 * 1024 * 1024;

/** Bodies of a declared length up to this draw on a budget of their own. */
export const SMALL_BODY_BYTES = 64 * 1024;

const LEAST_BUFFER_BYTES = 1024;
const EMPTY = Buffer.alloc(0);

/** `application/json`, with no parameter but `charset=utf-8`. */
const JSON_TYPE = /^application\/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?$/i;

/** The client went away while its body was being read: there is nobody to answer. */
export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError';
}

/** The memory that bodies of one kind may hold at one time, over all requests of the process. */
export class BodyBudget {
  readonly #maxBytes: number;
  #held = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Takes `bytes` out of the budget; false, and nothing taken, where they do not fit. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#maxBytes) return false;
    this.#held += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}

export interface BodyLimits {
  readonly maxBytes: number;
  /** Memory for bodies of a declared length up to SMALL_BODY_BYTES, so that large ones that stand still cannot refuse them. */
  readonly small: Shares;
  /** Memory for larger and chunked bodies. */
  readonly large: Shares;
  readonly load: LoadObserver | undefined;
}

/** A body that has arrived. */
export interface HeldBody {
  /** Its bytes, once; their memory stays taken, for what is made of them. */
  take(): Buffer;
  /** Gives its memory back to the others: when the request that it belongs to is done. */
  release(): void;
}

/** Whether the request announces a body: RFC 9112 section 6.3. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

/**
 * Reads the body of a request that says it is JSON, in identity encoding. Refusals: request.too_large (by Content-Length
 * before a byte is read, or by count), request.malformed, request.rate_limited where the bodies under way leave no memory for
 * it, or `source` holds more than its share of that. What is in the body is not looked at. Throws ClientGoneError.
 */
export function receiveBody(
  request: IncomingMessage,
  response: ServerResponse,
  limits: BodyLimits,
  source: string,
): Promise<Result<HeldBody>> {
  const refusal = headersRefused(request, limits);
  if (refusal !== undefined) return Promise.resolve(refusal);
  if (expectsContinue(request)) response.writeContinue();
  return readBytes(request, limits, source);
}

function headersRefused({ headers }: IncomingMessage, limits: BodyLimits): Result<never> | undefined {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    return reject('request.malformed', 'content encodings other than identity are not accepted');
  }
  if (!JSON_TYPE.test(headers['content-type'] ?? '')) {
    return reject('request.malformed', 'the content type is not application/json');
  }
  const transfer = headers['transfer-encoding'];
  if (transfer !== undefined && transfer.toLowerCase() !== 'chunked') {
    return reject('request.malformed', 'transfer encodings other than chunked are not accepted');
  }
  return Number(headers['content-length'] ?? 0) > limits.maxBytes ? tooLarge(limits) : undefined;
}

/** Parses a JSON body: UTF-8, depth 32, no duplicate members; request.malformed otherwise. The value is not validated. */
export function parseBody(bytes: Uint8Array): Result<unknown> {
  try {
    return accept(parseJson(bytes));
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', `body: ${error.message}`);
    throw error;
  }
}

/** True for a client that waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1). */
export function expectsContinue({ headers }: IncomingMessage): boolean {
  return headers.expect?.toLowerCase() === '100-continue';
}

/** Reads off and forgets what is left of a body, up to READ_OFF_BYTES with what was read before, then destroys the socket. */
export function readOff(request: IncomingMessage, readBytes = 0): void {
  let total = readBytes;
  request.on('data', (chunk: Buffer) => {
    total += chunk.length;
    if (total > READ_OFF_BYTES) request.destroy();
  });
  request.on('error', () => undefined);
}

function tooLarge({ maxBytes }: BodyLimits): Result<never> {
  return reject('request.too_large', `the body is larger than ${String(maxBytes)} bytes`);
}

/** By what the headers declare, which Node's parser holds the body to. */
function sharesFor({ headers }: IncomingMessage, { small, large }: BodyLimits): Shares {
  const isSmall =
    headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) <= SMALL_BODY_BYTES;
  return isSmall ? small : large;
}

function readBytes(request: IncomingMessage, limits: BodyLimits, source: string): Promise<Result<HeldBody>> {
  return new Promise((resolve, fail) => {
    const body = new GrowingBody(sharesFor(request, limits), source);
    const most = Math.min(limits.maxBytes, Number(request.headers['content-length'] ?? limits.maxBytes));
    let total = 0;

    const settle = (): void => {
      request.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone);
    };
    const refuse = (refusal: Result<never>): void => {
      settle();
      body.release();
      readOff(request, total);
      resolve(refusal);
    };
    const onData = (chunk: Buffer): void => {
      total += chunk.length;
      if (total > limits.maxBytes) {
        refuse(tooLarge(limits));
        return;
      }
      const shortage = body.append(chunk, most);
      if (shortage === undefined) return;
      limits.load?.shed(`body.${shortage}`);
      refuse(reject('request.rate_limited', SHORTAGES[shortage]));
    };
    const onEnd = (): void => {
      settle();
      resolve(accept(body));
    };
    const onGone = (): void => {
      settle();
      body.release();
      fail(new ClientGoneError('the client went away'));
    };
    request.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone);
  });
}

const SHORTAGES: Readonly<Record<Shortage, string>> = {
  share: 'request bodies from this address hold as much memory as it may have now; try again in a moment',
  full: 'the broker holds as many request bodies as it can; try again in a moment',
};

/**
 * A body as it arrives. Most come in one piece, which is kept as it is. Others are gathered in one buffer, so that a body
 * that comes a byte at a time takes the memory of its bytes and not of a thousand objects.
 */
class GrowingBody implements HeldBody {
  readonly #shares: Shares;
  readonly #source: string;
  #buffer: Buffer = EMPTY;
  #length = 0;
  /** Bytes taken of the shares. */
  #taken = 0;

  constructor(shares: Shares, source: string) {
    this.#shares = shares;
    this.#source = source;
  }

  take(): Buffer {
    const bytes = this.#buffer.subarray(0, this.#length);
    this.#buffer = EMPTY;
    return bytes;
  }

  /** `maxBytes` is what the whole body may have at most, this chunk included. Why there is no memory for it, or undefined. */
  append(chunk: Buffer, maxBytes: number): Shortage | undefined {
    const length = this.#length + chunk.length;
    if (this.#length === 0) {
      const shortage = this.#charge(chunk.length);
      if (shortage === undefined) this.#buffer = chunk;
      else return shortage;
    } else {
      const shortage = length > this.#buffer.length ? this.#grow(length, maxBytes) : undefined;
      if (shortage !== undefined) return shortage;
      chunk.copy(this.#buffer, this.#length);
    }
    this.#length = length;
    return undefined;
  }

  /** May be called again. */
  release(): void {
    if (this.#taken > 0) this.#shares.give(this.#source, this.#taken);
    this.#taken = 0;
    this.#buffer = EMPTY;
  }

  #grow(length: number, maxBytes: number): Shortage | undefined {
    const capacity = Math.min(Math.max(2 * length, LEAST_BUFFER_BYTES), maxBytes);
    const shortage = this.#charge(capacity - this.#buffer.length);
    if (shortage !== undefined) return shortage;
    const grown = Buffer.allocUnsafeSlow(capacity);
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
    return undefined;
  }

  #charge(bytes: number): Shortage | undefined {
    const shortage = this.#shares.take(this.#source, bytes);
    if (shortage === undefined) this.#taken += bytes;
    return shortage;
  }
}
