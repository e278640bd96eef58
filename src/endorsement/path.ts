import { MalformedError } from '../bytes/malformed-error.js';
import type { RevocationList } from '../crypto/x509-crl.js';
import { parseCertificate, type Certificate } from '../crypto/x509.js';
import {
  authorityFault,
  criticalFault,
  leafFault,
  mayHaveIssued,
  purposeFault,
  validityFault,
  type Purpose,
} from './certificate-checks.js';
import { IssuerSignatures } from './issuer-signatures.js';
import { revocationFault, type CrlPolicy } from './revocation.js';
import type { TrustAnchors } from './trust-anchors.js';

/** The most certificates that are taken, and that a path may have with its anchor. NVIDIA's have five. */
export const MAX_CHAIN_CERTIFICATES = 8;
export const MAX_PATH_CERTIFICATES = 6;

export interface PathRequest {
  /** DER: the leaf first, then, in any order, what may stand between it and an anchor. Anchors among them are no harm. */
  readonly chain: readonly Buffer[];
  readonly anchors: TrustAnchors;
  /** The clock, Unix milliseconds. */
  readonly atMs: number;
  readonly purpose: Purpose;
  readonly crls: readonly RevocationList[];
  readonly crlPolicy: CrlPolicy;
  /** Whether the anchor must be valid at `atMs` too; default true. */
  readonly enforceAnchorValidity?: boolean;
}

/**
 * `chain`: no path that is good. `revoked`: a certificate of the path is revoked. `collateral`: the path is good, but a
 * CRL that is needed is missing or cannot be used. `detail` is for people and holds at most an OID or a key identifier.
 */
export interface PathFault {
  readonly ok: false;
  readonly fault: 'chain' | 'revoked' | 'collateral';
  readonly detail: string;
}

export interface ValidPath {
  readonly ok: true;
  readonly leaf: Certificate;
  /** From the leaf to the certificate that the anchor issued. */
  readonly path: readonly Certificate[];
  readonly anchor: Certificate;
}

/**
 * Searches a path from the leaf to an anchor and validates it (RFC 5280 section 6, as far as docs/design/0009 says): names
 * and key identifiers, signatures, validity, CA and pathLenConstraint, keyUsage, extKeyUsage, critical extensions, CRLs.
 * Where several certificates could be the issuer (a CA that was certified anew), each is tried, within 12 signatures, or up to
 * 32 where anchors share a name. A certificate that no anchor vouches for costs at most one check by each anchor that has the
 * name of its issuer; its own key is not even imported.
 * The anchor's own signature and revocation are not checked, nor whether the leaf's own key is of a kind that is used here
 * (its `publicKey` says so). Nothing is fetched: no URL of a certificate is followed.
 */
export function validatePath(request: PathRequest): ValidPath | PathFault {
  const chain = parseChain(request.chain);
  if (!Array.isArray(chain)) return chain;
  const [leaf, ...pool] = chain;
  if (leaf === undefined) return chainFault('no certificate was given');
  const fault = leafFault(leaf, request.purpose) ?? generalFault(leaf, request);
  if (fault !== undefined) return chainFault(`the leaf is ${fault}`);
  return new PathSearch(request, pool).from(leaf);
}

function parseChain(chain: readonly Buffer[]): Certificate[] | PathFault {
  if (chain.length > MAX_CHAIN_CERTIFICATES) return chainFault('too many certificates');
  try {
    return chain.map(parseCertificate);
  } catch (error) {
    if (error instanceof MalformedError) return chainFault(`a certificate does not parse: ${error.message}`);
    throw error;
  }
}

/** What is asked of every certificate below the anchor. */
function generalFault(certificate: Certificate, { atMs, purpose }: PathRequest): string | undefined {
  return (
    validityFault(certificate, atMs) ??
    criticalFault(certificate, purpose.handledCritical ?? [], purpose.extendedKeyUsage !== undefined)
  );
}

function chainFault(detail: string): PathFault {
  return { ok: false, fault: 'chain', detail };
}

/** One search, depth first, anchors before other certificates. */
class PathSearch {
  readonly #request: PathRequest;
  readonly #pool: readonly Certificate[];
  readonly #signatures: IssuerSignatures;
  /** Certificates that no anchor vouches for, of which it was found out why. */
  readonly #explained = new Set<Certificate>();
  /** Why the longest path failed that was tried, the first one of that length. */
  #failed: { readonly length: number; readonly fault: PathFault } | undefined;

