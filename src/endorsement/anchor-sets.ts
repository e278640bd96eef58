import { sha256Hex } from '../crypto/digest.js';
import { type TrustAnchors, trustAnchors } from './trust-anchors.js';

const MAX_SETS = 256;

/**
 * Anchors by the PEM texts that they come from, the ones longest unused forgotten first: the same texts give the very same
 * object as long as it is kept, so that it may stand for them.
 */
export class AnchorSets {
  readonly #max: number;
  /** Of a list that is asked for again and again not even the hash is made twice. */
  readonly #byTexts = new WeakMap<readonly string[], TrustAnchors>();
  readonly #byHash = new Map<string, TrustAnchors>();

  constructor(max = MAX_SETS) {
    this.#max = max;
  }

  /** `texts` is not changed afterwards. Throws MalformedError, as trustAnchors does; that is not remembered. */
  of(texts: readonly string[]): TrustAnchors {
    const known = this.#byTexts.get(texts);
    if (known !== undefined) return known;
    const hash = sha256Hex(JSON.stringify(texts));
    const anchors = this.#byHash.get(hash) ?? trustAnchors(texts.join('\n'));
    this.#byHash.delete(hash);
    this.#byHash.set(hash, anchors);
    for (const oldest of this.#byHash.keys()) {
      if (this.#byHash.size <= this.#max) break;
      this.#byHash.delete(oldest);
    }
    this.#byTexts.set(texts, anchors);
    return anchors;
  }
}
