import type { Json } from '../bytes/canonical-json.js';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { BrokerAnswerError, ReleaseDeniedError } from './errors.js';
import { MAX_ANSWER_BYTES, type Transport, type TransportAnswer } from './transport.js';

/** The members of a JSON object from the broker; nothing about them is known yet. */
export type Members = Readonly<Record<string, unknown>>;

const REASON = /^[a-z0-9_.]{1,64}$/;
const MAX_DETAIL = 2_000;

/**
 * Posts a request and returns the members of the answer, whose status must be `expectedStatus`, or one of them. Throws
 * ReleaseDeniedError for a problem document, BrokerAnswerError for anything else that is not such an answer.
 */
export async function ask(
  transport: Transport,
  path: string,
  body: Json,
  expectedStatus: number | readonly number[],
): Promise<Members> {
  const expected = [expectedStatus].flat();
  const answer = await transport.post(path, body);
  if (answer.body.length > MAX_ANSWER_BYTES) {
    throw new BrokerAnswerError(`the answer to ${path} is over ${String(MAX_ANSWER_BYTES)} bytes`);
  }
  if (answer.status >= 400) throw refusal(path, answer);
  const members = objectIn(answer.body);
  if (!expected.includes(answer.status) || members === undefined) {
    throw new BrokerAnswerError(
      `the answer to ${path} has status ${String(answer.status)} and is ${members === undefined ? 'no JSON object' : 'JSON'}; expected was ${expected.join(' or ')} with a JSON object`,
    );
  }
  return members;
}

/** The text member `name`; throws BrokerAnswerError where it is absent, empty, or longer than `maxLength` characters. */
export function textIn(members: Members, name: string, maxLength: number): string {
  const value = members[name];
  if (typeof value !== 'string' || value === '' || value.length > maxLength) {
    throw new BrokerAnswerError(`the broker's answer has no usable member ${name}`);
  }
  return value;
}

/** The object member `name`; throws BrokerAnswerError where there is none. */
export function membersIn(members: Members, name: string): Members {
  const value = members[name];
  if (!isObject(value)) throw new BrokerAnswerError(`the broker's answer has no object ${name}`);
  return value;
}

/** True for a JSON object. */
export function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What to throw for an answer with an error status: ReleaseDeniedError for a problem document, else BrokerAnswerError. */
export function refusal(path: string, answer: TransportAnswer): Error {
  const problem = objectIn(answer.body);
  const reason = problem?.['reason'];
  if (problem === undefined || typeof reason !== 'string' || !REASON.test(reason)) {
    return new BrokerAnswerError(`the answer to ${path} has status ${String(answer.status)} and gives no reason`);
  }
  const { detail, decision, request_id: requestId } = problem;
  return new ReleaseDeniedError({
    status: answer.status,
    reason,
    detail: typeof detail === 'string' ? printable(detail) : 'no detail given',
    decision: isObject(decision) ? decision : undefined,
    requestId: typeof requestId === 'string' ? printable(requestId) : undefined,
    retryAfterSeconds: answer.retryAfterSeconds,
  });
}

/** Text that ends up on terminals and in logs: bounded, and without control characters. */
function printable(text: string): string {
  return text.slice(0, MAX_DETAIL).replaceAll(/\p{Cc}/gu, ' ');
}

function objectIn(body: Buffer): Members | undefined {
  try {
    const value = parseJson(body);
    return isObject(value) ? value : undefined;
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}
