import { createHash } from 'node:crypto';
import { DICE_COMPOSITE_DEVICE_ID, DICE_TCB_INFO } from '../evidence/gpu/constants.js';
import {
  caConstraints,
  caUsage,
  type CertificateDraft,
  extension,
  issueCertificate,
  signingUsage,
  simulatorName,
  type SimulatedIssuer,
  subordinate,
} from './certificate.js';
import { context, integer, octetString, oid, primitive, sequence, set, utf8String } from './der.js';
import type { SimulatedMakers } from './makers.js';

/** Chips that are simulated: a Hopper GPU, Blackwell GPUs for data centres and workstations, and the switch of Hopper machines. */
export type SimulatedChip = 'GH100' | 'GB100' | 'GB20X' | 'LS_10';

/** What the certificates of a device say. */
export interface GpuCertificatesDraft {
  readonly chip: SimulatedChip;
  /** 8 bytes: the number fused into the device. */
  readonly pdi: Buffer;
  /** Of the boot ROM, which certifies the leaf. */
  readonly bootRom: Pick<SimulatedIssuer, 'key' | 'spki'>;
  /** SubjectPublicKeyInfo (DER) of the key that signs reports. */
  readonly leafSpki: Buffer;
  /** Of the leaf: NVIDIA's ueid. Default: it follows from the leaf's key, as genuine ones do. */
  readonly serial?: bigint;
  /** SHA-384 of the firmware that holds the leaf's key; undefined: no extension names it. */
  readonly fwid: Buffer | undefined;
}

const NOT_BEFORE_MS = Date.UTC(2020, 9, 17);
/** As genuine ones: no end. */
const NOT_AFTER_MS = Date.UTC(9999, 11, 31, 23, 59, 59);

const SHA_384 = '2.16.840.1.101.3.4.2.2';
const SERIAL_NUMBER = '2.5.4.5';
/** What stands before the PDI in the names of boot ROMs. */
const CHIP_BYTE: Readonly<Record<SimulatedChip, string>> = { GH100: '41', GB100: '41', GB20X: '41', LS_10: '50' };

/** The chain (DER) of a device in the layout of NVIDIA's: leaf, boot ROM, provisioner, identity, root. */
export function issueGpuCertificates(
  makers: SimulatedMakers['nvidiaDevices'],
  draft: GpuCertificatesDraft,
): readonly Buffer[] {
  const bootRom = subordinate(makers.provisioner, bootRomName(draft), 'P-384', draft.bootRom, {
    serial: BigInt(`0x01${draft.pdi.toString('hex')}`),
    notBeforeMs: NOT_BEFORE_MS,
    notAfterMs: NOT_AFTER_MS,
    extensions: [caConstraints(), caUsage()],
  });
  const leaf = issueCertificate(bootRom, leafDraft(draft));
  return [leaf, bootRom.certificate, ...[makers.provisioner, makers.identity, makers.root].map((ca) => ca.certificate)];
}

function leafDraft({ chip, bootRom, leafSpki, serial, fwid }: GpuCertificatesDraft): CertificateDraft {
  const number = serial ?? ueidOf(leafSpki);
  return {
    subject: deviceName(`${partOf(chip)} FMC LF`, number.toString(16).toUpperCase()),
    spki: leafSpki,
    serial: number,
    notBeforeMs: NOT_BEFORE_MS,
    notAfterMs: NOT_AFTER_MS,
    extensions: [signingUsage(), ...(fwid === undefined ? [] : [firmwareExtension(chip, bootRom.spki, fwid)])],
  };
}

function bootRomName({ chip, pdi }: GpuCertificatesDraft): Buffer {
  return deviceName(`${partOf(chip)} BROM`, `${CHIP_BYTE[chip]}${pdi.toString('hex').toUpperCase()}`);
}

function partOf(chip: SimulatedChip): string {
  return `${chip} A01 ${chip === 'LS_10' ? 'FSP' : 'GSP'}`;
}

/** The simulator's name with a serialNumber before it. */
function deviceName(commonName: string, serialNumber: string): Buffer {
  const named = simulatorName(commonName);
  // Shorter than 128 bytes: identifier and length are one byte each.
  return sequence(set(sequence(oid(SERIAL_NUMBER), utf8String(serialNumber))), named.subarray(2));
}

/** 20 bytes of the hash of the key, positive. */
function ueidOf(leafSpki: Buffer): bigint {
  const bytes = createHash('sha256').update(leafSpki).digest().subarray(0, 20);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return BigInt(`0x${bytes.toString('hex')}`);
}

/** Hopper and LS10 name the key of the device and one firmware, Blackwell two firmwares, the second of zeros. */
function firmwareExtension(chip: SimulatedChip, deviceSpki: Buffer, fwid: Buffer): Buffer {
  const id = (digest: Buffer) => sequence(oid(SHA_384), octetString(digest));
  if (!chip.startsWith('GB')) {
    return extension(DICE_COMPOSITE_DEVICE_ID, false, sequence(integer(1), deviceSpki, id(fwid)));
  }
  const text = (number: number, value: string) => primitive(number, Buffer.from(value));
  const info = sequence(text(0, 'NVIDIA'), text(1, partOf(chip)), context(6, id(fwid), id(Buffer.alloc(48))));
  return extension(DICE_TCB_INFO, false, info);
}
