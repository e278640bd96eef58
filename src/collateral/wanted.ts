import type { AmdGeneration } from '../endorsement/hardware-roots.js';

/** Where makers publish: the beginnings of URLs, without a slash at the end. */
export interface Origins {
  /** Intel's Provisioning Certification Service, or a mirror of it. */
  readonly intel: string;
  /** Where Intel has the CRL of its root. */
  readonly 'intel-root': string;
  /** AMD's Key Distribution Service. */
  readonly amd: string;
  /** NVIDIA's RIM service. */
  readonly nvidia: string;
  /** Where NVIDIA has its CRLs. */
  readonly 'nvidia-crl': string;
}

export const MAKERS_ORIGINS: Origins = {
  intel: 'https://api.trustedservices.intel.com',
  'intel-root': 'https://certificates.trustedservices.intel.com',
  amd: 'https://kdsintf.amd.com',
  nvidia: 'https://rim.attestation.nvidia.com',
  // As its certificates name it. A CRL is signed, and none that is older than the one that is there is taken.
  'nvidia-crl': 'http://crl.ndis.nvidia.com',
};

/** What is to be fetched. */
export interface Wanted {
  /** 12 upper-case hex digits each. With any, QE identity and Intel's CRLs are fetched too. */
  readonly fmspcs: readonly string[];
  readonly amd: readonly AmdGeneration[];
  /** Names under which NVIDIA serves them; a driver may be named as `collateral status` does. */
  readonly rims: readonly string[];
  /** Common names of issuers; see NVIDIA_CRLS. */
  readonly nvidiaCrls: readonly string[];
}

const GENERATIONS: readonly AmdGeneration[] = ['Milan', 'Genoa', 'Turin'];
const FMSPC = /^[0-9A-F]{12}$/;
const RIM_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

/** The FMSPC in the spelling that is used here, or undefined where it is none. */
export function parseFmspc(text: string): string | undefined {
  const fmspc = text.toUpperCase();
  return FMSPC.test(fmspc) ? fmspc : undefined;
}

export function isRimId(text: string): boolean {
  return RIM_ID.test(text);
}

/** The generation of this name, in either case. */
export function parseGeneration(text: string): AmdGeneration | undefined {
  return GENERATIONS.find((generation) => generation.toLowerCase() === text.toLowerCase());
}
