import { MalformedError } from '../../bytes/malformed-error.js';
import type { AmdGeneration } from '../../endorsement/hardware-roots.js';
import {
  CHIP_ID_BYTES,
  CPUID_GENERATIONS,
  CPUID_SINCE,
  KEY_INFO,
  MITIGATION_SINCE,
  PLATFORM_FLAGS,
  POLICY_ALWAYS_ONE,
  POLICY_FLAGS,
  SIGNING_KEY_NONE,
  SIGNING_KEYS,
  type SigningKey,
  SNP_ALGORITHM_ECDSA_P384,
  SNP_OFFSET as AT,
  SNP_REPORT_BYTES,
  SNP_RESERVED,
  SNP_SCALAR_BYTES,
  SNP_VERSIONS,
} from './constants.js';

export interface Cpuid {
  /** Family and model with their extensions added in. */
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
}

export interface FirmwareVersion {
  readonly major: number;
  readonly minor: number;
  readonly build: number;
}

/** ATTESTATION_REPORT; nothing in it is verified. Buffers are views of what was given, in the byte order of the report but for the signature. */
export interface SnpReport {
  readonly version: number;
  readonly guestSvn: number;
  /** Bits as in POLICY_FLAGS. */
  readonly policy: bigint;
  readonly familyId: Buffer;
  readonly imageId: Buffer;
  /** 0xffffffff: the host asked for the report. */
  readonly vmpl: number;
  readonly signatureAlgorithm: number;
  /** Bits as in PLATFORM_FLAGS. */
  readonly platformInfo: bigint;
  readonly authorKeyEnabled: boolean;
  readonly maskChipKey: boolean;
  /** SIGNING_KEY as a number; `signingKey` is undefined where it says that nothing signed, or is reserved. */
  readonly signingKeyNumber: number;
  readonly signingKey: SigningKey | undefined;
  readonly reportData: Buffer;
  readonly measurement: Buffer;
  readonly hostData: Buffer;
  readonly idKeyDigest: Buffer;
  readonly authorKeyDigest: Buffer;
  readonly reportId: Buffer;
  /** Of the migration agent; all ones: there is none. */
  readonly reportIdMa: Buffer;
  /** TCB_VERSIONs, eight bytes each, of which the layout depends on the generation (parseTcb). */
  readonly reportedTcb: Buffer;
  readonly currentTcb: Buffer;
  readonly committedTcb: Buffer;
  readonly launchTcb: Buffer;
  /** undefined before version 3. */
  readonly cpuid: Cpuid | undefined;
  /** All zero where the host hides it. */
  readonly chipId: Buffer;
  readonly currentFirmware: FirmwareVersion;
  readonly committedFirmware: FirmwareVersion;
  /** Bit vectors; undefined before version 5. */
  readonly mitigation: { readonly launch: bigint; readonly current: bigint } | undefined;
  /** r and s, big-endian, 48 bytes each. */
  readonly signature: { readonly r: Buffer; readonly s: Buffer };
}

/**
 * Parses a report of version 2, 3, 4 or 5; nothing is verified. Throws MalformedError for any other length, version or signature
 * algorithm, for reserved bytes, bits and values, and for policy bit 17, which is reserved and one. What TCB_VERSIONs have
 * reserved depends on the generation: parseTcb.
 */
export function parseSnpReport(bytes: Buffer): SnpReport {
  const report = readSnpReport(bytes);
  const fault = versionFault(report) ?? reservedFaults(bytes, report)[0];
  if (fault !== undefined) throw new MalformedError(fault);
  return report;
}

