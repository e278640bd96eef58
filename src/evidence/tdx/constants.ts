/** Numbers of Intel's TDX quote, TD report and PCK certificate, by their places in the format. */

/** Versions of the quote that are verified here; 3 is of SGX enclaves. */
export const QUOTE_V4 = 4;
export const QUOTE_V5 = 5;

/** attestation key type: ECDSA on P-256. */
export const KEY_TYPE_ECDSA_P256 = 2;
export const TEE_TYPE_TDX = 0x81;
/** The QE vendor id of Intel. */
export const INTEL_QE_VENDOR = '939a7233f79c4ca9940a0db3957f0607';

/** What stands in a quote of version 5; version 4 always has the TD report of TDX 1.0. */
export const BODY_TYPE_TD10 = 2;
export const BODY_TYPE_TD15 = 3;
export const TD10_BYTES = 584;
export const TD15_BYTES = 648;

/** Types of certification data: the QE report with what certifies it, and inside it the PCK certificate chain in PEM. */
export const CERTIFICATION_QE_REPORT = 6;
export const CERTIFICATION_PCK_CHAIN = 5;

export const QUOTE_HEADER_BYTES = 48;
/** REPORT of an SGX enclave, without key id and MAC. */
export const QE_REPORT_BYTES = 384;
/** r and s, or x and y, each big-endian. */
export const P256_PAIR_BYTES = 64;

/** The most that is read; real quotes have 32 bytes, and 3.7 KB of PEM. */
export const MAX_QE_AUTH_BYTES = 1024;
export const MAX_PCK_CHAIN_BYTES = 16384;
export const MAX_PCK_CERTIFICATES = 3;
/** Behind the signature data: quotes are handed about in buffers of a fixed size. */
export const MAX_TRAILING_BYTES = 4096;

/** A bit of the TD attributes. */
export interface TdAttribute {
  readonly bit: number;
  /** As in the claim. */
  readonly name: string;
}

/** The bits that are known; all others must be zero. Bits 7:0 say that a trust domain is under debug or profiling. */
export const TD_ATTRIBUTES: readonly TdAttribute[] = [
  { bit: 0, name: 'debug' },
  { bit: 4, name: 'hgs_plus_profiling' },
  { bit: 5, name: 'performance_profiling' },
  { bit: 6, name: 'pmt_profiling' },
  { bit: 16, name: 'icssd' },
  { bit: 27, name: 'lass' },
  { bit: 28, name: 'sept_ve_disable' },
  { bit: 29, name: 'migratable' },
  { bit: 30, name: 'pks' },
  { bit: 31, name: 'kl' },
  { bit: 62, name: 'tpa' },
  { bit: 63, name: 'perfmon' },
];

/** Bit 1 of the first byte of an enclave's attributes. */
export const ENCLAVE_DEBUG = 0x02;

/** The extension of a PCK certificate, and what stands in it. */
export const SGX_EXTENSION = '1.2.840.113741.1.13.1';

/** Common names of the certificates above a quoting enclave; the second is one of the two. */
export const PCK_COMMON_NAME = 'Intel SGX PCK Certificate';
export const PCK_CA_COMMON_NAMES: readonly string[] = ['Intel SGX PCK Platform CA', 'Intel SGX PCK Processor CA'];
