import type { Certificate } from '../crypto/x509.js';
import { mayHaveIssued, signatureFault } from './certificate-checks.js';

/** The most signatures of certificates that are verified in the search for one path, with one anchor of a name. */
const MAX_CHECKS = 12;
/** Anchors that share a name are the operator's own wish: for each more than one there is one check more, up to this. */
const MAX_CHECKS_WITH_ANCHORS = 32;

/** What a search has to do with. None of it says anything of signatures. */
export interface Candidates {
  /** What may stand between the leaf and an anchor: a stranger's. */
  readonly pool: readonly Certificate[];
  /** Whether one of the pool may be a CA at all. */
  readonly isUsable: (certificate: Certificate) => boolean;
  /** The anchors that may have issued this, and are good now. */
  readonly anchorsOf: (certificate: Certificate) => readonly Certificate[];
  /** How many anchors have the same name, at most. */
  readonly anchorsOfOneName: number;
}

/**
 * Who signed which certificate, in one search, each asked once. No key verifies anything unless an anchor vouches for it: whoever
 * sends certificates chooses their keys, and would choose dear ones, and many of one name.
 */
export class IssuerSignatures {
  readonly #candidates: Candidates;
  /** By what was issued, then by the key of the issuer. */
  readonly #faults = new Map<Certificate, Map<string, string | undefined>>();
  readonly #vouched = new Set<Certificate>();
  readonly #doubted = new Set<Certificate>();
  #checksLeft: number;

  constructor(candidates: Candidates) {
    this.#candidates = candidates;
    this.#checksLeft = Math.min(MAX_CHECKS_WITH_ANCHORS, MAX_CHECKS - 1 + candidates.anchorsOfOneName);
  }

  /** What is wrong with the signature. `issuer` is an anchor, or vouched for. */
  fault(issuer: Certificate, issued: Certificate): string | undefined {
    const faults = this.#faults.get(issued) ?? new Map<string, string | undefined>();
    this.#faults.set(issued, faults);
    const key = issuer.spki.toString('latin1');
    if (faults.has(key)) return faults.get(key);
    if (this.#checksLeft === 0) return 'one that too many certificates may have issued';
    this.#checksLeft--;
    const fault = signatureFault(issuer, issued);
    faults.set(key, fault);
    return fault;
  }

  /** Whether signatures lead from an anchor to this certificate of the pool, which is usable, by others that are. */
  isVouched(certificate: Certificate): boolean {
    if (!this.#vouched.has(certificate) && !this.#doubted.has(certificate)) this.#descendTo(certificate);
    return this.#vouched.has(certificate);
  }

  /** From the anchors down, one certificate after the other, among those that stand above this one by their names. */
  #descendTo(certificate: Certificate): void {
    const above = this.#above(certificate);
    while (!this.#vouched.has(certificate)) {
      const next = above.find((one) => !this.#vouched.has(one) && this.#isSigned(one));
      if (next === undefined) break;
      this.#vouched.add(next);
    }
    if (this.#vouched.has(certificate)) return;
    // Whatever stands above one of these was among them.
    for (const one of above) if (!this.#vouched.has(one)) this.#doubted.add(one);
  }

  /** It and all that may have issued it, directly or not, the nearest first. */
  #above(certificate: Certificate): readonly Certificate[] {
    const found = [certificate];
    for (const issued of found) {
      for (const issuer of this.#candidates.pool) {
        if (found.includes(issuer) || !mayHaveIssued(issuer, issued) || !this.#candidates.isUsable(issuer)) continue;
        found.push(issuer);
      }
    }
    return found;
  }

  #isSigned(issued: Certificate): boolean {
    const { pool, anchorsOf } = this.#candidates;
    const below = pool.filter((issuer) => this.#vouched.has(issuer) && mayHaveIssued(issuer, issued));
    return [...anchorsOf(issued), ...below].some((issuer) => this.fault(issuer, issued) === undefined);
  }
}
