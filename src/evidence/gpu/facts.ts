import { MalformedError } from '../../bytes/malformed-error.js';
import { toHex } from '../../bytes/hex.js';
import type { GpuDevice } from './chain.js';
import {
  FLAG_OFF,
  FLAG_ON,
  GPU_MODES,
  type GpuMode,
  LS10_BOARD,
  MAX_OPAQUE_DATA_VERSION,
  MEASUREMENT_BYTES,
  OPAQUE,
  PDI_BYTES,
} from './constants.js';
import type { GpuReport } from './report.js';

/** What the opaque data of a report says. Members that are undefined are not in it: old firmware writes fewer. */
export interface GpuFacts {
  /** `550.90.07`; switches have none. */
  readonly driverVersion: string | undefined;
  /** `96.00.9f.00.01`, lower case. */
  readonly vbiosVersion: string;
  /**
   * The board as NVIDIA's manifests are named after it, upper case. Of a switch it is not in the report, but the only one there
   * is.
   */
  readonly project: string;
  readonly projectSku: string;
  readonly chipSku: string;
  /** The chip, where the device names it itself (CHIP_INFO). */
  readonly chipInfo: string | undefined;
  /** SHA-384. */
  readonly fwid: Buffer | undefined;
  /** `other`: a value that is not known here. */
  readonly nvdec: 'on' | 'off' | 'other' | undefined;
  readonly protectedPcie: boolean | 'other' | undefined;
  readonly mode: GpuMode | 'other' | undefined;
  readonly opaqueDataVersion: number | undefined;
  /** Of a GPU: the switches at its links, as they number themselves; none stands there twice. Lower-case hex, as are all PDIs. */
  readonly switchPdis: readonly string[] | undefined;
  /** Of a switch: its own number, and the GPUs at its ports. */
  readonly ownPdi: string | undefined;
  readonly gpuPdis: readonly string[] | undefined;
  readonly positionId: number | undefined;
  readonly lockStatus: number | undefined;
}

/** A switch lists at most so many GPUs; behind them comes which port leads to which. */
const LISTED_GPUS = 8;
/** Where no device is. */
const NO_PDI: ReadonlySet<string> = new Set(['00'.repeat(PDI_BYTES), 'ff'.repeat(PDI_BYTES)]);

/** Each becomes part of a name by which a manifest is looked up. */
const VERSION = /^[0-9]{1,6}(?:\.[0-9]{1,6}){1,4}$/;
const BOARD_PART = /^[0-9A-Z]{1,16}$/;
const SWITCH_BIOS = /^[0-9a-f]{2}(?:\.[0-9a-f]{2}){4}$/;
const GPU_BIOS_BYTES = 8;
const MAX_NUMBER_BYTES = 8;

/**
 * Reads the opaque data of a device of this kind. Throws only MalformedError: where versions or board are missing or in a form
 * that is not known, or where the opaque data is of a newer version than is known.
 */
export function gpuFacts({ opaque }: GpuReport, { kind }: Pick<GpuDevice, 'kind'>): GpuFacts {
  const version = number(opaque, OPAQUE.opaqueDataVersion);
  if (version !== undefined && version > MAX_OPAQUE_DATA_VERSION) {
    throw new MalformedError('opaque data: of a version that is not known');
  }
  return {
    ...(kind === 'gpu' ? gpuVersions(opaque) : switchVersions(opaque)),
    chipInfo: opaque.has(OPAQUE.chipInfo) ? boardPart(opaque, OPAQUE.chipInfo, 'chip info') : undefined,
    fwid: exactly(opaque, OPAQUE.fwid, MEASUREMENT_BYTES, 'firmware id'),
    nvdec: nvdecOf(opaque),
    protectedPcie: protectedPcieOf(opaque),
    mode: modeOf(opaque),
    opaqueDataVersion: version,
    switchPdis: kind === 'gpu' ? pdis(opaque.get(OPAQUE.switchPdi), true) : undefined,
    ownPdi: kind === 'switch' ? ownPdi(opaque) : undefined,
    gpuPdis: kind === 'switch' ? gpuPdis(opaque) : undefined,
    positionId: number(opaque, OPAQUE.positionId),
    lockStatus: number(opaque, OPAQUE.lockStatus),
  };
}

type Opaque = GpuReport['opaque'];
type Versions = Pick<GpuFacts, 'driverVersion' | 'vbiosVersion' | 'project' | 'projectSku' | 'chipSku'>;

function gpuVersions(opaque: Opaque): Versions {
  return {
    driverVersion: matching(text(opaque, OPAQUE.driverVersion, 'driver version'), VERSION, 'driver version'),
    vbiosVersion: gpuBios(opaque),
    project: boardPart(opaque, OPAQUE.project, 'project'),
    projectSku: boardPart(opaque, OPAQUE.projectSku, 'project SKU'),
    chipSku: boardPart(opaque, OPAQUE.chipSku, 'chip SKU'),
  };
}