  constructor(request: PathRequest, pool: readonly Certificate[]) {
    this.#request = request;
    this.#pool = pool.filter(({ der }, index) => pool.findIndex((other) => other.der.equals(der)) === index);
    this.#signatures = new IssuerSignatures({
      pool: this.#pool,
      isUsable: (certificate) => this.#issuerFault(certificate, 0) === undefined,
      anchorsOf: (issued) => this.#anchorsOf(issued).filter((anchor) => this.#anchorFault(anchor, 0) === undefined),
      anchorsOfOneName: Math.max(1, ...[...request.anchors.bySubject.values()].map(({ length }) => length)),
    });
  }

  from(leaf: Certificate): ValidPath | PathFault {
    const found = this.#extend([leaf], 0, true);
    if (found !== undefined) return found;
    return this.#failed?.fault ?? chainFault('no path to a trust anchor');
  }

  /**
   * `intermediates`: how many of the path are not the leaf and not self-issued. Without `verified` a signature of the path was
   * not looked at, since no anchor vouches for the issuer: then nothing is found but why not.
   */
  #extend(path: readonly Certificate[], intermediates: number, verified: boolean): ValidPath | PathFault | undefined {
    const last = path.at(-1);
    if (last === undefined) return undefined;
    const before = this.#failed;
    for (const anchor of this.#anchorsOf(last)) {
      const fault = this.#anchorFault(anchor, intermediates);
      const unsigned = fault === undefined ? this.#signatureFault(anchor, path) : `the trust anchor is ${fault}`;
      if (unsigned !== undefined) {
        this.#fail(path.length + 1, chainFault(unsigned));
        continue;
      }
      if (!verified) continue;
      const end = this.#complete(path, anchor);
      if (end.ok || end.fault === 'revoked') return end;
      // What is wrong with a whole path says more than why others lead nowhere.
      this.#fail(MAX_PATH_CERTIFICATES + 1, end);
    }
    for (const issuer of this.#pool) {
      if (!mayHaveIssued(issuer, last) || path.some((other) => sameAuthority(other, issuer))) continue;
      const end = this.#extendBy(issuer, path, intermediates, verified);
      if (end !== undefined) return end;
    }
    if (this.#failed === before) this.#fail(path.length, chainFault(unknownIssuer(last, path.length - 1)));
    return undefined;
  }

  #extendBy(
    issuer: Certificate,
    path: readonly Certificate[],
    intermediates: number,
    verified: boolean,
  ): ValidPath | PathFault | undefined {
    const unfit = this.#placeFault(issuer, path, intermediates);
    const vouched = unfit === undefined && this.#signatures.isVouched(issuer);
    const fault = vouched ? this.#signatureFault(issuer, path) : unfit;
    if (fault !== undefined) {
      this.#fail(path.length + 1, chainFault(fault));
      return undefined;
    }
    if (!vouched) {
      if (this.#explained.has(issuer)) return undefined;
      this.#explained.add(issuer);
    }
    const selfIssued = issuer.subject.der.equals(issuer.issuer.der);
    return this.#extend([...path, issuer], intermediates + (selfIssued ? 0 : 1), verified && vouched);
  }

  /** What speaks against the issuer as the next of this path, signatures left out. */
  #placeFault(issuer: Certificate, path: readonly Certificate[], intermediates: number): string | undefined {
    if (path.length + 2 > MAX_PATH_CERTIFICATES) return 'the path is too long';
    const fault = this.#issuerFault(issuer, intermediates);
    return fault === undefined ? undefined : `${placeOf(path.length)} is ${fault}`;
  }

  #anchorsOf(issued: Certificate): readonly Certificate[] {
    const named = this.#request.anchors.bySubject.get(issued.issuer.der.toString('hex')) ?? [];
    return named.filter((anchor) => mayHaveIssued(anchor, issued));
  }

  #anchorFault(anchor: Certificate, intermediates: number): string | undefined {
    const { atMs, purpose, enforceAnchorValidity } = this.#request;
    return (
      authorityFault(anchor, intermediates) ??
      (enforceAnchorValidity === false ? undefined : validityFault(anchor, atMs)) ??
      criticalFault(anchor, purpose.handledCritical ?? [], purpose.extendedKeyUsage !== undefined)
    );
  }

  #issuerFault(issuer: Certificate, intermediates: number): string | undefined {
    return authorityFault(issuer, intermediates) ?? generalFault(issuer, this.#request);
  }

  /** Whether the issuer, for which an anchor vouches, signed the last certificate of the path. */
  #signatureFault(issuer: Certificate, path: readonly Certificate[]): string | undefined {
    const last = path.at(-1);
    const fault = last === undefined ? 'missing' : this.#signatures.fault(issuer, last);
    return fault === undefined ? undefined : `${placeOf(path.length - 1)} is ${fault}`;
  }

  /** What is asked of the path as a whole. */
  #complete(path: readonly Certificate[], anchor: Certificate): ValidPath | PathFault {
    const { purpose, crls, crlPolicy, atMs } = this.#request;
    const fault = purposeFault([...path, anchor], purpose);
    if (fault !== undefined) return chainFault(fault);
    let collateral: PathFault | undefined;
    for (const [index, certificate] of path.entries()) {
      const against = revocationFault(certificate, path[index + 1] ?? anchor, index === 0, crls, crlPolicy, atMs);
      if (against === undefined) continue;
      const found: PathFault = { ok: false, fault: against.fault, detail: `${placeOf(index)}: ${against.detail}` };
      if (found.fault === 'revoked') return found;
      collateral ??= found;
    }
    const [leaf] = path;
    if (collateral !== undefined || leaf === undefined) return collateral ?? chainFault('no certificate was given');
    return { ok: true, leaf, path, anchor };
  }

  #fail(length: number, fault: PathFault): void {
    if (this.#failed === undefined || this.#failed.length < length) this.#failed = { length, fault };
  }
}

/** The same name and key: twice in a path, it is a loop, by whichever certificates. */
function sameAuthority(a: Certificate, b: Certificate): boolean {
  return a.subject.der.equals(b.subject.der) && a.spki.equals(b.spki);
}

function placeOf(index: number): string {
  return index === 0 ? 'the leaf' : `CA ${String(index)} above the leaf`;
}

/** A key identifier is a digest: it may be shown, and tells the operator which root is missing. */
function unknownIssuer({ authorityKeyId }: Certificate, index: number): string {
  const key = authorityKeyId === undefined ? '' : `, key identifier ${authorityKeyId.toString('hex')}`;
  return `the issuer of ${placeOf(index)} is neither a trust anchor nor among the certificates${key}`;
}
