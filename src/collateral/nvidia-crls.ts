/** A CRL that NVIDIA publishes. */
export interface NvidiaCrl {
  /** Common name of its issuer. */
  readonly issuer: string;
  readonly path: string;
  /** Whether the issuer is a pinned root, so that the CRL can be verified without anything beside it. */
  readonly isOfRoot: boolean;
}

/**
 * The CRLs whose addresses certificates of NVIDIA's name as distribution points: of device chains of GH100, LS10 and GB100, and in
 * manifests. Certificates of boot ROMs, the CAs below `NVIDIA Reference Value GH100 CA` and signers of manifests name none.
 */
export const NVIDIA_CRLS: readonly NvidiaCrl[] = [
  { issuer: 'NVIDIA Device Identity CA', path: '/crl/l1-root.crl', isOfRoot: true },
  { issuer: 'NVIDIA CoRIM signing Root CA', path: '/crl-corim/l1-corim.crl', isOfRoot: true },
  { issuer: 'NVIDIA GH100 Identity', path: '/crl/l2-gh100.crl', isOfRoot: false },
  { issuer: 'NVIDIA GB100 Identity', path: '/crl/l2-gb100.crl', isOfRoot: false },
  { issuer: 'NVIDIA Reference Value GB1XX CA', path: '/crl-corim/l2-gb100.crl', isOfRoot: false },
];

const OF_NVIDIA = 'NVIDIA ';

export function isOfNvidia(issuer: string): boolean {
  return issuer.startsWith(OF_NVIDIA);
}

/** The file that a CRL of NVIDIA's has: `nvidia-device-identity-ca.crl`. */
export function nvidiaCrlFile(issuer: string): string {
  const slug = issuer.slice(OF_NVIDIA.length).toLowerCase();
  return `nvidia-${slug.replace(/[^a-z0-9]+/g, '-').slice(0, 100)}.crl`;
}
