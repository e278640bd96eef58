import type { RevocationList } from '../crypto/x509-crl.js';
import { sha256 } from '../crypto/digest.js';
import type { CrlPolicy } from './revocation.js';
import { type PathFault, type PathRequest, type ValidPath, validatePath } from './path.js';
import type { TrustAnchors } from './trust-anchors.js';

/** The CRLs that are known, and what is asked of them. A new object whenever any of them is another one. */
export interface RevocationLists {
  readonly lists: readonly RevocationList[];
  readonly policy: CrlPolicy;
}

export const NO_REVOCATION_LISTS: RevocationLists = { lists: [], policy: 'none' };

/** What a path was validated under. */
interface Under {
  readonly anchors: TrustAnchors;
  readonly crls: RevocationLists;
}

interface KnownPath extends Under {
  /** Of all certificates that were presented, in their order. */
  readonly name: string;
  readonly path: ValidPath;
  /** Both ends inclusive. */
  readonly fromMs: number;
  readonly untilMs: number;
}

interface Refusal extends Under {
  readonly name: string;
  readonly atMs: number;
  readonly fault: PathFault;
}

/**
 * Paths that were found to be good, one for each leaf and purpose, the one longest unused forgotten first. It is good again for
 * the very same certificates in the very same order, so that what is decided never depends on what others presented before;
 * and under the very same anchors and CRLs, while every certificate of it is valid and no CRL of its issuers is past its date.
 *
 * Strangers cannot push paths out: another order, or padding, takes the place of the path of that leaf alone, for which there
 * must be a good path too. Of refusals only the last is remembered, for the very same moment: one request asks twice.
 */
export class KnownPaths {
  readonly #max: number;
  readonly #paths = new Map<string, KnownPath>();
  #refusal: Refusal | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  /** As validatePath. `purposeName` stands for the purpose. */
  validate(
    purposeName: string,
    request: Omit<PathRequest, 'crls' | 'crlPolicy' | 'enforceAnchorValidity'>,
    crls: RevocationLists,
  ): ValidPath | PathFault {
    const { atMs, anchors } = request;
    const name = `${purposeName} ${sha256(...request.chain.flatMap((der) => [lengthOf(der), der])).toString('latin1')}`;
    const leaf = `${purposeName} ${sha256(...request.chain.slice(0, 1)).toString('latin1')}`;
    const same = (under: Under) => under.anchors === anchors && under.crls === crls;
    const known = this.#paths.get(leaf);
    if (known?.name === name && same(known) && atMs >= known.fromMs && atMs <= known.untilMs) {
      this.#put(leaf, known);
      return known.path;
    }
    const refusal = this.#refusal;
    if (refusal?.name === name && refusal.atMs === atMs && same(refusal)) return refusal.fault;
    const found = validatePath({ ...request, crls: crls.lists, crlPolicy: crls.policy });
    if (found.ok) {
      this.#put(leaf, { name, path: found, anchors, crls, ...validityOf(found, crls) });
    } else {
      // What is remembered for the leaf stays: these may be a stranger's certificates behind it.
      this.#refusal = { name, anchors, crls, atMs, fault: found };
    }
    return found;
  }

  #put(leaf: string, path: KnownPath): void {
    this.#paths.delete(leaf);
    this.#paths.set(leaf, path);
    for (const oldest of this.#paths.keys()) {
      if (this.#paths.size <= this.#max) break;
      this.#paths.delete(oldest);
    }
  }
}

/** A CRL of any of the issuers counts, by name alone: rather one too many, which makes the path be validated more often. */
function validityOf({ path, anchor }: ValidPath, { lists }: RevocationLists): { fromMs: number; untilMs: number } {
  const certificates = [...path, anchor];
  const issuers = new Set(path.map(({ issuer }) => issuer.der.toString('latin1')));
  const crls = lists.filter(({ issuer }) => issuers.has(issuer.der.toString('latin1')));
  return {
    fromMs: Math.max(...certificates.map(({ notBeforeMs }) => notBeforeMs), ...crls.map((crl) => crl.thisUpdateMs)),
    untilMs: Math.min(...certificates.map(({ notAfterMs }) => notAfterMs), ...crls.map((crl) => crl.nextUpdateMs)),
  };
}

function lengthOf(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return length;
}