function switchVersions(opaque: Opaque): Versions {
  const bios = text(opaque, OPAQUE.vbiosVersion, 'BIOS version').toLowerCase();
  return { driverVersion: undefined, vbiosVersion: matching(bios, SWITCH_BIOS, 'BIOS version'), ...LS10_BOARD };
}

/** The VBIOS version of a GPU. Two little-endian words: `00a50096 01000000` is 96.00.a5.00.01. Throws MalformedError. */
export function gpuBios(opaque: Opaque): string {
  const bytes = exactly(opaque, OPAQUE.vbiosVersion, GPU_BIOS_BYTES, 'VBIOS version');
  if (bytes?.readUIntLE(5, 3) !== 0) throw new MalformedError('VBIOS version: not in a known form');
  const [a = 0, b = 0, c = 0, d = 0, last = 0] = bytes;
  return [d, c, b, a, last].map((byte) => byte.toString(16).padStart(2, '0')).join('.');
}

function boardPart(opaque: Opaque, type: number, field: string): string {
  return matching(text(opaque, type, field).toUpperCase(), BOARD_PART, field);
}

/** Text as it is without the NUL bytes behind it. */
function text(opaque: Opaque, type: number, field: string): string {
  const bytes = opaque.get(type);
  if (bytes === undefined) throw new MalformedError(`${field}: missing`);
  return bytes.toString('latin1').replace(/\0+$/, '');
}

function matching(value: string, pattern: RegExp, field: string): string {
  if (!pattern.test(value)) throw new MalformedError(`${field}: not in a known form`);
  return value;
}

function exactly(opaque: Opaque, type: number, length: number, field: string): Buffer | undefined {
  const bytes = opaque.get(type);
  if (bytes !== undefined && bytes.length !== length)
    throw new MalformedError(`${field}: not of ${String(length)} bytes`);
  return bytes;
}

/** Little-endian, 1 to 8 bytes: NVIDIA's own verifier takes as many. Up to 2^53-1, so that no two are taken for the same. */
function number(opaque: Opaque, type: number): number | undefined {
  const bytes = opaque.get(type);
  if (bytes === undefined) return undefined;
  if (bytes.length === 0 || bytes.length > MAX_NUMBER_BYTES)
    throw new MalformedError(`opaque data ${String(type)}: number of this size`);
  const value = Number(Buffer.concat([bytes], MAX_NUMBER_BYTES).readBigUInt64LE());
  if (!Number.isSafeInteger(value)) throw new MalformedError(`opaque data ${String(type)}: number too large`);
  return value;
}

function nvdecOf(opaque: Opaque): GpuFacts['nvdec'] {
  const status = number(opaque, OPAQUE.nvdec0Status);
  if (status === undefined) return undefined;
  if (status === FLAG_OFF) return 'off';
  return status === FLAG_ON ? 'on' : 'other';
}

function protectedPcieOf(opaque: Opaque): GpuFacts['protectedPcie'] {
  const status = number(opaque, OPAQUE.protectedPcie);
  if (status === undefined) return undefined;
  return status === FLAG_ON || (status === FLAG_OFF ? false : 'other');
}

function modeOf(opaque: Opaque): GpuFacts['mode'] {
  const flag = number(opaque, OPAQUE.featureFlag);
  return flag === undefined ? undefined : (GPU_MODES[flag] ?? 'other');
}

function ownPdi(opaque: Opaque): string | undefined {
  const bytes = exactly(opaque, OPAQUE.switchPdi, PDI_BYTES, 'PDI');
  return bytes === undefined ? undefined : toHex(bytes);
}

function gpuPdis(opaque: Opaque): readonly string[] | undefined {
  const bytes = opaque.get(OPAQUE.gpuPdis);
  if (bytes !== undefined && bytes.length < LISTED_GPUS * PDI_BYTES)
    throw new MalformedError('PDIs of GPUs: cut short');
  return pdis(bytes?.subarray(0, LISTED_GPUS * PDI_BYTES), false);
}

/** GPUs write the PDIs of switches byte by byte the other way round. */
function pdis(bytes: Buffer | undefined, reversed: boolean): readonly string[] | undefined {
  if (bytes === undefined) return undefined;
  if (bytes.length % PDI_BYTES !== 0) throw new MalformedError('PDIs: not a whole number of them');
  const found = new Set<string>();
  for (let at = 0; at < bytes.length; at += PDI_BYTES) {
    const pdi = bytes.subarray(at, at + PDI_BYTES);
    found.add(toHex(reversed ? Buffer.from(pdi).reverse() : pdi));
  }
  return [...found].filter((pdi) => !NO_PDI.has(pdi));
}
