import { randomBytes } from 'node:crypto';
import { toBase64url } from '../../bytes/base64url.js';
import { toHex } from '../../bytes/hex.js';
import type { Json } from '../../bytes/canonical-json.js';
import { sha256 } from '../../crypto/digest.js';
import { SimulatedGpu, type SimulatedGpuOptions } from '../../simulator/gpu.js';
import type { PlatformAttester, PlatformEvidence } from '../attester.js';
import {
  keyOf,
  placeholders,
  simulatedCvm,
  type SimulatedCvm,
  type SimulatedCvmOptions,
  type SimulatedLaunch,
} from './simulated-cvm.js';
import type { SimulatedCvmKind } from './simulated-cvm-kinds.js';

/** What a simulated machine has beside its TPM. */
export interface SimulatedPlatformOptions {
  readonly cvm?: SimulatedCvmOptions;
  /** H100s, each with what is not as it should be. */
  readonly gpus?: readonly SimulatedGpuOptions[];
  /** 32 bytes: processor and devices follow from it; default: random. */
  readonly seed?: Buffer;
}

/** What the makers answer: of the VM, and the certificates (DER) of each device from its boot ROM up. */
export interface SimulatedCertification {
  readonly launch: SimulatedLaunch | undefined;
  readonly gpus: readonly (readonly Buffer[])[];
}

const KINDS: Readonly<Record<SimulatedCvmKind, string>> = {
  snp: 'SEV-SNP machine',
  tdx: 'TDX machine',
  'hcl-snp': 'SEV-SNP machine with paravisor',
  'hcl-tdx': 'TDX machine with paravisor',
};

/** Processor and devices before their makers have certified them. */
export class SimulatedParts {
  readonly #cvm: SimulatedCvm | undefined;
  readonly #gpus: readonly SimulatedGpu[];

  constructor({ cvm, gpus = [], seed = randomBytes(32) }: SimulatedPlatformOptions) {
    this.#cvm = cvm === undefined ? undefined : simulatedCvm({ seed: sha256(seed, Buffer.from('processor')), ...cvm });
    this.#gpus = gpus.map((options, index) => {
      const own = sha256(seed, Buffer.from(`device ${String(index)}`));
      return new SimulatedGpu(placeholders().nvidiaDevices, { seed: own, ...options });
    });
  }

  /** Members of the request for a simulated machine. */
  get wish(): Readonly<Record<string, Json>> {
    const gpus = this.#gpus.map(({ certificates, pdi }) => ({
      key: toBase64url(keyOf(certificates[1])),
      pdi: toHex(pdi),
    }));
    return {
      ...(this.#cvm === undefined ? {} : { cvm: this.#cvm.wish }),
      ...(gpus.length === 0 ? {} : { gpus }),
    };
  }

  /** Throws AttesterError. */
  start({ launch, gpus }: SimulatedCertification): SimulatedPlatform {
    const cvm = this.#cvm;
    const answer = cvm === undefined || launch === undefined ? undefined : cvm.launch(launch);
    const devices = this.#gpus.map((gpu, index) => ({
      gpu,
      // The leaf is certified by the boot ROM of the device itself.
      certificates: [...gpu.certificates.slice(0, 1), ...(gpus[index] ?? [])].map(toBase64url),
    }));
    return new SimulatedPlatform(cvm?.kind, answer, devices);
  }
}

/** A confidential VM and GPUs that are simulated: genuine layouts that prove nothing about hardware. Only brokers of the development profile can be told to believe them. */
export class SimulatedPlatform implements PlatformAttester {
  readonly #kind: SimulatedCvmKind | undefined;
  readonly #cvm: ((base: Buffer) => PlatformEvidence) | undefined;
  readonly #devices: readonly { readonly gpu: SimulatedGpu; readonly certificates: readonly string[] }[];

  constructor(
    kind: SimulatedCvmKind | undefined,
    cvm: ((base: Buffer) => PlatformEvidence) | undefined,
    devices: readonly { readonly gpu: SimulatedGpu; readonly certificates: readonly string[] }[],
  ) {
    this.#kind = kind;
    this.#cvm = cvm;
    this.#devices = devices;
  }

  describe(): string {
    const machine = this.#kind === undefined ? 'machine' : KINDS[this.#kind];
    const { length } = this.#devices;
    const devices = length === 0 ? '' : ` and ${String(length)} H100${length === 1 ? '' : 's'}`;
    return `simulated ${machine}${devices} (development only)`;
  }

  async besideQuote(base: Buffer): Promise<PlatformEvidence> {
    const gpus = this.#devices.map(({ gpu, certificates }) => ({
      report: toBase64url(gpu.report(base)),
      certificates,
    }));
    return { ...this.#cvm?.(base), ...(gpus.length === 0 ? {} : { gpus }) };
  }
}
