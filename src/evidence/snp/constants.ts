/** Layout and names of AMD's attestation (SEV Secure Nested Paging Firmware ABI, ATTESTATION_REPORT; VCEK and VLEK certificates). Data alone: a simulator writes by it. */
import type { AmdGeneration } from '../../endorsement/hardware-roots.js';

export const SNP_REPORT_BYTES = 0x4a0;
/** What the signature is over: everything before it. */
export const SNP_SIGNED_BYTES = 0x2a0;

/** Where fields of the report begin. All numbers are little-endian. */
export const SNP_OFFSET = {
  version: 0x000,
  guestSvn: 0x004,
  policy: 0x008,
  familyId: 0x010,
  imageId: 0x020,
  vmpl: 0x030,
  signatureAlgorithm: 0x034,
  currentTcb: 0x038,
  platformInfo: 0x040,
  keyInfo: 0x048,
  reportData: 0x050,
  measurement: 0x090,
  hostData: 0x0c0,
  idKeyDigest: 0x0e0,
  authorKeyDigest: 0x110,
  reportId: 0x140,
  reportIdMa: 0x160,
  reportedTcb: 0x180,
  cpuid: 0x188,
  chipId: 0x1a0,
  committedTcb: 0x1e0,
  currentFirmware: 0x1e8,
  committedFirmware: 0x1ec,
  launchTcb: 0x1f0,
  launchMitigation: 0x1f8,
  currentMitigation: 0x200,
  signatureR: 0x2a0,
  signatureS: 0x2e8,
} as const;

/**
 * Report versions that are read. Version 3 brought the CPUID, 5 the mitigation vectors: up to version 3 their bytes are zero. AMD has
 * published no layout of version 4, which firmware 1.55.31 writes: what is known of it is that of 3, and of those bytes nothing.
 */
export const SNP_VERSIONS: readonly number[] = [2, 3, 4, 5];
export const CPUID_SINCE = 3;
export const MITIGATION_SINCE = 5;
const UNPUBLISHED = 4;

export interface ReservedRange {
  readonly from: number;
  /** One past the end. */
  readonly to: number;
  /** In reports before this version; undefined: in all. */
  readonly before?: number;
}

/** Bytes that must be zero. */
export const SNP_RESERVED: readonly ReservedRange[] = [
  { from: 0x04c, to: 0x050 },
  { from: 0x188, to: 0x18b, before: CPUID_SINCE },
  { from: 0x18b, to: 0x1a0 },
  { from: 0x1eb, to: 0x1ec },
  { from: 0x1ef, to: 0x1f0 },
  { from: 0x1f8, to: 0x208, before: UNPUBLISHED },
  { from: 0x208, to: 0x2a0 },
  { from: 0x2d0, to: 0x2e8 },
  { from: 0x318, to: 0x4a0 },
];

/** ECDSA with P-384 and SHA-384. */
export const SNP_ALGORITHM_ECDSA_P384 = 1;
/** r and s, little-endian; 24 zero bytes follow each. */
export const SNP_SCALAR_BYTES = 48;

/** What a host gets that asks for a report itself. */
export const VMPL_HOST = 0xffffffff;
export const MAX_VMPL = 3;

/** One bit of a field: the name of its claim, and what it says when it is set. */
export interface Flag {
  readonly bit: number;
  readonly name: string;
  readonly meaning: string;
}

/** Bits 7:0 and 15:8 of the guest policy are the ABI version. Every other bit is reserved, and zero. */
export const POLICY_FLAGS: readonly Flag[] = [
  { bit: 16, name: 'smt', meaning: 'The guest may run where simultaneous multithreading is on.' },
  { bit: 18, name: 'migrate_ma', meaning: 'A migration agent may be bound to the guest (MIGRATE_MA).' },
  { bit: 19, name: 'debug', meaning: 'The host may debug the guest.' },
  { bit: 20, name: 'single_socket', meaning: 'The guest runs on one socket only.' },
  { bit: 21, name: 'cxl', meaning: 'The guest may run where CXL devices are populated (CXL_ALLOW).' },
  { bit: 22, name: 'aes_256_xts', meaning: 'The guest demands memory encryption by AES-256-XTS (MEM_AES_256_XTS).' },
  { bit: 23, name: 'rapl_disabled', meaning: 'The guest demands that power measurement is off (RAPL_DIS).' },
  { bit: 24, name: 'ciphertext_hiding', meaning: 'The guest demands that ciphertext in DRAM is hidden from the host.' },
  { bit: 25, name: 'page_swap_disabled', meaning: 'The guest demands that pages are never swapped out or moved.' },
];
/** Reserved, and one. */
export const POLICY_ALWAYS_ONE = 17;
export const POLICY_DEBUG = 19;
export const POLICY_MIGRATE_MA = 18;

