import { WitnessError } from './witness-error.js';

export interface WaitOptions {
  /** The least size that will do. */
  readonly size: number;
  readonly timeoutMs: number;
  /** What the error says after that time. */
  readonly complaint: () => string;
  readonly abandoned?: AbortSignal | undefined;
}

interface Waiter {
  readonly size: number;
  settle(note: string): void;
  fail(error: Error): void;
}

/** Those who wait for a cosigned checkpoint: at most `limit` at one time. */
export class Waiters {
  readonly #limit: number;
  readonly #waiters = new Set<Waiter>();
  readonly #shared = new Map<number, Promise<string>>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get count(): number {
    return this.#waiters.size;
  }

  /** Throws WitnessError when the time is over, `abandoned` aborts, or, at once, `limit` wait already; and what `fail` is given. */
  wait({ size, timeoutMs, complaint, abandoned }: WaitOptions): Promise<string> {
    if (this.#waiters.size >= this.#limit) {
      return Promise.reject(new WitnessError(`${String(this.#limit)} wait for cosignatures already`));
    }
    return new Promise((resolve, reject: (error: Error) => void) => {
      const end = (): void => {
        clearTimeout(timer);
        abandoned?.removeEventListener('abort', onAbandoned);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter = {
        size,
        settle: (note) => {
          end();
          resolve(note);
        },
        fail: (error) => {
          end();
          reject(error);
        },
      };
      const onAbandoned = (): void => waiter.fail(new WitnessError('nobody waits for the cosignatures any more'));
      const timer = setTimeout(() => waiter.fail(new WitnessError(complaint())), timeoutMs);
      if (abandoned?.aborted === true) {
        onAbandoned();
        return;
      }
      abandoned?.addEventListener('abort', onAbandoned, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** As `wait`, once for all who ask for the same size meanwhile. */
  share(options: Omit<WaitOptions, 'abandoned'>): Promise<string> {
    const { size } = options;
    const underWay = this.#shared.get(size);
    if (underWay !== undefined) return underWay;
    const note = this.wait(options).finally(() => this.#shared.delete(size));
    this.#shared.set(size, note);
    return note;
  }

  /** Gives each what `noteFor` has for it, if anything. */
  settle(noteFor: (size: number) => string | undefined): void {
    for (const waiter of this.#waiters) {
      const note = noteFor(waiter.size);
      if (note !== undefined) waiter.settle(note);
    }
  }

  fail(error: Error): void {
    for (const waiter of this.#waiters) waiter.fail(error);
  }
}
