import { MalformedError } from '../bytes/malformed-error.js';
import { pemBlocks } from '../crypto/pem.js';
import { MAX_CERTIFICATE_BYTES } from '../crypto/x509.js';
import {
  ARK_GENOA,
  ARK_MILAN,
  ARK_TURIN,
  ASK_GENOA,
  ASK_MILAN,
  ASK_TURIN,
  ASVK_GENOA,
  ASVK_MILAN,
  ASVK_TURIN,
} from './roots/amd.js';
import { INTEL_SGX_ROOT } from './roots/intel.js';
import { NVIDIA_DEVICE_ROOT, NVIDIA_RIM_ROOT } from './roots/nvidia.js';
import { type TrustAnchors, trustAnchorsOf } from './trust-anchors.js';

/** Families of AMD processors, each with an ARK of its own: a leaf of one never ends in the root of another. */
export type AmdGeneration = 'Milan' | 'Genoa' | 'Turin';

export const AMD_GENERATIONS: readonly AmdGeneration[] = ['Milan', 'Genoa', 'Turin'];

export interface AmdRoots {
  /** The ARK of the generation. */
  readonly anchors: TrustAnchors;
  /** ASK and ASVK, DER: what stands between leaf and ARK where evidence brings the leaf alone. */
  readonly intermediates: readonly Buffer[];
}

/** The makers whose word about hardware is believed. The same object stands for the same roots. */
export interface HardwareRoots {
  readonly amd: Readonly<Record<AmdGeneration, AmdRoots>>;
  /** Above PCK certificates, TCB signing certificates and the CRLs of both. */
  readonly intel: TrustAnchors;
  /** Above device certificates of GPUs and switches. */
  readonly nvidiaDevices: TrustAnchors;
  /** Above the signers of reference integrity manifests. */
  readonly nvidiaRims: TrustAnchors;
}

/** The roots in DER, as a simulator of hardware has its own. */
export interface RootCertificates {
  readonly amd: Readonly<Record<AmdGeneration, { readonly ark: Buffer; readonly intermediates: readonly Buffer[] }>>;
  readonly intel: Buffer;
  readonly nvidiaDevices: Buffer;
  readonly nvidiaRims: Buffer;
}

const PINNED: RootCertificates = {
  amd: {
    Milan: { ark: der(ARK_MILAN), intermediates: [der(ASK_MILAN), der(ASVK_MILAN)] },
    Genoa: { ark: der(ARK_GENOA), intermediates: [der(ASK_GENOA), der(ASVK_GENOA)] },
    Turin: { ark: der(ARK_TURIN), intermediates: [der(ASK_TURIN), der(ASVK_TURIN)] },
  },
  intel: der(INTEL_SGX_ROOT),
  nvidiaDevices: der(NVIDIA_DEVICE_ROOT),
  nvidiaRims: der(NVIDIA_RIM_ROOT),
};

/** The roots of AMD, Intel and NVIDIA, pinned in the product: what evidence brings of them is never believed. */
export const PINNED_ROOTS: HardwareRoots = rootsOf([PINNED]);

/** The pinned roots and those of a simulator; for the development profile alone. */
export function withSimulator(simulator: RootCertificates): HardwareRoots {
  return rootsOf([PINNED, simulator]);
}

function rootsOf(sets: readonly RootCertificates[]): HardwareRoots {
  const amd = (generation: AmdGeneration): AmdRoots => ({
    anchors: trustAnchorsOf(sets.map((set) => set.amd[generation].ark)),
    intermediates: sets.flatMap((set) => set.amd[generation].intermediates),
  });
  return {
    amd: { Milan: amd('Milan'), Genoa: amd('Genoa'), Turin: amd('Turin') },
    intel: trustAnchorsOf(sets.map((set) => set.intel)),
    nvidiaDevices: trustAnchorsOf(sets.map((set) => set.nvidiaDevices)),
    nvidiaRims: trustAnchorsOf(sets.map((set) => set.nvidiaRims)),
  };
}

function der(pem: string): Buffer {
  const [first] = pemBlocks(pem, 'CERTIFICATE', 1, MAX_CERTIFICATE_BYTES);
  if (first === undefined) throw new MalformedError('a pinned root is no certificate');
  return first;
}
