import { FLAG_OFF, FLAG_ON, GPU_MODES, type GpuMode, OPAQUE } from '../evidence/gpu/constants.js';
import { Writer } from '../bytes/writer.js';
import type { SimulatedChip } from './gpu-certificates.js';

/** What a simulated device is and does. Whatever is left out is as in a sound Hopper GPU that is passed through alone. */
export interface SimulatedGpuOptions {
  readonly chip?: SimulatedChip;
  /** Keys, number and firmware of the device follow from it; default: of one and the same device. */
  readonly seed?: Buffer;
  /** 8 bytes: the number fused into the device. */
  readonly pdi?: Buffer;
  /** Of its certificate, NVIDIA's ueid. */
  readonly serial?: bigint;
  /** `580.95.05`; switches have none. */
  readonly driverVersion?: string;
  /** `96.00.9f.00.01`. */
  readonly vbiosVersion?: string;
  readonly mode?: GpuMode;
  /**
   * `devtools`: the mode for development, which no field of a report names: measurement 9 is another one. `off`: genuine
   * devices make no report then; the simulated one makes one that says nothing of its mode, and measurement 9 is another one.
   */
  readonly confidentialComputing?: 'on' | 'devtools' | 'off';
  /** The PDIs of the devices at its links: the switches of a GPU, the GPUs of a switch. */
  readonly linkedTo?: readonly Buffer[];
  /** The firmware that its certificate is for, and the one that it says it is; SHA-384. null: it names none. */
  readonly certifiedFwid?: Buffer | null;
  readonly fwid?: Buffer | null;
  /** Answered instead of the nonce it is asked with. */
  readonly nonce?: Buffer;
  /** Other measurements than the sound ones, by number from 0. */
  readonly measurements?: Readonly<Record<number, Buffer>>;
  /** Opaque data by type, instead of what follows from the above; null: left out. */
  readonly opaque?: Readonly<Record<number, Buffer | null>>;
  /** Whether the signature is by another key. */
  readonly forged?: boolean;
}

const GPU_LINKS = 18;
const LISTED_GPUS = 8;
const SWITCH_PORT_BYTES = 64;

/** What of a device is not among its options. */
export interface SimulatedOpaqueData {
  readonly pdi: Buffer;
  readonly driverVersion: string;
  readonly vbiosVersion: string;
  /** null: it names no firmware. */
  readonly fwid: Buffer | null;
}

/** The opaque data of a report: type, size, value, one behind the other. */
export function simulatedOpaqueData(options: SimulatedGpuOptions, device: SimulatedOpaqueData): Buffer {
  const own = options.chip === 'LS_10' ? switchData(options, device) : gpuData(options, device);
  const others = Object.entries(options.opaque ?? {}).map(([type, value]) => [Number(type), value] as const);
  const writer = new Writer();
  for (const [type, value] of new Map([...own, ...others])) {
    if (value !== null) writer.u16le(type).u16le(value.length).bytes(value);
  }
  return writer.finish();
}

type Entries = readonly (readonly [number, Buffer | null])[];

function gpuData(options: SimulatedGpuOptions, { driverVersion, vbiosVersion, fwid }: SimulatedOpaqueData): Entries {
  const { mode = 'SPT', confidentialComputing = 'on', linkedTo } = options;
  const [d = 0, c = 0, b = 0, a = 0, last = 0] = vbiosVersion.split('.').map((part) => parseInt(part, 16));
  return [
    [OPAQUE.vbiosVersion, Buffer.of(a, b, c, d, last, 0, 0, 0)],
    [OPAQUE.boardId, Buffer.from('b1030000', 'hex')],
    [OPAQUE.chipSku, text('882', 9)],
    [OPAQUE.chipSkuMod, text('0', 5)],
    [OPAQUE.project, text('1010', 5)],
    [OPAQUE.projectSku, text('0200', 5)],
    [OPAQUE.projectSkuMod, text('', 2)],
    [OPAQUE.driverVersion, text(driverVersion, driverVersion.length + 1)],
    [OPAQUE.nvdec0Status, Buffer.of(FLAG_OFF)],
    [OPAQUE.fwid, fwid],
    [OPAQUE.protectedPcie, Buffer.of(mode === 'PPCIE' ? FLAG_ON : FLAG_OFF)],
    [OPAQUE.switchPdi, linkedTo === undefined ? null : gpuLinks(linkedTo)],
    [OPAQUE.opaqueDataVersion, Buffer.of(1, 0)],
    [OPAQUE.featureFlag, confidentialComputing === 'off' ? null : Buffer.of(GPU_MODES.indexOf(mode), 0)],
  ];
}

/** Switches name no firmware. */
function switchData({ linkedTo }: SimulatedGpuOptions, { pdi, vbiosVersion }: SimulatedOpaqueData): Entries {
  return [
    [OPAQUE.vbiosVersion, Buffer.from(vbiosVersion, 'latin1')],
    [OPAQUE.switchPdi, pdi],
    [OPAQUE.gpuPdis, linkedTo === undefined ? null : switchPorts(linkedTo)],
    [OPAQUE.disabledPorts, Buffer.of(0xec, 0)],
    [OPAQUE.positionId, Buffer.of(0, 0)],
    [OPAQUE.lockStatus, Buffer.of(1, 0)],
  ];
}

/** One switch for each of 18 links, byte by byte the other way round; zeros at links that lead nowhere. */
function gpuLinks(switches: readonly Buffer[]): Buffer {
  const links = Array.from({ length: GPU_LINKS }, (_, link) => switches[link % Math.max(1, switches.length)]);
  return Buffer.concat(links.map((pdi) => (pdi === undefined ? Buffer.alloc(8) : Buffer.from(pdi).reverse())));
}

/** Eight GPUs, all bits set where there is none, and which port leads to which. */
function switchPorts(gpus: readonly Buffer[]): Buffer {
  const listed = Array.from({ length: LISTED_GPUS }, (_, place) => gpus[place] ?? Buffer.alloc(8, 0xff));
  return Buffer.concat([...listed, Buffer.alloc(SWITCH_PORT_BYTES, 0xff)]);
}

function text(value: string, length: number): Buffer {
  return Buffer.concat([Buffer.from(value, 'latin1'), Buffer.alloc(length - value.length)]);
}
