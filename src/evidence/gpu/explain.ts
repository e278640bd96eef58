import { MalformedError } from '../../bytes/malformed-error.js';
import { toHex } from '../../bytes/hex.js';
import { COMMON_NAME, onlyAttribute } from '../../crypto/x509-name.js';
import { parseCertificate } from '../../crypto/x509.js';
import type { ExplainedField, ExplainedSection } from '../explained.js';
import { FLAG_OFF, FLAG_ON, GPU_MODES, OPAQUE } from './constants.js';
import type { GpuEvidence } from './evidence.js';
import { gpuBios, gpuFacts } from './facts.js';
import { type GpuReport, parseGpuReport } from './report.js';
import { type NamedDevice, neededManifests } from './rims.js';

/** Texts, ended by NUL. */
const TEXTS: ReadonlySet<number> = new Set([
  OPAQUE.driverVersion,
  OPAQUE.chipSku,
  OPAQUE.chipSkuMod,
  OPAQUE.project,
  OPAQUE.projectSku,
  OPAQUE.projectSkuMod,
  OPAQUE.chipInfo,
]);
const CLAIM_CASE = 'in lower case where it is a claim';
const PRINTABLE = /^[\x20-\x7e]+$/;
const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(OPAQUE).map(([name, type]) => [type, name]));

/** Of whichever chip: here nothing is decided by it. */
const BOOT_ROM = /^([A-Z][0-9A-Z_]{1,15}) .* BROM$/;

/**
 * The evidence of one device for a person: request and response, opaque data, measurements, certificates, and which manifests it
 * needs, field by field. What does not parse is one field that says so. Never throws. NOT looked at: signature, chain, manifests.
 */
export function explainGpu(evidence: GpuEvidence, index: number): readonly ExplainedSection[] {
  const device = `Device ${String(index)}`;
  const certificates = {
    title: `${device}: certificates`,
    fields: evidence.certificates.map((der, place) => certificateField(der, place)),
  };
  let report: GpuReport;
  try {
    report = parseGpuReport(evidence.report);
  } catch (error) {
    const note = noteOf(error);
    const value = `${String(evidence.report.length)} bytes`;
    return [
      { title: `${device}: measurement report`, fields: [{ name: 'report', value, note, wrong: true }] },
      certificates,
    ];
  }
  return [
    { title: `${device}: measurement report (SPDM 1.1)`, fields: reportFields(report) },
    {
      title: `${device}: opaque data`,
      fields: [...report.opaque].map(([type, value]) => opaqueField(type, value)),
    },
    {
      title: `${device}: measurements, counted from 0`,
      fields: report.measurements.map(({ value }, place) => ({ name: String(place), value: toHex(value) })),
    },
    certificates,
    { title: `${device}: manifests that it needs`, fields: manifestFields(report, evidence.certificates) },
  ];
}

/** As NVIDIA serves them, and the command that fetches them; the chip is the one that the certificates name, true or not. */
function manifestFields(report: GpuReport, certificates: readonly Buffer[]): readonly ExplainedField[] {
  const named = namedBy(certificates);
  if (named === undefined) {
    const note = 'which chip it is, only the certificate of the boot ROM says, and it is not there';
    return [{ name: 'manifests', value: '(not known)', note }];
  }
  try {
    const needed = neededManifests(named, gpuFacts(report, named));
    const ids = needed.map(({ servedAs }) => servedAs).join(',');
    const value = `portcullis collateral fetch --rim ${ids}`;
    return [
      ...needed.map(({ kind, servedAs }) => ({ name: kind, value: servedAs })),
      { name: 'to get them', value, note: 'with --data-dir of the broker, or --dir' },
    ];
  } catch (error) {
    return [{ name: 'manifests', value: '(not known)', note: noteOf(error), wrong: true }];
  }
}

