import { createHash, sign, type KeyObject } from 'node:crypto';
import { Writer } from '../bytes/writer.js';
import {
  ALL_MEASUREMENTS,
  DMTF_MEASUREMENT,
  GET_MEASUREMENTS,
  MEASUREMENT_BYTES,
  MEASUREMENTS,
  SIGNATURE_REQUESTED,
  SPDM_NONCE_BYTES,
  SPDM_VERSION,
} from '../evidence/gpu/constants.js';
import type { GpuEvidence } from '../evidence/gpu/evidence.js';
import { derivedKey } from './certificate.js';
import { issueGpuCertificates, type SimulatedChip } from './gpu-certificates.js';
import { type SimulatedGpuOptions, simulatedOpaqueData } from './gpu-opaque.js';
import { simulatedGpuReference, simulatedMeasurements } from './gpu-reference.js';
import type { SimulatedMakers } from './makers.js';
import type { SimulatedRim } from './rim.js';

export const SIMULATED_DRIVER = '580.95.05';
export const SIMULATED_VBIOS = '96.00.9f.00.01';

const DEFAULT_SEED = Buffer.alloc(32, 0x67);
/** Of which the mode of confidential computing is a part. */
const MODE_MEASUREMENT = 9;

export type { SimulatedGpuOptions } from './gpu-opaque.js';

/**
 * A GPU or NVSwitch in software: certificates below the simulated NVIDIA, and reports in the genuine layout, signed.
 *
 *     const gpu = new SimulatedGpu(makers.nvidiaDevices, { seed });
 *     const evidence = gpu.evidence(nonce);
 *     const rims = gpu.reference().map((rim) => issueRim(makers.nvidiaRims, rim));
 */
export class SimulatedGpu {
  readonly #options: SimulatedGpuOptions;
  readonly #chip: SimulatedChip;
  readonly #seed: Buffer;
  readonly #key: KeyObject;
  readonly #fwid: Buffer | null;
  /** 8 bytes. */
  readonly pdi: Buffer;
  /** DER, the leaf first, the root last. */
  readonly certificates: readonly Buffer[];

  constructor(makers: SimulatedMakers['nvidiaDevices'], options: SimulatedGpuOptions = {}) {
    const { chip = 'GH100', seed = DEFAULT_SEED, serial } = options;
    this.#options = options;
    this.#chip = chip;
    this.#seed = seed;
    const firmware = digest('sha384', seed, 'firmware');
    const leaf = derivedKey(seed, 'NVIDIA FMC', 'P-384');
    this.#key = options.forged === true ? derivedKey(seed, 'another FMC', 'P-384').key : leaf.key;
    this.#fwid = options.fwid === undefined ? firmware : options.fwid;
    this.pdi = options.pdi ?? digest('sha256', seed, 'PDI').subarray(0, 8);
    this.certificates = issueGpuCertificates(makers, {
      chip,
      pdi: this.pdi,
      bootRom: derivedKey(seed, 'NVIDIA BROM', 'P-384'),
      leafSpki: leaf.spki,
      fwid: (options.certifiedFwid === undefined ? firmware : options.certifiedFwid) ?? undefined,
      ...(serial === undefined ? {} : { serial }),
    });
  }

  /** Request and response for a nonce of 32 bytes. */
  report(nonce: Buffer): Buffer {
    const answered = this.#options.nonce ?? nonce;
    if (answered.length !== SPDM_NONCE_BYTES) throw new RangeError('the nonce of a GPU has 32 bytes');
    const records = this.#records();
    const opaque = simulatedOpaqueData(this.#options, { pdi: this.pdi, fwid: this.#fwid, ...this.#versions() });
    const signed = new Writer()
      .bytes(Buffer.of(SPDM_VERSION, GET_MEASUREMENTS, SIGNATURE_REQUESTED, ALL_MEASUREMENTS))
      .bytes(answered)
      .u8(0)
      .bytes(Buffer.of(SPDM_VERSION, MEASUREMENTS, 0, 0, records.length))
      .bytes(u24le(Buffer.concat(records).length))
      .bytes(Buffer.concat(records))
      .bytes(digest('sha256', this.#seed, answered))
      .u16le(opaque.length)
      .bytes(opaque)
      .finish();
    const signature = sign('sha384', signed, { key: this.#key, dsaEncoding: 'ieee-p1363' });
    return Buffer.concat([signed, signature]);
  }

  /** What is sent for a nonce. */
  evidence(nonce: Buffer): GpuEvidence {
    return { report: this.report(nonce), certificates: this.certificates };
  }

  /** What the manifests say that list its measurements, those it would have if nothing was wrong with it. */
  reference(): readonly SimulatedRim[] {
    return simulatedGpuReference(this.#versions());
  }

  #versions() {
    const { driverVersion = SIMULATED_DRIVER, vbiosVersion = SIMULATED_VBIOS } = this.#options;
    return { chip: this.#chip, driverVersion, vbiosVersion };
  }

  #records(): readonly Buffer[] {
    const { measurements = {}, confidentialComputing = 'on' } = this.#options;
    const values = simulatedMeasurements(this.#versions()).map((value, index) => {
      const sound = index !== MODE_MEASUREMENT || confidentialComputing === 'on';
      return measurements[index] ?? (sound ? value : digest('sha384', value, confidentialComputing));
    });
    return values.map((value, index) =>
      new Writer()
        .u8(index + 1)
        .u8(DMTF_MEASUREMENT)
        .u16le(value.length + 3)
        .u8(1)
        .u16le(value.length)
        .bytes(value)
        .finish(),
    );
  }
}

function u24le(value: number): Buffer {
  const bytes = Buffer.alloc(3);
  bytes.writeUIntLE(value, 0, 3);
  return bytes;
}

function digest(hash: 'sha256' | 'sha384', ...parts: readonly (Buffer | string)[]): Buffer {
  const made = createHash(hash);
  for (const part of parts) made.update(part);
  return made.digest().subarray(0, hash === 'sha384' ? MEASUREMENT_BYTES : 32);
}
