import type { AkIdentity } from './ak.js';

/**
 * AKs that were trusted before, by the bytes of their TPMT_PUBLIC, or by the SHA-256 of their certificate where the public
 * area was left out, the least recently used dropped first. To parse one anew, hash it and import its key costs as much as verifying with it. It says nothing of whether an AK is trusted now; put only
 * those in that are, so that strangers cannot push them out.
 */
export class TrustedAks {
  readonly #maxAks: number;
  readonly #aks = new Map<string, AkIdentity>();

  constructor(maxAks: number) {
    this.#maxAks = maxAks;
  }

  get size(): number {
    return this.#aks.size;
  }

  get(presentedAs: Buffer): AkIdentity | undefined {
    const ak = this.#aks.get(presentedAs.toString('latin1'));
    if (ak !== undefined) this.put(ak, presentedAs);
    return ak;
  }

  put(ak: AkIdentity, presentedAs = ak.publicArea): void {
    const place = presentedAs.toString('latin1');
    this.#aks.delete(place);
    this.#aks.set(place, ak);
    for (const oldest of this.#aks.keys()) {
      if (this.#aks.size <= this.#maxAks) break;
      this.#aks.delete(oldest);
    }
  }
}
