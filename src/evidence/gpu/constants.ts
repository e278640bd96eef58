/** SPDM 1.1 (DMTF DSP0274) and what NVIDIA puts into its opaque data (NVIDIA nvtrust, local verifier; NVIDIA attestation-sdk). */

export const SPDM_VERSION = 0x11;
export const GET_MEASUREMENTS = 0xe0;
export const MEASUREMENTS = 0x60;
/** Param1 of the request: a signature is asked for. */
export const SIGNATURE_REQUESTED = 0x01;
/** Param2 of the request: all measurements are asked for. */
export const ALL_MEASUREMENTS = 0xff;
/** MeasurementSpecification of a record: DMTF. */
export const DMTF_MEASUREMENT = 0x01;
/** Bit of the DMTF type: the value is raw, no digest. */
export const RAW_MEASUREMENT = 0x80;

export const SPDM_NONCE_BYTES = 32;
export const SPDM_REQUEST_BYTES = 37;
/** ECDSA P-384, r and s big-endian. */
export const SPDM_SIGNATURE_BYTES = 96;
/** SHA-384: measurements and firmware ids. */
export const MEASUREMENT_BYTES = 48;

/** Types of opaque data. Of those that are not here the meaning is not known here. */
export const OPAQUE = {
  driverVersion: 3,
  gpuInfo: 4,
  vbiosVersion: 6,
  nvdec0Status: 11,
  measurementCounts: 12,
  cprInfo: 13,
  boardId: 14,
  chipSku: 15,
  chipSkuMod: 16,
  project: 17,
  projectSku: 18,
  projectSkuMod: 19,
  fwid: 20,
  protectedPcie: 21,
  switchPdi: 22,
  disabledPorts: 23,
  positionId: 24,
  lockStatus: 25,
  gpuPdis: 26,
  gpuLinks: 32,
  systemEnableStatus: 33,
  opaqueDataVersion: 34,
  chipInfo: 35,
  featureFlag: 36,
} as const;

/** What a flag of one byte says: NVDEC0_STATUS, PROTECTED_PCIE_STATUS. */
export const FLAG_ON = 0xaa;
export const FLAG_OFF = 0x55;

/** FEATURE_FLAG, from zero: one GPU passed through, several with protected links, several behind protected PCIe. */
export const GPU_MODES = ['SPT', 'MPT', 'PPCIE'] as const;
export type GpuMode = (typeof GPU_MODES)[number];

/** The newest OPAQUE_DATA_VERSION whose fields are known; from 1 on there is a FEATURE_FLAG. */
export const MAX_OPAQUE_DATA_VERSION = 1;

/** Bytes of a PDI, the number of a GPU or switch that is fused into it. */
export const PDI_BYTES = 8;

/** The measurement (counted from 0) of a unit that is switched off where NVDEC0_STATUS says so: then it is not compared. */
export const NVDEC_MEASUREMENT = 35;

/** Extensions of the leaf that name the firmware which holds its key: Hopper and LS10, and Blackwell. */
export const DICE_COMPOSITE_DEVICE_ID = '2.23.133.5.4.1';
export const DICE_TCB_INFO = '2.23.133.5.4.1.1';

/** NVSwitch reports do not say of which board they are: NVIDIA's manifests for LS10 are all of this one. */
export const LS10_BOARD = { project: '5612', projectSku: '0002', chipSku: '890' } as const;
