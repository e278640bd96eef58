/**
 * Results by name, as long as they are few and small enough together; one too many takes the place of all others. What one
 * deployment accepts may be a megabyte, and anybody may ask about names of all kinds.
 */
export class Remembered<T> {
  readonly #bytesOf: (result: T) => number;
  readonly #maxResults: number;
  readonly #maxBytes: number;
  readonly #results = new Map<string, { readonly result: T }>();
  #bytes = 0;

  /** `bytesOf`: of memory that a result takes, rather too many than too few. */
  constructor(bytesOf: (result: T) => number, maxResults: number, maxBytes: number) {
    this.#bytesOf = bytesOf;
    this.#maxResults = maxResults;
    this.#maxBytes = maxBytes;
  }

  /** Undefined where it is not known, unless it can be read now. */
  of(name: string, read: (() => T) | undefined): T | undefined {
    const known = this.#results.get(name);
    if (known !== undefined || read === undefined) return known?.result;
    const result = read();
    const bytes = this.#bytesOf(result);
    if (this.#results.size >= this.#maxResults || this.#bytes + bytes > this.#maxBytes) this.clear();
    if (bytes > this.#maxBytes) return result;
    this.#results.set(name, { result });
    this.#bytes += bytes;
    return result;
  }

  clear(): void {
    this.#results.clear();
    this.#bytes = 0;
  }
}
