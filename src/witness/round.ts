import { parseNote } from '../translog/note.js';
import type { LogTip } from './growing-log.js';
import type { WitnessAnswer, WitnessClient } from './witness-client.js';

/** Told of each answer, when it comes; a witness is not asked again before it is done. Throws nothing. */
export type Observe = (client: WitnessClient, answer: WitnessAnswer) => Promise<void>;

/** One checkpoint, who was asked to cosign it, and what came of it. */
export class Round {
  readonly size: number;
  readonly checkpoint: string;
  /** When it began, by performance.now(): the checkpoint was the newest one then, and every cosignature is younger. */
  readonly beganMs: number;
  readonly #text: string;
  /** Verified signature lines. */
  readonly #lines = new Map<WitnessClient, string>();
  readonly #pending = new Map<WitnessClient, Promise<void>>();
  readonly #superseded = new AbortController();
  /** Wakes who waits in `ask`. */
  readonly #wakers = new Set<() => void>();
  #overtaken: number | undefined;

  constructor({ size, checkpoint }: LogTip, beganMs: number) {
    this.size = size;
    this.checkpoint = checkpoint;
    this.beganMs = beganMs;
    this.#text = parseNote(checkpoint).text;
  }

  /** How many have cosigned. */
  get count(): number {
    return this.#lines.size;
  }

  /** The size of a larger tree that a witness says it holds, if one did. */
  get overtaken(): number | undefined {
    return this.#overtaken;
  }

  /** The checkpoint with the cosignature lines under the log's. */
  note(): string {
    return `${this.checkpoint}${[...this.#lines.values()].join('')}`;
  }

  /** Whether this witness has still to cosign, and is not being asked. */
  isLeftAlone(client: WitnessClient): boolean {
    return this.#lacks(client) && !this.#pending.has(client);
  }

  /** Something newer has begun: who has not been asked yet will not be, and nobody waits. What was asked may still come in. */
  supersede(): void {
    this.#superseded.abort();
    for (const wake of this.#wakers) wake();
  }

  /**
   * Asks those who have not cosigned and are not being asked; resolves when `enough` have cosigned, or when those who have
   * yet to answer are too few for that: nobody waits for one that hangs where it would change nothing. Who answers after
   * that still counts.
   */
  ask(
    clients: readonly WitnessClient[],
    enough: number,
    consistency: (oldSize: number, size: number) => Promise<readonly Buffer[]>,
    observe: Observe,
  ): Promise<void> {
    this.#overtaken = undefined;
    const { size, checkpoint } = this;
    const submission = { size, checkpoint, text: this.#text, consistency: (old: number) => consistency(old, size) };
    for (const client of clients) {
      if (!this.isLeftAlone(client)) continue;
      const answered = client.ask(submission, this.#superseded.signal).then(async (answer) => {
        if (answer.outcome === 'cosigned') this.#lines.set(client, answer.line);
        if (answer.outcome === 'ahead') this.#overtaken = answer.size;
        await observe(client, answer);
        this.#pending.delete(client);
      });
      this.#pending.set(client, answered);
    }
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wakers.delete(wake);
        resolve();
      };
      const look = (): void => {
        if (this.count >= enough || this.count + this.#pending.size < enough) wake();
      };
      this.#wakers.add(wake);
      for (const answered of this.#pending.values()) void answered.then(look);
      look();
    });
  }

  #lacks(client: WitnessClient): boolean {
    return !this.#lines.has(client);
  }
}
