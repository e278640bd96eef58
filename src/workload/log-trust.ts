import { MalformedError } from '../bytes/malformed-error.js';
import { parseVerifierKey, TYPE_COSIGNATURE, TYPE_ED25519, type VerifierKey } from '../translog/note.js';
import type { WitnessPolicy } from '../translog/quorum.js';
import { refusal } from './ask.js';
import { BrokerAnswerError } from './errors.js';
import { MAX_ANSWER_BYTES, type Transport } from './transport.js';

/** What a client believes of the broker's log. */
export interface LogOptions {
  /**
   * The log key of the broker, as `portcullis init` prints it: a vkey, `<origin>+<key id>+<base64>`. Without it the client
   * asks the broker for its key once and keeps it: a receipt then proves no more than TLS does, and that the answers of
   * this client stand in one log.
   */
  readonly logKey?: string;
  /** Vkeys (type 04) of witnesses, and how many of them must have cosigned; default: all. */
  readonly witnesses?: { readonly keys: readonly string[]; readonly quorum?: number };
}

/** The key that receipts are verified with. */
export interface BelievedLog {
  readonly key: VerifierKey;
  /** Whether the caller named it; else it is what the broker said. */
  readonly pinned: boolean;
}

const MAX_KEY_BYTES = 1024;

/** The log key that the caller pinned. Throws TypeError for text that is no log key. */
export function pinnedLogKey(vkey: string): VerifierKey {
  return keyOf(vkey, TYPE_ED25519, 'logKey is not the key of a log');
}

/** The witnesses that the caller believes. Throws TypeError for a key that is no witness's, and RangeError for a quorum that they cannot fill. */
export function witnessPolicy({ keys, quorum = keys.length }: LogOptions['witnesses'] & object): WitnessPolicy {
  if (!Number.isInteger(quorum) || quorum < 1 || quorum > keys.length) {
    throw new RangeError('witnesses.quorum is not a number from 1 to that of the witnesses');
  }
  return {
    quorum,
    keys: keys.map((vkey) => keyOf(vkey, TYPE_COSIGNATURE, 'a witness key is not the key of a witness')),
  };
}

/** Asks the broker for its log key. Throws BrokerAnswerError where the answer is none, ReleaseDeniedError, BrokerUnreachableError. */
export async function askLogKey(transport: Transport): Promise<VerifierKey> {
  const answer = await transport.get('/log/key');
  const { status, body } = answer;
  if (status >= 400 && body.length <= MAX_ANSWER_BYTES) throw refusal('/log/key', answer);
  if (status !== 200 || body.length > MAX_KEY_BYTES) {
    throw new BrokerAnswerError(
      `the answer to /log/key has status ${String(status)} and ${String(body.length)} bytes; expected was a log key`,
    );
  }
  try {
    return keyOf(body.toString('utf8').replace(/\n$/, ''), TYPE_ED25519, 'the broker answered with no log key');
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new BrokerAnswerError(error.message, { cause: error });
  }
}

function keyOf(vkey: string, type: VerifierKey['type'], otherwise: string): VerifierKey {
  try {
    const key = parseVerifierKey(vkey);
    if (key.type === type) return key;
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new TypeError(`${otherwise}: ${error.message}`, { cause: error });
  }
  throw new TypeError(`${otherwise}: it is of another type`);
}
