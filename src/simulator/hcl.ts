import { createPublicKey } from 'node:crypto';
import { Writer } from '../bytes/writer.js';
import { digest, sha256 } from '../crypto/digest.js';
import {
  AK_KID,
  EK_KID,
  HARDWARE_SLOT_BYTES,
  HASH_TYPE_SHA256,
  HCL_SIGNATURE,
  HEADER_BYTES,
  MEASUREMENT_BYTES,
  NV_INDEX_BYTES,
  REPORT_TYPE_SNP,
  REPORT_TYPE_TDX,
  REQUEST_DATA_BYTES,
  REQUEST_TYPE_AK_CERT,
  TD_REPORT_TYPE,
  USER_DATA_BYTES,
} from '../evidence/hcl/constants.js';

/** What the paravisor of a simulated Azure machine puts into the HCL report. */
export interface HclDraft {
  /** SubjectPublicKeyInfo (DER) of an RSA key; undefined: the runtime data names no AK. */
  readonly akSpki: Buffer | undefined;
  /** SubjectPublicKeyInfo (DER) of an RSA key; default: none is named. */
  readonly ekSpki?: Buffer;
  /** Makes the hardware report over the 64 bytes of report data: 1184 bytes (snp), or the TDREPORT of 1024 (tdx). */
  readonly hardware: { readonly kind: 'snp' | 'tdx'; readonly report: (reportData: Buffer) => Buffer };
  /** Members of `vm-configuration`, over those of an ordinary machine; undefined leaves one out. */
  readonly vmConfiguration?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** At most 64 bytes; default: none, which is 64 zero bytes. */
  readonly userData?: Buffer;
  /** Default 1. Version 2 has a capability bitmap. */
  readonly requestVersion?: 1 | 2;
  /** What is not as it should be. */
  readonly overrides?: {
    /** The runtime data itself, instead of that made from the members above. */
    readonly runtimeData?: Buffer;
    /** What the hardware report is made over, instead of the hash of the runtime data. */
    readonly reportData?: Buffer;
    readonly reportType?: number;
    readonly hashType?: number;
  };
}

const ORDINARY = {
  'console-enabled': true,
  'root-cert-thumbprint': '',
  'secure-boot': true,
  'tpm-enabled': true,
  'tpm-persisted': true,
  vmUniqueId: '5E1F0A7C-3B52-4D0E-9A61-0C0FFEE00001',
} as const;

/** The bytes of NV index 0x01400001: an HCL report in the genuine layout, with zeros up to 2600 bytes. */
export function simulatedHclReport(draft: HclDraft): Buffer {
  const { hardware, requestVersion = 1, overrides = {} } = draft;
  const runtimeData = overrides.runtimeData ?? simulatedRuntimeData(draft);
  const report = hardware.report(overrides.reportData ?? reportDataOf(runtimeData));
  const capabilities = requestVersion === 2 ? new Writer().u32le(0x07).finish() : Buffer.alloc(0);
  const dataSize = REQUEST_DATA_BYTES + capabilities.length + runtimeData.length;
  const genuine = new Writer()
    .bytes(HCL_SIGNATURE)
    .u32le(hardware.kind === 'snp' ? 1 : 2)
    .u32le(HEADER_BYTES + HARDWARE_SLOT_BYTES + dataSize)
    .u32le(REQUEST_TYPE_AK_CERT)
    .bytes(Buffer.alloc(16))
    .bytes(report)
    .bytes(Buffer.alloc(HARDWARE_SLOT_BYTES - report.length))
    .u32le(dataSize)
    .u32le(requestVersion)
    .u32le(overrides.reportType ?? (hardware.kind === 'snp' ? REPORT_TYPE_SNP : REPORT_TYPE_TDX))
    .u32le(overrides.hashType ?? HASH_TYPE_SHA256)
    .u32le(runtimeData.length)
    .bytes(capabilities)
    .bytes(runtimeData)
    .finish();
  return Buffer.concat([genuine, Buffer.alloc(Math.max(0, NV_INDEX_BYTES - genuine.length))]);
}

