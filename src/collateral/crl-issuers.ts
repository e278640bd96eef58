import type { RevocationList } from '../crypto/x509-crl.js';
import { type Certificate, parseCertificate } from '../crypto/x509.js';
import { authorityFault, mayHaveIssued, signatureFault } from '../endorsement/certificate-checks.js';
import { AMD_GENERATIONS, type HardwareRoots } from '../endorsement/hardware-roots.js';
import type { Pieces } from './items.js';

/**
 * Who may sign a CRL of collateral: the pinned roots, and the CAs in the chains that a root of Intel's issued. Intel's PCK CAs are
 * not pinned: a quote brings them, and here the chain that was served with their CRL.
 */
export function crlIssuers({ amd, intel }: HardwareRoots, ...sets: readonly Pieces[]): readonly Certificate[] {
  const roots = [
    ...AMD_GENERATIONS.flatMap((generation) => amd[generation].anchors.certificates),
    ...intel.certificates,
  ];
  const chained = sets.flatMap((pieces) =>
    [...pieces.values()].flatMap((piece) => (piece.kind === 'chain' ? piece.certificates : [])),
  );
  const authorities = chained
    .map(parseCertificate)
    .filter((certificate) => authorityFault(certificate, 0) === undefined)
    .filter((certificate) =>
      intel.certificates.some(
        (root) => mayHaveIssued(root, certificate) && signatureFault(root, certificate) === undefined,
      ),
    );
  return [...roots, ...authorities];
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
    : 'its issuer is neither a pinned root nor in a chain beside it (a PCK CRL needs its *IssuerChain.pem)';
}
