import type { Answer } from './http-connection.js';
import { type PreparedRequest, unexpected } from './load.js';

const BEFORE_ID = Buffer.from('{"release_id":"');
const ID_CHARACTERS = 32;
const SAMPLE = 16;

/** What a load was answered with, kept so that it can be held against the broker's log afterwards. */
export class Ledger {
  /** The nonce of each answered release, by release id. */
  readonly nonces = new Map<string, string>();
  /** Answers that said the broker has too much to do. */
  #overloads = 0;
  readonly #sample: PreparedRequest[] = [];
  #lastAnswer: Buffer | undefined;

  get overloads(): number {
    return this.#overloads;
  }

  /** The last few requests that were answered with a key. */
  get sample(): readonly PreparedRequest[] {
    return this.#sample;
  }

  get lastAnswer(): Buffer | undefined {
    return this.#lastAnswer;
  }

  overloaded(): void {
    this.#overloads++;
  }

  /** Throws for anything but a released key, and for a release id that was there before. */
  answered(request: PreparedRequest, answer: Answer): void {
    if (answer.status !== 200 || !answer.body.subarray(0, BEFORE_ID.length).equals(BEFORE_ID)) {
      throw unexpected('a release', answer);
    }
    const before = this.nonces.size;
    this.#sample[before % SAMPLE] = request;
    this.#lastAnswer = answer.body;
    this.nonces.set(answer.body.toString('latin1', BEFORE_ID.length, BEFORE_ID.length + ID_CHARACTERS), request.nonce);
    if (this.nonces.size === before) throw new Error('two answers with one release id');
  }
}