function namedBy(certificates: readonly Buffer[]): NamedDevice | undefined {
  const chip = certificates.map((der) => BOOT_ROM.exec(commonName(der) ?? '')?.[1]).find((name) => name !== undefined);
  if (chip === undefined) return undefined;
  return { kind: chip.startsWith('LS') ? 'switch' : 'gpu', chip };
}

function commonName(der: Buffer): string | undefined {
  try {
    return onlyAttribute(parseCertificate(der).subject.attributes, COMMON_NAME);
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

function reportFields(report: GpuReport): readonly ExplainedField[] {
  return [
    { name: 'request.nonce', value: toHex(report.nonce), note: 'what the device was asked with' },
    { name: 'request.slot', value: String(report.slot), note: 'which of its certificate chains' },
    { name: 'response.nonce', value: toHex(report.responderNonce), note: 'chosen by the device' },
    { name: 'response.measurements', value: String(report.measurements.length) },
    {
      name: 'response.signature',
      value: toHex(report.signature),
      note: 'ECDSA P-384 with SHA-384, not looked at here',
    },
    ...(report.trailing === 0
      ? []
      : [{ name: 'trailing', value: `${String(report.trailing)} byte`, note: 'ignored, as some drivers write it' }]),
  ];
}

function opaqueField(type: number, value: Buffer): ExplainedField {
  const name = NAMES.get(type);
  if (name === undefined) return { name: `type ${String(type)}`, value: hexOr(value), note: 'not known here' };
  if (type === OPAQUE.vbiosVersion) return { name, ...bios(value) };
  const text = value.toString('latin1').replace(/\0+$/, '');
  if (TEXTS.has(type) && PRINTABLE.test(text)) return { name, value: text };
  const note = meaningOf(type, value);
  return { name, value: hexOr(value), ...(note === undefined ? {} : { note }) };
}

/** As NVIDIA prints it: of a GPU two words, of a switch text. */
function bios(value: Buffer): Omit<ExplainedField, 'name'> {
  const text = value.toString('latin1').replace(/\0+$/, '');
  if (PRINTABLE.test(text)) return { value: text.toUpperCase(), note: CLAIM_CASE };
  try {
    return { value: gpuBios(new Map([[OPAQUE.vbiosVersion, value]])).toUpperCase(), note: CLAIM_CASE };
  } catch (error) {
    return { value: hexOr(value), note: noteOf(error), wrong: true };
  }
}

function meaningOf(type: number, value: Buffer): string | undefined {
  const [first] = value;
  switch (type) {
    case OPAQUE.nvdec0Status:
    case OPAQUE.protectedPcie:
      if (first === FLAG_ON) return 'on';
      return first === FLAG_OFF ? 'off' : 'neither on nor off';
    case OPAQUE.featureFlag:
      return GPU_MODES[first ?? GPU_MODES.length] ?? 'a mode that is not known';
    case OPAQUE.fwid:
      return 'SHA-384 of the firmware that signed';
    case OPAQUE.switchPdi:
      return value.length === 8
        ? 'the number of the switch'
        : 'the switch at each link, byte by byte the other way round';
    case OPAQUE.gpuPdis:
      return 'the GPUs at the ports of the switch';
    default:
      return undefined;
  }
}

function certificateField(der: Buffer, place: number): ExplainedField {
  const name = place === 0 ? 'leaf' : `certificate ${String(place)}`;
  try {
    const { subject, serial } = parseCertificate(der);
    const common = onlyAttribute(subject.attributes, COMMON_NAME) ?? '(no name)';
    return { name, value: common, note: place === 0 ? `ueid ${BigInt(`0x${serial}`).toString()}` : `serial ${serial}` };
  } catch (error) {
    return { name, value: `${String(der.length)} bytes`, note: noteOf(error), wrong: true };
  }
}

function noteOf(error: unknown): string {
  if (error instanceof MalformedError) return error.message;
  throw error;
}

function hexOr(value: Buffer): string {
  return value.length === 0 ? '(empty)' : toHex(value);
}
