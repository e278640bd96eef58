/**
 * The HCL report of an Azure confidential VM: what the paravisor puts into NV index 0x01400001. Little-endian. Names as in
 * openvmm, openhcl_attestation_protocol (IgvmAttestRequestBase).
 */

/** "HCLA". */
export const HCL_SIGNATURE = Buffer.from('HCLA', 'latin1');
/** Of the header; reports of both are about. */
export const HCL_VERSIONS: readonly number[] = [1, 2];

/** IgvmAttestRequestHeader: signature, version, report_size, request_type, status, reserved[3]. */
export const HEADER_BYTES = 32;
/** Where the hardware report is, whatever its kind: as long as an SNP report. */
export const HARDWARE_SLOT_BYTES = 1184;
/** IgvmAttestRequestData: data_size, version, report_type, report_data_hash_type, variable_data_size. */
export const REQUEST_DATA_BYTES = 20;
/** IgvmAttestRequestDataExt: the capability bitmap of request version 2. */
export const CAPABILITIES_BYTES = 4;

export const REQUEST_TYPE_AK_CERT = 2;

/** IgvmAttestReportType. */
export const REPORT_TYPE_SNP = 2;
export const REPORT_TYPE_TDX = 4;
export const REPORT_TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'VBS'],
  [REPORT_TYPE_SNP, 'SEV-SNP'],
  [3, 'trusted VM'],
  [REPORT_TYPE_TDX, 'TDX'],
  [5, 'CCA'],
]);

/** IgvmAttestHashType. */
export const HASH_TYPE_SHA256 = 1;
export const HASH_TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [HASH_TYPE_SHA256, 'SHA-256'],
  [2, 'SHA-384'],
  [3, 'SHA-512'],
]);

/** More than fits the NV index, which holds 2600 bytes. */
export const MAX_RUNTIME_DATA_BYTES = 4096;
/** Zero bytes that may follow the report: the NV index is longer than what is in it. */
export const MAX_PADDING_BYTES = 4096;
/** Of the NV index. */
export const NV_INDEX_BYTES = 2600;
/** Of the NV index that guests write and the runtime data repeats. */
export const USER_DATA_BYTES = 64;

/** Keys of the runtime data by their `kid`. */
export const AK_KID = 'HCLAkPub';
export const EK_KID = 'HCLEkPub';

export const TD_REPORT_BYTES = 1024;
export const TEE_TCB_INFO_OFFSET = 256;
export const TEE_TCB_INFO_BYTES = 239;
export const TD_INFO_OFFSET = 512;
/** REPORTTYPE.TYPE of a TD. */
export const TD_REPORT_TYPE = 0x81;
/** Bytes of MRTD, RTMRs and the other SHA-384 registers. */
export const MEASUREMENT_BYTES = 48;
export const REPORT_DATA_BYTES = 64;
/** Where the report data is in an SNP report and in a TD report. */
export const SNP_REPORT_DATA_OFFSET = 0x50;
export const TD_REPORT_DATA_OFFSET = 128;
