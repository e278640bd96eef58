import { toBase64url } from '../src/bytes/base64url.js';
import { releaseBinding } from '../src/challenge/binding.js';
import { sha256 } from '../src/crypto/digest.js';
import type { SimulatedAk } from '../src/simulator/ak.js';
import type { PcrBank } from '../src/simulator/pcr-banks.js';
import type { SimulatedTpm } from '../src/simulator/vtpm.js';
import type { Recipient } from '../src/workload/recipient.js';

/** What quotes are made with. */
export interface Machine {
  readonly tpm: SimulatedTpm;
  readonly ak: SimulatedAk;
}

/** What every request of a load is about. */
export interface Subject {
  /** Broker id, as in the challenge's answer. */
  readonly broker: string;
  readonly deployment: string;
  readonly pcrs: Readonly<Record<string, readonly number[]>>;
}

const BINDING_BYTES = 32;

/**
 * Makes release requests of one machine, each with a quote of its own over its own binding, signed anew. All else of the
 * quote is made once, by the simulated TPM: what a real machine's TPM would do costs the generator no more than the
 * signature, which cannot be spared.
 */
export class Quoter {
  readonly #subject: Subject;
  readonly #ak: SimulatedAk;
  readonly #attest: Buffer;
  readonly #bindingAt: number;
  readonly #afterSignature: string;

  constructor({ tpm, ak }: Machine, subject: Subject) {
    const marker = Buffer.alloc(BINDING_BYTES, 0xb5);
    const selection = Object.entries(subject.pcrs).map(([bank, pcrs]) => ({ bank: bank as PcrBank, pcrs }));
    const { quoted, pcrs } = tpm.quote(ak, marker, selection);
    this.#subject = subject;
    this.#ak = ak;
    this.#attest = quoted;
    this.#bindingAt = quoted.indexOf(marker);
    this.#afterSignature = `","ak":"${toBase64url(ak.tpm2bPublic)}","pcrs":${JSON.stringify(pcrs)}}}}`;
  }

  /** The body of a release request, ASCII. */
  request(nonce: string, key: string, recipient: PreparedRecipient): string {
    const { broker, deployment } = this.#subject;
    // The canonical JSON of the binding, as releaseBinding makes it, without its cost.
    const binding = sha256(
      Buffer.from(
        `{"broker":"${broker}","deployment":"${deployment}","key":"${key}","nonce":"${nonce}","purpose":"portcullis/release/v1","recipient":"${recipient.thumbprint}","version":"latest"}`,
        'latin1',
      ),
    );
    binding.copy(this.#attest, this.#bindingAt);
    const signature = this.#ak.sign(this.#attest);
    return `{"nonce":"${nonce}","deployment":"${deployment}","key":"${key}","recipient":${recipient.json},"evidence":{"tpm":{"quoted":"${this.#attest.toString('base64url')}","signature":"${signature.toString('base64url')}${this.#afterSignature}`;
  }

  /** That the bindings made here are those of the product. */
  assertBinds(nonce: string, key: string, recipient: PreparedRecipient): void {
    this.request(nonce, key, recipient);
    const { broker, deployment } = this.#subject;
    const { thumbprint } = recipient;
    const expected = releaseBinding({ broker, deployment, key, nonce, recipient: thumbprint, version: 'latest' });
    const made = this.#attest.subarray(this.#bindingAt, this.#bindingAt + BINDING_BYTES);
    if (!made.equals(expected)) throw new Error('the bench makes another binding than the product');
  }
}

/** The public half of a recipient key as it stands in requests. */
export interface PreparedRecipient {
  readonly thumbprint: string;
  readonly json: string;
}

export function prepareRecipient({ jwk, thumbprint }: Recipient): PreparedRecipient {
  return { thumbprint, json: JSON.stringify(jwk) };
}
