import type { Json } from '../bytes/canonical-json.js';
import { releaseBinding } from '../challenge/binding.js';
import type { EkAlgorithm } from '../simulator/ek.js';
import type { VerifierKey } from '../translog/note.js';
import type { WitnessPolicy } from '../translog/quorum.js';
import { isLogOf } from '../translog/receipt.js';
import { ask } from './ask.js';
import type { Attester, PlatformAttester } from './attester.js';
import { requestChallenge } from './challenge.js';
import { canEnrol, enrol, type Enrolment } from './enrol.js';
import { AttesterError, BrokerAnswerError, ReleaseDeniedError } from './errors.js';
import { gatherEvidence } from './gather-evidence.js';
import { askLogKey, type BelievedLog, type LogOptions, pinnedLogKey, witnessPolicy } from './log-trust.js';
import { createRecipient, type RecipientKind } from './recipient.js';
import { openReleaseAnswer, type ReleasedKey } from './released-key.js';
import { httpTransport, type HttpTransportOptions, type Transport } from './transport.js';

/** Where the broker is, or a transport of the caller's own (which the caller closes), what attests, and which log to believe. */
export type ReleaseClientOptions = { readonly attester: Attester | PlatformAttester } & EnrolmentOptions &
  LogOptions &
  (HttpTransportOptions | { readonly transport: Transport });

/** What to do where nothing vouches for the AK. */
export interface EnrolmentOptions {
  /**
   * Unless false, an attester that can is enrolled by its EK where a release is refused with `ak.untrusted`, and the
   * release is tried once more: so that a machine whose AK is new, or that the broker has forgotten, needs nobody.
   */
  readonly enrol?:
    | false
    | {
        /** Which EK vouches for the AK; default: the first that the TPM has a certificate for. */
        readonly ek?: EkAlgorithm;
        /** Told of each enrolment before the release is tried again. */
        readonly onEnrolled?: (enrolment: Enrolment) => void;
      };
}

/** Which key to ask for, and as which deployment. */
export interface ReleaseOptions {
  readonly deployment: string;
  readonly key: string;
  /** A version id of 32 hex digits; default: `latest`, the newest version and no other. */
  readonly version?: string;
  /** The kind of ephemeral key that the answer is encrypted to. Default P-256. */
  readonly recipient?: RecipientKind;
}

/** Why an AK was not enrolled, where that is no fault. */
const REFUSALS = [ReleaseDeniedError, BrokerAnswerError, AttesterError];

/**
 * Draws keys from a broker: challenge, evidence, release, receipt, decrypt. Every answer is compared with what was asked,
 * its receipt is verified before anything is decrypted, and every failure throws; nothing is retried, but for the one
 * release after an enrolment. With `logKey` pinned, a key is accepted only with its record in that very log. Without, and
 * for the challenge, TLS alone says who the broker is: use https, with `ca` set to the broker's own root, wherever the
 * broker is not on this machine.
 */
export class ReleaseClient {
  readonly #attester: Attester | PlatformAttester;
  readonly #transport: Transport;
  readonly #ownsTransport: boolean;
  readonly #pinned: VerifierKey | undefined;
  readonly #witnesses: WitnessPolicy | undefined;
  readonly #enrol: Exclude<EnrolmentOptions['enrol'], undefined>;
  /** What the broker said its log key is, for the life of the client. */
  #asked: Promise<VerifierKey> | undefined;

  /** Throws TypeError for a URL, log key or witness key that is none, RangeError for a quorum that cannot be filled. */
  constructor(options: ReleaseClientOptions) {
    this.#attester = options.attester;
    this.#pinned = options.logKey === undefined ? undefined : pinnedLogKey(options.logKey);
    this.#witnesses = options.witnesses === undefined ? undefined : witnessPolicy(options.witnesses);
    this.#enrol = options.enrol ?? {};
    this.#ownsTransport = !('transport' in options);
    this.#transport = 'transport' in options ? options.transport : httpTransport(options);
  }

  /**
   * One release, with a fresh nonce, a fresh recipient key and fresh evidence; a second one after an enrolment. Throws ReleaseDeniedError (the broker
   * refused), BrokerUnreachableError, BrokerAnswerError (the answer is not what was asked, or has no valid receipt),
   * AttesterError (no evidence).
   */
  async release(options: ReleaseOptions): Promise<ReleasedKey> {
    try {
      return await this.#draw(options);
    } catch (error) {
      if (!(error instanceof ReleaseDeniedError) || error.reason !== 'ak.untrusted') throw error;
      await this.#enrolFor(options.deployment, error);
    }
    return this.#draw(options);
  }

  /** Closes the connections to the broker, so that the process can end. */
  async close(): Promise<void> {
    if (this.#ownsTransport) await this.#transport.close();
  }

  async #draw(options: ReleaseOptions): Promise<ReleasedKey> {
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
    const base = releaseBinding({ broker, deployment, key, nonce, recipient: recipient.thumbprint, version });
    const evidence = await gatherEvidence(this.#attester, base, challenge.pcrs);
    const request = { nonce, deployment, key, version, recipient: recipient.jwk, evidence: { ...evidence } as Json };
    const answer = await ask(this.#transport, '/v1/releases', request, 200);
    return openReleaseAnswer(answer, { challenge, recipient, log, witnesses: this.#witnesses });
  }

  /** Throws the denial, with why the AK was not enrolled, where it was not. */
  async #enrolFor(deployment: string, denial: ReleaseDeniedError): Promise<void> {
    const attester = this.#attester;
    if (this.#enrol === false || !canEnrol(attester)) throw denial;
    const { ek, onEnrolled } = this.#enrol;
    try {
      const transport = this.#transport;
      const enrolment = await enrol({ transport, deployment, attester, ...(ek === undefined ? {} : { ek }) });
      onEnrolled?.(enrolment);
    } catch (cause) {
      if (!REFUSALS.some((kind) => cause instanceof kind)) throw cause;
      // The deployment believes no EK certificates, so that nothing more is to be said.
      if (cause instanceof ReleaseDeniedError && cause.reason === denial.reason) throw denial;
      const { status, reason, detail, decision, requestId } = denial;
      const why = `${detail}; nor could the AK be enrolled: ${(cause as Error).message}`;
      throw new ReleaseDeniedError({ status, reason, detail: why, decision, requestId, cause });
    }
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
