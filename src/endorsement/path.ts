import { MalformedError } from '../bytes/malformed-error.js';
import type { RevocationList } from '../crypto/x509-crl.js';
import { parseCertificate, type Certificate } from '../crypto/x509.js';
import {
  authorityFault,
  criticalFault,
  leafFault,
  mayHaveIssued,
  purposeFault,
  signatureFault,
  validityFault,
  type Purpose,
} from './certificate-checks.js';
import { revocationFault, type CrlPolicy } from './revocation.js';
import type { TrustAnchors } from './trust-anchors.js';

/** The most certificates that are taken, and that a path may have with its anchor. NVIDIA's have five. */
export const MAX_CHAIN_CERTIFICATES = 8;
export const MAX_PATH_CERTIFICATES = 6;
/** The most signatures of certificates that are verified in the search for one path. */
const MAX_SIGNATURE_CHECKS = 32;

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
 * Where several certificates could be the issuer (a CA that was certified anew), each is tried, within 32 signatures.
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
  #signatureChecks = 0;
  /** Why the longest path failed that was tried, the first one of that length. */
  #failed: { readonly length: number; readonly fault: PathFault } | undefined;

  constructor(request: PathRequest, pool: readonly Certificate[]) {
    this.#request = request;
    this.#pool = pool;
  }

  from(leaf: Certificate): ValidPath | PathFault {
    const found = this.#extend([leaf], 0);
    if (found !== undefined) return found;
    return this.#failed?.fault ?? chainFault('no path to a trust anchor');
  }

  /** `intermediates`: how many of the path are not the leaf and not self-issued. */
  #extend(path: readonly Certificate[], intermediates: number): ValidPath | PathFault | undefined {
    const last = path.at(-1);
    if (last === undefined) return undefined;
    const before = this.#failed;
    for (const anchor of this.#request.anchors.bySubject.get(last.issuer.der.toString('hex')) ?? []) {
      if (!mayHaveIssued(anchor, last)) continue;
      const fault = this.#anchorFault(anchor, path, intermediates);
      if (fault !== undefined) {
        this.#fail(path.length + 1, chainFault(fault));
        continue;
      }
      const end = this.#complete(path, anchor);
      if (end.ok || end.fault === 'revoked') return end;
      // What is wrong with a whole path says more than why others lead nowhere.
      this.#fail(MAX_PATH_CERTIFICATES + 1, end);
    }
    for (const issuer of this.#pool) {
      if (!mayHaveIssued(issuer, last) || path.some((other) => sameAuthority(other, issuer))) continue;
      const fault = this.#issuerFault(issuer, path, intermediates);
      if (fault !== undefined) {
        this.#fail(path.length + 1, chainFault(fault));
        continue;
      }
      const selfIssued = issuer.subject.der.equals(issuer.issuer.der);
      const end = this.#extend([...path, issuer], intermediates + (selfIssued ? 0 : 1));
      if (end !== undefined) return end;
    }
    if (this.#failed === before) this.#fail(path.length, chainFault(unknownIssuer(last, path.length - 1)));
    return undefined;
  }

  #anchorFault(anchor: Certificate, path: readonly Certificate[], intermediates: number): string | undefined {
    const { atMs, purpose, enforceAnchorValidity } = this.#request;
    const fault =
      authorityFault(anchor, intermediates) ??
      (enforceAnchorValidity === false ? undefined : validityFault(anchor, atMs)) ??
      criticalFault(anchor, purpose.handledCritical ?? [], purpose.extendedKeyUsage !== undefined);
    return fault === undefined ? this.#signatureFault(anchor, path) : `the trust anchor is ${fault}`;
  }

  #issuerFault(issuer: Certificate, path: readonly Certificate[], intermediates: number): string | undefined {
    if (path.length + 2 > MAX_PATH_CERTIFICATES) return 'the path is too long';
    const fault = authorityFault(issuer, intermediates) ?? generalFault(issuer, this.#request);
    return fault === undefined ? this.#signatureFault(issuer, path) : `${placeOf(path.length)} is ${fault}`;
  }

  /** Whether the issuer signed the last certificate of the path. */
  #signatureFault(issuer: Certificate, path: readonly Certificate[]): string | undefined {
    const last = path.at(-1);
    if (last === undefined || ++this.#signatureChecks > MAX_SIGNATURE_CHECKS) return 'too many possible issuers';
    const fault = signatureFault(issuer, last);
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