/** PLATFORM_INFO. Every other bit is reserved, and zero. */
export const PLATFORM_FLAGS: readonly Flag[] = [
  { bit: 0, name: 'smt', meaning: 'Simultaneous multithreading is on.' },
  { bit: 1, name: 'tsme', meaning: 'All memory is encrypted (TSME).' },
  { bit: 2, name: 'ecc', meaning: 'The memory corrects errors (ECC).' },
  { bit: 3, name: 'rapl_disabled', meaning: 'Power measurement is off (RAPL_DIS).' },
  { bit: 4, name: 'ciphertext_hiding', meaning: 'Ciphertext in DRAM is hidden from the host.' },
  {
    bit: 5,
    name: 'alias_check_complete',
    meaning: 'The firmware found no aliased memory since the last reset: what BadRAM makes.',
  },
  { bit: 6, name: 'iommu_write_safe', meaning: 'Writes of the IOMMU are safe.' },
  { bit: 7, name: 'tio', meaning: 'SEV-TIO, trusted I/O, is on.' },
];

/** Bits of the key information. SIGNING_KEY has three bits; those above it are zero. */
export const KEY_INFO = {
  authorKeyEnabled: 0x01,
  maskChipKey: 0x02,
  signingKeyShift: 2,
  signingKeyMask: 0x07,
  max: 0x1f,
} as const;
/** SIGNING_KEY by its number; 7 says that nothing has signed. */
export const SIGNING_KEYS = ['VCEK', 'VLEK'] as const;
export type SigningKey = (typeof SIGNING_KEYS)[number];
export const SIGNING_KEY_NONE = 7;

/** Parts of a TCB_VERSION: each is a security version number of its own, and only numbers of one part compare. */
export const TCB_COMPONENTS = ['fmc', 'bootloader', 'tee', 'snp', 'microcode'] as const;
export type TcbComponent = (typeof TCB_COMPONENTS)[number];

/** The eight bytes of a TCB_VERSION; undefined: reserved, and zero. */
export const TCB_LAYOUT: Readonly<Record<AmdGeneration, readonly (TcbComponent | undefined)[]>> = {
  Milan: ['bootloader', 'tee', undefined, undefined, undefined, undefined, 'snp', 'microcode'],
  Genoa: ['bootloader', 'tee', undefined, undefined, undefined, undefined, 'snp', 'microcode'],
  Turin: ['fmc', 'bootloader', 'tee', 'snp', undefined, undefined, undefined, 'microcode'],
};

/** Which CPUIDs are which generation; models from first to last. */
export const CPUID_GENERATIONS: readonly {
  readonly family: number;
  readonly first: number;
  readonly last: number;
  readonly generation: AmdGeneration;
}[] = [
  { family: 0x19, first: 0x00, last: 0x0f, generation: 'Milan' },
  { family: 0x19, first: 0x10, last: 0x1f, generation: 'Genoa' },
  { family: 0x19, first: 0xa0, last: 0xaf, generation: 'Genoa' },
  { family: 0x1a, first: 0x00, last: 0x11, generation: 'Turin' },
];

/** Bytes of the hwID of a VCEK: of the CHIP_ID in the report they are the first, and zeros follow. */
export const HW_ID_BYTES: Readonly<Record<AmdGeneration, number>> = { Milan: 64, Genoa: 64, Turin: 8 };
export const CHIP_ID_BYTES = 64;

/** Extensions of VCEKs and VLEKs. */
const AMD_ARC = '1.3.6.1.4.1.3704.1';
export const VEK_EXTENSION = {
  structVersion: `${AMD_ARC}.1`,
  productName: `${AMD_ARC}.2`,
  /** Below it stands one extension for each part of the TCB. */
  tcb: `${AMD_ARC}.3`,
  hwId: `${AMD_ARC}.4`,
  cspId: `${AMD_ARC}.5`,
} as const;

/** The extensions of the parts of the TCB. Those below `.3.4` to `.3.7` are reserved: zero where they are there. */
export const TCB_EXTENSION: Readonly<Record<TcbComponent, string>> = {
  bootloader: `${VEK_EXTENSION.tcb}.1`,
  tee: `${VEK_EXTENSION.tcb}.2`,
  snp: `${VEK_EXTENSION.tcb}.3`,
  microcode: `${VEK_EXTENSION.tcb}.8`,
  fmc: `${VEK_EXTENSION.tcb}.9`,
};
export const TCB_RESERVED_EXTENSIONS: readonly string[] = [4, 5, 6, 7].map((n) => `${VEK_EXTENSION.tcb}.${String(n)}`);

/** Common names of the leaf, and of the CA above it before the name of the generation. */
export const VEK_NAMES: Readonly<Record<SigningKey, { readonly subject: string; readonly issuer: string }>> = {
  VCEK: { subject: 'SEV-VCEK', issuer: 'SEV-' },
  VLEK: { subject: 'SEV-VLEK', issuer: 'SEV-VLEK-' },
};
