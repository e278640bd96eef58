import type { GrowingLog } from './growing-log.js';
import type { WitnessAnswer, WitnessClient } from './witness-client.js';

/** Told when something changes for the better or the worse, not each time that it is so. */
export interface WitnessObserver {
  /** A witness does not cosign; `why` is for people. */
  failed(witness: string, why: string): void;
  /** It cosigns again. */
  recovered(witness: string): void;
  /**
   * A witness says that it holds more of this log than there is, or another history: the log was rolled back, or the
   * witness lies. What it holds proves which. Told again, now and then, for as long as it says so.
   */
  contradicted(witness: string, why: string): void;
}

/** What is wrong with which witness, until it cosigns: what each answer says, held against the log. */
export class Troubles {
  readonly #log: GrowingLog;
  readonly #observer: WitnessObserver;
  readonly #tellAgainMs: number;
  readonly #troubles = new Map<WitnessClient, string>();
  /** When the observer was told of a contradiction last. */
  readonly #toldAtMs = new Map<WitnessClient, number>();
  #isClosed = false;

  constructor(log: GrowingLog, observer: WitnessObserver, tellAgainMs: number) {
    this.#log = log;
    this.#observer = observer;
    this.#tellAgainMs = tellAgainMs;
  }

  /** `name: why` of each that there is one with. */
  get list(): readonly string[] {
    return [...this.#troubles].map(([{ name }, why]) => `${name}: ${why}`);
  }

  /** Takes note of an answer. Throws nothing. */
  async heard(client: WitnessClient, answer: WitnessAnswer): Promise<void> {
    if (answer.outcome === 'cosigned') this.#over(client);
    if (answer.outcome === 'failed') this.#failed(client, answer.why);
    if (answer.outcome === 'disputed') this.#contradicted(client, answer.why);
    if (answer.outcome === 'ahead') await this.#compare(client, answer.size);
  }

  /** From now on nobody is told that the log lacks anything: it may not be there any more. */
  close(): void {
    this.#isClosed = true;
  }

  /** Whether a quorum is reached without it or not: a witness with more than the log has says that the log was rolled back. */
  async #compare(client: WitnessClient, cosignedSize: number): Promise<void> {
    // A log that cannot be read says so to whoever asks it for a release.
    const size = await this.#log.head().then(
      (head) => head.size,
      () => Infinity,
    );
    if (size >= cosignedSize || this.#isClosed) return;
    const why = `it says it has cosigned a tree of ${String(cosignedSize)} entries, and the log has ${String(size)}`;
    client.doubt(why);
    this.#contradicted(client, why);
  }

  #failed(client: WitnessClient, why: string): void {
    const isNew = !this.#troubles.has(client);
    this.#troubles.set(client, why);
    if (isNew) this.#observer.failed(client.name, why);
  }

  #contradicted(client: WitnessClient, why: string): void {
    this.#troubles.set(client, why);
    const nowMs = performance.now();
    if (nowMs - (this.#toldAtMs.get(client) ?? -Infinity) < this.#tellAgainMs) return;
    this.#toldAtMs.set(client, nowMs);
    this.#observer.contradicted(client.name, why);
  }

  #over(client: WitnessClient): void {
    this.#toldAtMs.delete(client);
    if (this.#troubles.delete(client)) this.#observer.recovered(client.name);
  }
}
