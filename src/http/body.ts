import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { accept, reject, type Result } from '../reason/reason.js';

/** How much of a body that nobody wants is read off the wire, so that the client can read our answer; beyond it the socket is destroyed. */
export const READ_OFF_BYTES = 16 * 1024 * 1024;

/** Bodies of a declared length up to this draw on a budget of their own. */
export const SMALL_BODY_BYTES = 64 * 1024;

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
  /** For bodies of a declared length up to SMALL_BODY_BYTES, so that large ones that stand still cannot refuse them. */
  readonly smallBudget: BodyBudget;
  /** For larger and chunked bodies. */
  readonly budget: BodyBudget;
}

/** Whether the request announces a body: RFC 9112 section 6.3. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

/**
 * Reads and parses a JSON body: UTF-8, identity encoding, depth 32, no duplicate members. Refusals: request.too_large
 * (by Content-Length before a byte is read, or by count), request.malformed, request.rate_limited where the bodies under
 * way on the same budget already hold the memory there is. The value is parsed, not validated. Throws ClientGoneError.
 */
export async function readJson(
  request: IncomingMessage,
  response: ServerResponse,
  limits: BodyLimits,
): Promise<Result<unknown>> {
  const { headers } = request;
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
  if (Number(headers['content-length'] ?? 0) > limits.maxBytes) return tooLarge(limits);
  if (expectsContinue(request)) response.writeContinue();

  const body = await readBytes(request, limits);
  if (!body.ok) return body;
  try {
    return accept(parseJson(body.value));
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
function budgetOf({ headers }: IncomingMessage, { smallBudget, budget }: BodyLimits): BodyBudget {
  const small =
    headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) <= SMALL_BODY_BYTES;
  return small ? smallBudget : budget;
}

function readBytes(request: IncomingMessage, limits: BodyLimits): Promise<Result<Buffer>> {
  const budget = budgetOf(request, limits);
  return new Promise((resolve, fail) => {
    const chunks: Buffer[] = [];
    let total = 0;
    let held = 0;

    const settle = (): void => {
      request.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone);
      budget.give(held);
    };
    const refuse = (refusal: Result<never>): void => {
      settle();
      readOff(request, total);
      resolve(refusal);
    };
    const onData = (chunk: Buffer): void => {
      total += chunk.length;
      if (total > limits.maxBytes) {
        refuse(tooLarge(limits));
        return;
      }
      if (!budget.take(chunk.length)) {
        refuse(reject('request.rate_limited', 'the broker holds as many request bodies as it can'));
        return;
      }
      held += chunk.length;
      chunks.push(chunk);
    };
    const onEnd = (): void => {
      settle();
      resolve(accept(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, total)));
    };
    const onGone = (): void => {
      settle();
      fail(new ClientGoneError('the client went away'));
    };
    request.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone);
  });
}
