import { releaseBinding } from '../challenge/binding.js';
import { ask } from './ask.js';
import type { Attester } from './attester.js';
import { requestChallenge } from './challenge.js';
import { createRecipient, type RecipientKind } from './recipient.js';
import { openReleaseAnswer, type ReleasedKey } from './released-key.js';
import { httpTransport, type HttpTransportOptions, type Transport } from './transport.js';

/** Where the broker is, or a transport of the caller's own (which the caller closes), and what attests. */
export type ReleaseClientOptions = { readonly attester: Attester } & (
  HttpTransportOptions | { readonly transport: Transport }
);

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
 * Draws keys from a broker: challenge, evidence, release, decrypt. Every answer is compared with what was asked, and
 * every failure throws; nothing is retried. Today an answer is authenticated by TLS alone: use https, with `ca` set to
 * the broker's own root, wherever the broker is not on this machine.
 */
export class ReleaseClient {
  readonly #attester: Attester;
  readonly #transport: Transport;
  readonly #ownsTransport: boolean;

  constructor(options: ReleaseClientOptions) {
    this.#attester = options.attester;
    this.#ownsTransport = !('transport' in options);
    this.#transport = 'transport' in options ? options.transport : httpTransport(options);
  }

  /**
   * One release, with a fresh nonce, a fresh recipient key and a fresh quote. Throws ReleaseDeniedError (the broker
   * refused), BrokerUnreachableError, BrokerAnswerError (the answer is not what was asked), AttesterError (no evidence).
   */
  async release(options: ReleaseOptions): Promise<ReleasedKey> {
    const { deployment, key, version = 'latest' } = options;
    const challenge = await requestChallenge(this.#transport, { deployment, key, version });
    const recipient = await createRecipient(options.recipient ?? 'P-256');
    const { nonce, broker } = challenge;
    const binding = releaseBinding({ broker, deployment, key, nonce, recipient: recipient.thumbprint, version });
    const tpm = await this.#attester.evidence(binding, challenge.pcrs);
    const request = { nonce, deployment, key, version, recipient: recipient.jwk, evidence: { tpm: { ...tpm } } };
    const answer = await ask(this.#transport, '/v1/releases', request, 200);
    return openReleaseAnswer(answer, challenge, recipient);
  }

  /** Closes the connections to the broker, so that the process can end. */
  async close(): Promise<void> {
    if (this.#ownsTransport) await this.#transport.close();
  }
}
