import { createHash, randomBytes, sign, type KeyObject } from 'node:crypto';
import {
  CHIP_ID_BYTES,
  CPUID_SINCE,
  HW_ID_BYTES,
  KEY_INFO,
  MITIGATION_SINCE,
  POLICY_ALWAYS_ONE,
  SNP_ALGORITHM_ECDSA_P384,
  SNP_OFFSET as AT,
  SNP_REPORT_BYTES,
  SNP_SCALAR_BYTES,
  SNP_SIGNED_BYTES,
  TCB_LAYOUT,
} from '../evidence/snp/constants.js';
import type { SigningKey } from '../evidence/snp/constants.js';
import { derivedKey } from './certificate.js';
import type { SimulatedGeneration, SimulatedMakers } from './makers.js';
import { issueVek, type SimulatedTcb } from './snp-vek.js';

/** Every field of a report but the report data. Numbers and bytes are written as they are, right or wrong; bytes must be of full length. */
export interface SimulatedSnpFields {
  readonly version: number;
  readonly guestSvn: number;
  /** Bits 15:0 the ABI, 16 SMT, 17 always one, 18 MIGRATE_MA, 19 DEBUG, … */
  readonly policy: bigint;
  /** 16 bytes each. */
  readonly familyId: Buffer;
  readonly imageId: Buffer;
  readonly vmpl: number;
  readonly signatureAlgorithm: number;
  readonly platformInfo: bigint;
  readonly authorKeyEnabled: boolean;
  readonly maskChipKey: boolean;
  /** SIGNING_KEY: 0 VCEK, 1 VLEK, 7 none. */
  readonly signingKey: number;
  /** 48 bytes. */
  readonly measurement: Buffer;
  /** 32 bytes. */
  readonly hostData: Buffer;
  /** 48 bytes each. */
  readonly idKeyDigest: Buffer;
  readonly authorKeyDigest: Buffer;
  /** 32 bytes each; all ones in the second: no migration agent. */
  readonly reportId: Buffer;
  readonly reportIdMa: Buffer;
  readonly reportedTcb: SimulatedTcb;
  readonly currentTcb: SimulatedTcb;
  readonly committedTcb: SimulatedTcb;
  readonly launchTcb: SimulatedTcb;
  /** Family, model, stepping; left out before version 3. */
  readonly cpuid: readonly [number, number, number];
  /** 64 bytes. */
  readonly chipId: Buffer;
  /** Major, minor, build. */
  readonly currentFirmware: readonly [number, number, number];
  readonly committedFirmware: readonly [number, number, number];
  /** Left out before version 5. */
  readonly launchMitigation: bigint;
  readonly currentMitigation: bigint;
}

interface Model {
  readonly version: number;
  readonly cpuid: readonly [number, number, number];
  readonly tcb: SimulatedTcb;
  readonly firmware: readonly [number, number, number];
}

/** As genuine machines of the generation had it in 2026. */
const MODELS: Readonly<Record<SimulatedGeneration, Model>> = {
  Milan: {
    version: 3,
    cpuid: [0x19, 0x01, 0x01],
    tcb: { bootloader: 4, tee: 0, snp: 24, microcode: 219 },
    firmware: [1, 55, 29],
  },
  Genoa: {
    version: 3,
    cpuid: [0x19, 0x11, 0x01],
    tcb: { bootloader: 10, tee: 0, snp: 23, microcode: 84 },
    firmware: [1, 55, 40],
  },
  Turin: {
    version: 5,
    cpuid: [0x1a, 0x02, 0x01],
    tcb: { fmc: 1, bootloader: 1, tee: 1, snp: 4, microcode: 81 },
    firmware: [1, 55, 65],
  },
};
/** ABI 0.31, SMT, bit 17. */
const POLICY = 0x1001fn | (1n << BigInt(POLICY_ALWAYS_ONE));
/** SMT, ECC, ALIAS_CHECK_COMPLETE. */
const PLATFORM_INFO = 0x25n;

/**
 * A guest on a SEV-SNP machine in software: it makes attestation reports in the genuine layout, signed by a key of its own, which a
 * verifier believes that trusts the makers of the certificate.
 *
 *     const snp = new SimulatedSnp({ generation: 'Milan', seed });
 *     const vcek = snp.certificate(makers, { notBeforeMs, notAfterMs });
 *     const evidence = { report: snp.report(reportData), certificates: [vcek] };
 */
export class SimulatedSnp {
  readonly generation: SimulatedGeneration;
  /** The signing key's SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
  /** What the next report says; `set` changes it. */
  fields: SimulatedSnpFields;
  readonly #key: KeyObject;

  /** Key and chip follow from the seed; without one they are random. Reports are of the newest version of the generation. */
  constructor(options: { readonly generation: SimulatedGeneration; readonly seed?: Buffer }) {
    const { generation, seed = randomBytes(32) } = options;
    const { key, spki } = derivedKey(seed, 'SEV-SNP signing key', 'P-384');
    const derived = (label: string, bytes: number) =>
      createHash('shake256', { outputLength: bytes }).update(seed).update(label).digest();
    const { version, cpuid, tcb, firmware } = MODELS[generation];
    this.generation = generation;
    this.spki = spki;
    this.#key = key;
    this.fields = {
      version,
      guestSvn: 0,
      policy: POLICY,
      familyId: Buffer.alloc(16),
      imageId: Buffer.alloc(16),
      vmpl: 0,
      signatureAlgorithm: SNP_ALGORITHM_ECDSA_P384,
      platformInfo: PLATFORM_INFO,
      authorKeyEnabled: false,
      maskChipKey: false,
      signingKey: 0,
      measurement: derived('measurement', 48),
      hostData: Buffer.alloc(32),
      idKeyDigest: Buffer.alloc(48),
      authorKeyDigest: Buffer.alloc(48),
      reportId: derived('report id', 32),
      reportIdMa: Buffer.alloc(32, 0xff),
      reportedTcb: tcb,
      currentTcb: tcb,
      committedTcb: tcb,
      launchTcb: tcb,
      cpuid,
      chipId: Buffer.concat([derived('chip id', HW_ID_BYTES[generation])], CHIP_ID_BYTES),
      currentFirmware: firmware,
      committedFirmware: firmware,
      launchMitigation: 0x3fn,
      currentMitigation: 0x3fn,
    };
  }

