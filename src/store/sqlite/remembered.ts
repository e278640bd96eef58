/** Results that are remembered at one time. */
const MAX_RESULTS = 1024;
/** Bytes of memory that they may take, about. What one deployment accepts may be a megabyte, and anybody may ask about it under many names. */
const MAX_BYTES = 32 * 1024 * 1024;

/** Results by name, as long as they are few and small enough together; one too many takes the place of all others. */
export class Remembered {
  readonly #results = new Map<string, unknown>();
  #bytes = 0;

  has(name: string): boolean {
    return this.#results.has(name);
  }

  get(name: string): unknown {
    return this.#results.get(name);
  }

  /** `bytes`: of memory that the result takes, rather too many than too few. */
  set(name: string, result: unknown, bytes: number): void {
    if (this.#results.size >= MAX_RESULTS || this.#bytes + bytes > MAX_BYTES) this.clear();
    if (bytes > MAX_BYTES) return;
    this.#results.set(name, result);
    this.#bytes += bytes;
  }

  clear(): void {
    this.#results.clear();
    this.#bytes = 0;
  }
}