/** The report data that names runtime data: its SHA-256, then 32 zero bytes. */
export function reportDataOf(runtimeData: Buffer): Buffer {
  return Buffer.concat([sha256(runtimeData), Buffer.alloc(32)]);
}

/** The runtime data in the order of members that paravisors write. */
export function simulatedRuntimeData({ akSpki, ekSpki, vmConfiguration, userData }: HclDraft): Buffer {
  const padded = Buffer.alloc(USER_DATA_BYTES);
  userData?.copy(padded);
  const keys = [
    ...(akSpki === undefined ? [] : [runtimeKey(AK_KID, 'sign', akSpki)]),
    ...(ekSpki === undefined ? [] : [runtimeKey(EK_KID, 'encrypt', ekSpki)]),
  ];
  const members = {
    keys,
    'vm-configuration': { ...ORDINARY, ...vmConfiguration },
    'user-data': padded.toString('hex').toUpperCase(),
  };
  return Buffer.from(JSON.stringify(members));
}

function runtimeKey(kid: string, operation: string, spki: Buffer) {
  const { kty, e, n } = createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'jwk' });
  return { kid, key_ops: [operation], kty, e, n };
}

/** The fields of a simulated trust domain; each has the length of its field, and is zero unless said. */
export interface TdReportDraft {
  readonly reportData: Buffer;
  readonly teeTcbSvn?: Buffer;
  readonly mrSeam?: Buffer;
  readonly mrSignerSeam?: Buffer;
  readonly seamAttributes?: Buffer;
  readonly teeTcbSvn2?: Buffer;
  readonly tdAttributes?: Buffer;
  readonly xfam?: Buffer;
  readonly mrTd?: Buffer;
  readonly mrConfigId?: Buffer;
  readonly mrOwner?: Buffer;
  readonly mrOwnerConfig?: Buffer;
  readonly rtmrs?: readonly Buffer[];
  readonly mrServiceTd?: Buffer;
}

/** A TDREPORT in the genuine layout, with right hashes and, since no processor made it, a MAC of zeros. */
export function simulatedTdReport(draft: TdReportDraft): Buffer {
  const zero = Buffer.alloc(64);
  const measurement = (value: Buffer | undefined) => value ?? zero.subarray(0, MEASUREMENT_BYTES);
  const tcbInfo = new Writer()
    .bytes(Buffer.from('ff01030000000000', 'hex'))
    .bytes(draft.teeTcbSvn ?? zero.subarray(0, 16))
    .bytes(measurement(draft.mrSeam))
    .bytes(measurement(draft.mrSignerSeam))
    .bytes(draft.seamAttributes ?? zero.subarray(0, 8))
    .bytes(draft.teeTcbSvn2 ?? zero.subarray(0, 16))
    .bytes(Buffer.alloc(95))
    .finish();
  const tdInfo = new Writer()
    .bytes(draft.tdAttributes ?? zero.subarray(0, 8))
    .bytes(draft.xfam ?? zero.subarray(0, 8))
    .bytes(measurement(draft.mrTd))
    .bytes(measurement(draft.mrConfigId))
    .bytes(measurement(draft.mrOwner))
    .bytes(measurement(draft.mrOwnerConfig))
    .bytes(Buffer.concat([0, 1, 2, 3].map((n) => measurement(draft.rtmrs?.[n]))))
    .bytes(measurement(draft.mrServiceTd))
    .bytes(zero)
    .finish();
  const hasServiceTd = draft.mrServiceTd?.some((byte) => byte !== 0) ?? false;
  return new Writer()
    .bytes(Buffer.of(TD_REPORT_TYPE, 0, hasServiceTd ? 1 : 0))
    .bytes(Buffer.alloc(13))
    .bytes(Buffer.alloc(16))
    .bytes(digest('sha384', tcbInfo))
    .bytes(digest('sha384', tdInfo))
    .bytes(draft.reportData)
    .bytes(zero)
    .bytes(tcbInfo)
    .bytes(Buffer.alloc(17))
    .bytes(tdInfo)
    .finish();
}
