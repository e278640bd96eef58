export type Phase = 'starting' | 'serving' | 'draining';

/** Where the process stands between start and stop; shared by the server, which moves it, and by the faces, which answer by it. It never goes back. */
export class Lifecycle {
  #phase: Phase = 'starting';

  get phase(): Phase {
    return this.#phase;
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