  /** Changes fields of the reports to come. */
  set(fields: Partial<SimulatedSnpFields>): this {
    this.fields = { ...this.fields, ...fields };
    return this;
  }

  /** ATTESTATION_REPORT over 64 bytes of report data, signed. `fields` holds for this one alone. */
  report(reportData: Buffer, fields: Partial<SimulatedSnpFields> = {}): Buffer {
    return this.sign(this.#written(reportData, { ...this.fields, ...fields }));
  }

  /** Signs what a report says, whatever that is; the signature that was there is replaced. A copy. */
  sign(report: Buffer): Buffer {
    const signed = Buffer.from(report);
    const signature = sign('sha384', signed.subarray(0, SNP_SIGNED_BYTES), {
      key: this.#key,
      dsaEncoding: 'ieee-p1363',
    });
    signature.subarray(0, SNP_SCALAR_BYTES).reverse().copy(signed, AT.signatureR);
    signature.subarray(SNP_SCALAR_BYTES).reverse().copy(signed, AT.signatureS);
    return signed;
  }

  /** The certificate (DER) of the signing key for the reported TCB: a VCEK of this chip, or a VLEK where `cspId` names a provider; then `set({signingKey: 1})`. */
  certificate(
    makers: SimulatedMakers,
    options: { readonly notBeforeMs: number; readonly notAfterMs: number; readonly cspId?: string },
  ): Buffer {
    const kind: SigningKey = options.cspId === undefined ? 'VCEK' : 'VLEK';
    const hwId = this.fields.chipId.subarray(0, HW_ID_BYTES[this.generation]);
    return issueVek(makers.amd[this.generation], {
      generation: this.generation,
      spki: this.spki,
      kind,
      tcb: this.fields.reportedTcb,
      ...(kind === 'VCEK' ? { hwId } : {}),
      ...options,
    });
  }

  #written(reportData: Buffer, fields: SimulatedSnpFields): Buffer {
    const bytes = Buffer.alloc(SNP_REPORT_BYTES);
    const put = (offset: number, length: number, value: Buffer) => {
      if (value.length !== length)
        throw new RangeError(`a field of ${String(length)} bytes with ${String(value.length)}`);
      value.copy(bytes, offset);
    };
    bytes.writeUInt32LE(fields.version, AT.version);
    bytes.writeUInt32LE(fields.guestSvn, AT.guestSvn);
    bytes.writeBigUInt64LE(fields.policy, AT.policy);
    put(AT.familyId, 16, fields.familyId);
    put(AT.imageId, 16, fields.imageId);
    bytes.writeUInt32LE(fields.vmpl, AT.vmpl);
    bytes.writeUInt32LE(fields.signatureAlgorithm, AT.signatureAlgorithm);
    bytes.writeBigUInt64LE(fields.platformInfo, AT.platformInfo);
    bytes.writeUInt32LE(keyInfoOf(fields), AT.keyInfo);
    put(AT.reportData, 64, reportData);
    put(AT.measurement, 48, fields.measurement);
    put(AT.hostData, 32, fields.hostData);
    put(AT.idKeyDigest, 48, fields.idKeyDigest);
    put(AT.authorKeyDigest, 48, fields.authorKeyDigest);
    put(AT.reportId, 32, fields.reportId);
    put(AT.reportIdMa, 32, fields.reportIdMa);
    put(AT.currentTcb, 8, this.#tcb(fields.currentTcb));
    put(AT.reportedTcb, 8, this.#tcb(fields.reportedTcb));
    put(AT.committedTcb, 8, this.#tcb(fields.committedTcb));
    put(AT.launchTcb, 8, this.#tcb(fields.launchTcb));
    if (fields.version >= CPUID_SINCE) put(AT.cpuid, 3, Buffer.from(fields.cpuid));
    put(AT.chipId, CHIP_ID_BYTES, fields.chipId);
    put(AT.currentFirmware, 3, Buffer.from(fields.currentFirmware).reverse());
    put(AT.committedFirmware, 3, Buffer.from(fields.committedFirmware).reverse());
    if (fields.version >= MITIGATION_SINCE) {
      bytes.writeBigUInt64LE(fields.launchMitigation, AT.launchMitigation);
      bytes.writeBigUInt64LE(fields.currentMitigation, AT.currentMitigation);
    }
    return bytes;
  }

  #tcb(tcb: SimulatedTcb): Buffer {
    return Buffer.from(TCB_LAYOUT[this.generation].map((component) => (component && tcb[component]) ?? 0));
  }
}

function keyInfoOf({ authorKeyEnabled, maskChipKey, signingKey }: SimulatedSnpFields): number {
  const flags = (authorKeyEnabled ? KEY_INFO.authorKeyEnabled : 0) | (maskChipKey ? KEY_INFO.maskChipKey : 0);
  return flags | (signingKey << KEY_INFO.signingKeyShift);
}
