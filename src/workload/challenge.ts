import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { ask, membersIn, textIn, type Members } from './ask.js';
import type { NeededPcrs } from './attester.js';
import { BrokerAnswerError } from './errors.js';
import type { Transport } from './transport.js';

/** What one release is asked for; `version` is a version id or `latest`. */
export interface AskedRelease {
  readonly deployment: string;
  readonly key: string;
  readonly version: string;
}

/** A challenge that answers exactly what was asked. That the nonce is genuine only the broker can tell. */
export interface Challenge extends AskedRelease {
  /** 43 characters of base64url, 32 bytes. */
  readonly nonce: string;
  /** The broker's id: part of the binding, so that evidence for one broker is useless at another. */
  readonly broker: string;
  /** What the quote must cover at least. */
  readonly pcrs: NeededPcrs;
}

const NONCE_BYTES = 32;
const MAX_NAME = 256;
const MAX_PCR = 23;
const BANKS: ReadonlySet<string> = new Set(['sha1', 'sha256', 'sha384', 'sha512']);

/**
 * Asks for a challenge and compares every member of the answer with what was asked. Throws BrokerAnswerError where one
 * differs or is malformed, ReleaseDeniedError where the broker refuses.
 */
export async function requestChallenge(transport: Transport, asked: AskedRelease): Promise<Challenge> {
  const { deployment, key, version } = asked;
  const answer = await ask(transport, '/v1/challenges', { deployment, key, version }, 201);
  for (const member of ['deployment', 'key', 'version'] as const) {
    if (textIn(answer, member, MAX_NAME) !== asked[member]) {
      throw new BrokerAnswerError(`the challenge is for another ${member} than was asked for`);
    }
  }
  if (Number.isNaN(Date.parse(textIn(answer, 'expires_at', MAX_NAME)))) {
    throw new BrokerAnswerError("the challenge's expires_at is not a time");
  }
  return {
    deployment,
    key,
    version,
    nonce: nonceIn(answer),
    broker: textIn(answer, 'broker', MAX_NAME),
    pcrs: neededPcrs(membersIn(answer, 'pcrs')),
  };
}

function nonceIn(answer: Members): string {
  const nonce = textIn(answer, 'nonce', MAX_NAME);
  try {
    if (fromBase64url(nonce, 'nonce').length === NONCE_BYTES) return nonce;
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
  }
  throw new BrokerAnswerError('the nonce is not 32 bytes in base64url');
}

function neededPcrs(banks: Members): NeededPcrs {
  const needed: Record<string, readonly number[]> = {};
  for (const [bank, indexes] of Object.entries(banks)) {
    if (!BANKS.has(bank) || !isAscending(indexes)) {
      throw new BrokerAnswerError('the PCRs of the challenge are not ascending indexes of known banks');
    }
    needed[bank] = indexes;
  }
  return needed;
}

function isAscending(indexes: unknown): indexes is readonly number[] {
  return (
    Array.isArray(indexes) &&
    indexes.every(
      (index: unknown, at) =>
        typeof index === 'number' &&
        Number.isInteger(index) &&
        index >= 0 &&
        index <= MAX_PCR &&
        (at === 0 || index > Number(indexes[at - 1])),
    )
  );
}
