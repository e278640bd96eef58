export type Phase = 'starting' | 'serving' | 'draining';

/** Where the process stands between start and stop; shared by the server, which moves it, and by the faces, which answer by it. It never goes back. */
export class Lifecycle {
  #phase: Phase = 'starting';
  #accepted = 0;

  get phase(): Phase {
    return this.#phase;
  }

  /** How many connections were ever accepted. */
  get accepted(): number {
    return this.#accepted;
  }

  /** A connection has been accepted. */
  accept(): void {
    this.#accepted++;
  }

  /** From starting to serving. Nothing happens once draining. */
  serve(): void {
    if (this.#phase === 'starting') this.#phase = 'serving';
  }

  /** For good. */
  drain(): void {
    this.#phase = 'draining';
  }
}
