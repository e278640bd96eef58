import type { WitnessClient } from './witness-client.js';

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

/** What is wrong with which witness, until it cosigns. */
export class Troubles {
  readonly #observer: WitnessObserver;
  readonly #tellAgainMs: number;
  readonly #troubles = new Map<WitnessClient, string>();
  /** When the observer was told of a contradiction last. */
  readonly #toldAtMs = new Map<WitnessClient, number>();

  constructor(observer: WitnessObserver, tellAgainMs: number) {
    this.#observer = observer;
    this.#tellAgainMs = tellAgainMs;
  }

  /** `name: why` of each that there is one with. */
  get list(): readonly string[] {
    return [...this.#troubles].map(([{ name }, why]) => `${name}: ${why}`);
  }

  failed(client: WitnessClient, why: string): void {
    const isNew = !this.#troubles.has(client);
    this.#troubles.set(client, why);
    if (isNew) this.#observer.failed(client.name, why);
  }

  contradicted(client: WitnessClient, why: string): void {
    this.#troubles.set(client, why);
    const nowMs = performance.now();
    if (nowMs - (this.#toldAtMs.get(client) ?? -Infinity) < this.#tellAgainMs) return;
    this.#toldAtMs.set(client, nowMs);
    this.#observer.contradicted(client.name, why);
  }

  over(client: WitnessClient): void {
    this.#toldAtMs.delete(client);
    if (this.#troubles.delete(client)) this.#observer.recovered(client.name);
  }
}
