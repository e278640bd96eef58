import { releaseBinding } from '../challenge/binding.js';
import type { VerifierKey } from '../translog/note.js';
import type { WitnessPolicy } from '../translog/quorum.js';
import { isLogOf } from '../translog/receipt.js';
import { ask } from './ask.js';
import type { Attester } from './attester.js';
import { requestChallenge } from './challenge.js';
import { BrokerAnswerError } from './errors.js';
import { askLogKey, type BelievedLog, type LogOptions, pinnedLogKey, witnessPolicy } from './log-trust.js';
import { createRecipient, type RecipientKind } from './recipient.js';
import { openReleaseAnswer, type ReleasedKey } from './released-key.js';
import { httpTransport, type HttpTransportOptions, type Transport } from './transport.js';

/** Where the broker is, or a transport of the caller's own (which the caller closes), what attests, and which log to believe. */
export type ReleaseClientOptions = { readonly attester: Attester } & LogOptions &
  (HttpTransportOptions | { readonly transport: Transport });

/** Which key to ask for, and as which deployment. */
export interface ReleaseOptions {
  readonly deployment: string;
  readonly key: string;
  /** A version id of 32 hex digits; default: `latest`, the newest version and no other. */
  readonly version?: string;
  /** The kind of ephemeral key that the answer is encrypted to. Default P-256. */
  readonly recipient?: RecipientKind;
}

/**
 * Draws keys from a broker: challenge, evidence, release, receipt, decrypt. Every answer is compared with what was asked,
 * its receipt is verified before anything is decrypted, and every failure throws; nothing is retried. With `logKey` pinned,
 * a key is accepted only with its record in that very log. Without, and for the challenge, TLS alone says who the broker
 * is: use https, with `ca` set to the broker's own root, wherever the broker is not on this machine.
 */
export class ReleaseClient {
  readonly #attester: Attester;
  readonly #transport: Transport;
  readonly #ownsTransport: boolean;
  readonly #pinned: VerifierKey | undefined;
  readonly #witnesses: WitnessPolicy | undefined;
  /** What the broker said its log key is, for the life of the client. */
  #asked: Promise<VerifierKey> | undefined;

  /** Throws TypeError for a URL, log key or witness key that is none, RangeError for a quorum that cannot be filled. */
  constructor(options: ReleaseClientOptions) {
    this.#attester = options.attester;
    this.#pinned = options.logKey === undefined ? undefined : pinnedLogKey(options.logKey);
    this.#witnesses = options.witnesses === undefined ? undefined : witnessPolicy(options.witnesses);
    this.#ownsTransport = !('transport' in options);
    this.#transport = 'transport' in options ? options.transport : httpTransport(options);
  }

  /**
   * One release, with a fresh nonce, a fresh recipient key and a fresh quote. Throws ReleaseDeniedError (the broker
   * refused), BrokerUnreachableError, BrokerAnswerError (the answer is not what was asked, or has no valid receipt),
   * AttesterError (no evidence).
   */
  async release(options: ReleaseOptions): Promise<ReleasedKey> {
    const { deployment, key, version = 'latest' } = options;
    const log = await this.#log();
    const challenge = await requestChallenge(this.#transport, { deployment, key, version });
    if (!isLogOf(log.key.name, challenge.broker)) {
      throw new BrokerAnswerError('the broker is another than the one whose log is believed', {
        reason: 'checkpoint.origin',
      });
    }
    const recipient = await createRecipient(options.recipient ?? 'P-256');
    const { nonce, broker } = challenge;
    const binding = releaseBinding({ broker, deployment, key, nonce, recipient: recipient.thumbprint, version });
    const tpm = await this.#attester.evidence(binding, challenge.pcrs);
    const request = { nonce, deployment, key, version, recipient: recipient.jwk, evidence: { tpm: { ...tpm } } };
    const answer = await ask(this.#transport, '/v1/releases', request, 200);
    return openReleaseAnswer(answer, { challenge, recipient, log, witnesses: this.#witnesses });
  }

  /** Closes the connections to the broker, so that the process can end. */
  async close(): Promise<void> {
    if (this.#ownsTransport) await this.#transport.close();
  }

  async #log(): Promise<BelievedLog> {
    if (this.#pinned !== undefined) return { key: this.#pinned, pinned: true };
    const asked = (this.#asked ??= askLogKey(this.#transport));
    try {
      return { key: await asked, pinned: false };
    } catch (error) {
      // Another release may be asking again by now: what it is told is what counts from then on.
      if (this.#asked === asked) this.#asked = undefined;
      throw error;
    }
  }
}
