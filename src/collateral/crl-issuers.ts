import { MalformedError } from '../bytes/malformed-error.js';
import type { RevocationList } from '../crypto/x509-crl.js';
import { type Certificate, parseCertificate } from '../crypto/x509.js';
import { authorityFault, mayHaveIssued, signatureFault } from '../endorsement/certificate-checks.js';
import { AMD_GENERATIONS, type HardwareRoots } from '../endorsement/hardware-roots.js';
import { parseRim } from '../endorsement/rim/verify.js';
import type { Pieces } from './items.js';
import type { Piece } from './piece.js';

/** CAs below a root that may sign CRLs: NVIDIA has three for devices. */
const MAX_LEVELS = 4;

/**
 * Who may sign a CRL of collateral: the pinned roots, and the CAs below those of Intel and NVIDIA that a chain brings, or a manifest
 * that is signed by way of them. Such CAs are not pinned: evidence brings them, and here the chain that was served with their CRL, or
 * that somebody put beside it.
 */
export function crlIssuers(roots: HardwareRoots, ...sets: readonly Pieces[]): readonly Certificate[] {
  const { amd, intel, nvidiaDevices, nvidiaRims } = roots;
  const above = [...intel.certificates, ...nvidiaDevices.certificates, ...nvidiaRims.certificates];
  return [
    ...AMD_GENERATIONS.flatMap((generation) => amd[generation].anchors.certificates),
    ...above,
    ...authoritiesBelow(above, candidatesIn(sets)),
  ];
}

/** What may be a CA below a root, each once. */
function candidatesIn(sets: readonly Pieces[]): readonly Certificate[] {
  const candidates = new Map<string, Certificate>();
  for (const piece of sets.flatMap((pieces) => [...pieces.values()])) {
    for (const certificate of certificatesOf(piece)) {
      const isRoot = certificate.subject.der.equals(certificate.issuer.der);
      if (!isRoot && authorityFault(certificate, 0) === undefined)
        candidates.set(certificate.der.toString('latin1'), certificate);
    }
  }
  return [...candidates.values()];
}

function certificatesOf(piece: Piece): readonly Certificate[] {
  if (piece.kind === 'chain') return piece.certificates.map(parseCertificate);
  if (piece.kind !== 'rim') return [];
  try {
    return parseRim(piece.xml).signature.certificates;
  } catch (error) {
    if (error instanceof MalformedError) return [];
    throw error;
  }
}

interface Level {
  readonly certificate: Certificate;
  /** From its issuer up, without the root. */
  readonly above: readonly Certificate[];
}

/** Level by level, so that no key verifies anything before somebody who is believed vouched for it. */
function authoritiesBelow(roots: readonly Certificate[], candidates: readonly Certificate[]): readonly Certificate[] {
  const found = new Set<Certificate>();
  let level: readonly Level[] = roots.map((certificate) => ({ certificate, above: [] }));
  for (let depth = 0; depth < MAX_LEVELS; depth++) {
    level = candidates.flatMap((certificate) => {
      if (found.has(certificate)) return [];
      const issuer = level.find((one) => isIssuer(one.certificate, certificate));
      if (issuer === undefined) return [];
      const above = depth === 0 ? [] : [issuer.certificate, ...issuer.above];
      return above.every((ca, index) => authorityFault(ca, index + 1) === undefined) ? [{ certificate, above }] : [];
    });
    for (const { certificate } of level) found.add(certificate);
  }
  return [...found];
}

function isIssuer(issuer: Certificate, issued: Certificate | RevocationList): boolean {
  return mayHaveIssued(issuer, issued) && signatureFault(issuer, issued) === undefined;
}

/** The one of them that signed the CRL, or why there is none. */
export function signerOf(list: RevocationList, issuers: readonly Certificate[]): Certificate | string {
  const named = issuers.filter(
    (issuer) => mayHaveIssued(issuer, list) && issuer.keyUsage?.includes('cRLSign') !== false,
  );
  const signer = named.find((issuer) => signatureFault(issuer, list) === undefined);
  if (signer !== undefined) return signer;
  return named.length > 0
    ? 'it is not signed by its issuer'
    : "its issuer is neither a pinned root nor in a chain beside it (a CRL of a PCK CA, or of a CA below NVIDIA's roots, needs its *IssuerChain.pem)";
}

/** From the signer of a CRL, who is one of the issuers, up to the root. */
export function chainUp(signer: Certificate, issuers: readonly Certificate[]): readonly Certificate[] {
  const chain = [signer];
  for (let at = signer; !at.subject.der.equals(at.issuer.der) && chain.length <= MAX_LEVELS;) {
    const issuer = issuers.find((one) => isIssuer(one, at));
    if (issuer === undefined) break;
    chain.push(issuer);
    at = issuer;
  }
  return chain;
}