/** The fields as they stand there, whatever is wrong with them. Throws MalformedError for another length. */
export function readSnpReport(bytes: Buffer): SnpReport {
  if (bytes.length !== SNP_REPORT_BYTES) {
    throw new MalformedError(`SEV-SNP report: ${String(bytes.length)} bytes, not ${String(SNP_REPORT_BYTES)}`);
  }
  const at = (offset: number, length: number) => bytes.subarray(offset, offset + length);
  const version = bytes.readUInt32LE(AT.version);
  const keyInfo = bytes.readUInt32LE(AT.keyInfo);
  const signingKeyNumber = (keyInfo >>> KEY_INFO.signingKeyShift) & KEY_INFO.signingKeyMask;
  return {
    version,
    guestSvn: bytes.readUInt32LE(AT.guestSvn),
    policy: bytes.readBigUInt64LE(AT.policy),
    familyId: at(AT.familyId, 16),
    imageId: at(AT.imageId, 16),
    vmpl: bytes.readUInt32LE(AT.vmpl),
    signatureAlgorithm: bytes.readUInt32LE(AT.signatureAlgorithm),
    platformInfo: bytes.readBigUInt64LE(AT.platformInfo),
    authorKeyEnabled: (keyInfo & KEY_INFO.authorKeyEnabled) !== 0,
    maskChipKey: (keyInfo & KEY_INFO.maskChipKey) !== 0,
    signingKeyNumber,
    signingKey: SIGNING_KEYS[signingKeyNumber],
    reportData: at(AT.reportData, 64),
    measurement: at(AT.measurement, 48),
    hostData: at(AT.hostData, 32),
    idKeyDigest: at(AT.idKeyDigest, 48),
    authorKeyDigest: at(AT.authorKeyDigest, 48),
    reportId: at(AT.reportId, 32),
    reportIdMa: at(AT.reportIdMa, 32),
    reportedTcb: at(AT.reportedTcb, 8),
    currentTcb: at(AT.currentTcb, 8),
    committedTcb: at(AT.committedTcb, 8),
    launchTcb: at(AT.launchTcb, 8),
    cpuid: version < CPUID_SINCE ? undefined : readCpuid(at(AT.cpuid, 3)),
    chipId: at(AT.chipId, CHIP_ID_BYTES),
    currentFirmware: readFirmware(at(AT.currentFirmware, 3)),
    committedFirmware: readFirmware(at(AT.committedFirmware, 3)),
    mitigation:
      version < MITIGATION_SINCE
        ? undefined
        : { launch: bytes.readBigUInt64LE(AT.launchMitigation), current: bytes.readBigUInt64LE(AT.currentMitigation) },
    signature: {
      r: reversed(at(AT.signatureR, SNP_SCALAR_BYTES)),
      s: reversed(at(AT.signatureS, SNP_SCALAR_BYTES)),
    },
  };
}

function readCpuid(bytes: Buffer): Cpuid {
  const [family = 0, model = 0, stepping = 0] = bytes;
  return { family, model, stepping };
}

function readFirmware(bytes: Buffer): FirmwareVersion {
  const [build = 0, minor = 0, major = 0] = bytes;
  return { major, minor, build };
}

function reversed(bytes: Buffer): Buffer {
  return Buffer.from(bytes).reverse();
}

/** Why a report cannot be read further, if it is one that is not known here. */
export function versionFault({ version, signatureAlgorithm }: SnpReport): string | undefined {
  if (!SNP_VERSIONS.includes(version)) return `version ${String(version)} of the SEV-SNP report is not known`;
  if (signatureAlgorithm === SNP_ALGORITHM_ECDSA_P384) return undefined;
  return `signature algorithm ${String(signatureAlgorithm)} of the SEV-SNP report is not known`;
}

const KNOWN_POLICY_BITS = (1n << BigInt(POLICY_ALWAYS_ONE)) | 0xffffn | maskOf(POLICY_FLAGS);
const KNOWN_PLATFORM_BITS = maskOf(PLATFORM_FLAGS);

function maskOf(flags: readonly { readonly bit: number }[]): bigint {
  return flags.reduce((mask, { bit }) => mask | (1n << BigInt(bit)), 0n);
}

/** Every reserved bit and value that is not as it must be, in the order of the report. */
export function reservedFaults(bytes: Buffer, report: SnpReport): readonly string[] {
  const faults: string[] = [];
  if ((report.policy & ~KNOWN_POLICY_BITS) !== 0n) faults.push('a reserved bit of the guest policy is set');
  if (!hasBit(report.policy, POLICY_ALWAYS_ONE))
    faults.push('bit 17 of the guest policy, which is always one, is zero');
  if ((report.platformInfo & ~KNOWN_PLATFORM_BITS) !== 0n) faults.push('a reserved bit of PLATFORM_INFO is set');
  if (bytes.readUInt32LE(AT.keyInfo) > KEY_INFO.max) faults.push('a reserved bit of the key information is set');
  const { signingKey, signingKeyNumber } = report;
  if (signingKey === undefined && signingKeyNumber !== SIGNING_KEY_NONE) faults.push('SIGNING_KEY is a reserved value');
  for (const { from, to, before } of SNP_RESERVED) {
    if (before !== undefined && report.version >= before) continue;
    if (isZero(bytes.subarray(from, to))) continue;
    faults.push(`a reserved byte from 0x${from.toString(16)} to 0x${(to - 1).toString(16)} of the report is not zero`);
  }
  return faults;
}

const ZEROS = Buffer.alloc(SNP_REPORT_BYTES);

/** Of a field of the report. */
export function isZero(bytes: Buffer): boolean {
  return bytes.equals(ZEROS.subarray(0, bytes.length));
}

const NO_MIGRATION_AGENT = Buffer.alloc(32, 0xff);

export function hasMigrationAgent({ reportIdMa }: SnpReport): boolean {
  return !reportIdMa.equals(NO_MIGRATION_AGENT);
}

export function hasBit(bits: bigint, bit: number): boolean {
  return ((bits >> BigInt(bit)) & 1n) === 1n;
}

/** The generation of the processor; undefined where it is none that is known here. */
export function generationOfCpuid({ family, model }: Cpuid): AmdGeneration | undefined {
  const known = CPUID_GENERATIONS.find((row) => row.family === family && model >= row.first && model <= row.last);
  return known?.generation;
}
