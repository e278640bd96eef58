/** Genuine NVIDIA evidence and manifests, where those vectors are at hand. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from '@jest/globals';
import { pemBlocks } from '../../../src/crypto/pem.js';
import { NO_COLLATERAL, type HardwareTrust } from '../../../src/endorsement/collateral.js';
import { PINNED_ROOTS } from '../../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import type { GpuEvidence } from '../../../src/evidence/gpu/evidence.js';

const VECTORS = join(import.meta.dirname, '../../../../shared/vectors/gpu');
export const present = existsSync(join(VECTORS, 'expected.json'));
export const describeWithVectors = present ? describe : describe.skip;

/** What is known of one piece of evidence. */
export interface Expected {
  readonly len: number;
  readonly nonceReq: string;
  readonly blocks: number;
  readonly trailing: number;
  readonly driver?: string;
  readonly vbios: string;
  readonly project?: string;
  readonly projectSku?: string;
  readonly chipSku?: string;
  readonly nvdec0?: string;
  readonly fwid?: string;
  readonly ppcie?: string;
  readonly featureFlag?: string;
  readonly chainCNs: readonly string[];
  readonly leafSerial: string;
  readonly ueidDecimal: string;
  readonly meas1: string;
  readonly meas10: string;
}

export const bytesOf = (file: string): Buffer => readFileSync(join(VECTORS, file));

export const expected = (present ? JSON.parse(bytesOf('expected.json').toString()) : {}) as Readonly<
  Record<string, Expected | readonly Expected[]>
>;

const chain = (pem: Buffer) => pemBlocks(pem.toString('latin1'), 'CERTIFICATE', 16, 8192);

/** A report in hex, with or without words before it, and its chain in PEM. */
export function evidenceIn(report: string, certificates: string): GpuEvidence {
  const hex = bytesOf(report)
    .toString('latin1')
    .replace(/\s/g, '')
    .replace(/^.*?(?=11e0)/, '');
  return { report: Buffer.from(hex, 'hex'), certificates: chain(bytesOf(certificates)) };
}

/** A list as NVIDIA's tools write it. */
export function evidenceList(file: string): readonly GpuEvidence[] {
  const list = JSON.parse(bytesOf(file).toString()) as readonly { certificate: string; evidence: string }[];
  return list.map(({ certificate, evidence }) => ({
    report: Buffer.from(evidence, 'base64'),
    certificates: chain(Buffer.from(certificate, 'base64')),
  }));
}

export function trustAt(time: string, rims: readonly string[] = []): HardwareTrust {
  return {
    roots: PINNED_ROOTS,
    collateral: { ...NO_COLLATERAL, rims: rims.map(bytesOf) },
    paths: new KnownPaths(64),
    atMs: Date.parse(time),
    requireCrls: false,
  };
}

const SAMPLES = 'nvat/testdata/sample_attestation_data';
export const LISTS = {
  hopper: 'nvat/common/serialized_test_evidence/hopper_evidence.json',
  hopperHold: 'nvat/common/serialized_test_evidence/hopper_evidence_cert_hold.json',
  multiHopper: 'nvat/common/serialized_test_evidence/multi_gpu_hopper.json',
  switch: 'nvat/common/serialized_test_evidence/switch_evidence_ls10.json',
  multiSwitch: 'nvat/common/serialized_test_evidence/multi_switch_ls10.json',
  hopper590: 'nvat/testdata/evidence_hopper_590_12.json',
  ppcieGpus: 'nvtrust-ppcie/gpu_evidence.json',
  ppcieSwitches: 'nvtrust-ppcie/switch_evidence.json',
} as const;

export const RIMS = {
  driver550: 'nvat/testdata/NV_GPU_DRIVER_GH100_550.144.03.xml',
  vbios5e01: 'vbios-rims/1010_0200_882_96005E0001_PROD.swidtag',
  vbios5e01Other: 'nvat/testdata/sample_rims/NV_GPU_VBIOS_1010_0200_882_96005E0001_measurement_mismatch.xml',
  switch55: 'nvat/testdata/switchVBIOSRim_NV_SWITCH_BIOS_5612_0002_890_9610550001.xml',
  switch55Invalid: 'nvat/testdata/sample_rims/NV_SWITCH_BIOS_5612_0002_890_9610550001_invalid_signature.xml',
  switch55Edited: 'nvat/testdata/sample_rims/NV_SWITCH_BIOS_5612_0002_890_9610550001_measurement_mismatch.xml',
} as const;

/** By the names that expected.json has for them. */
export const single: Readonly<Record<string, () => GpuEvidence>> = {
  'nvtrust-hopper': () =>
    evidenceIn('nvtrust-hopper/hopperAttestationReport.txt', 'nvtrust-hopper/hopperCertChain.txt'),
  'nvat-hopper': () => evidenceIn(`${SAMPLES}/gpu/hopperAttestationReport.txt`, `${SAMPLES}/gpu/hopperCertChain.txt`),
  'nvat-hopper-Expired': () =>
    evidenceIn(`${SAMPLES}/gpu/hopperAttestationReportExpired.txt`, `${SAMPLES}/gpu/hopperCertChainExpired.txt`),
  'nvat-blackwell': () =>
    evidenceIn(`${SAMPLES}/gpu/blackwellAttestationReport.txt`, `${SAMPLES}/gpu/blackwellCertChain.txt`),
  'nvat-LS10-switch': () =>
    evidenceIn(`${SAMPLES}/switch/switchAttestationReport.txt`, `${SAMPLES}/switch/switchCertChain.txt`),
  'nvat-testdata-hopper': () =>
    evidenceIn('nvat/testdata/hopperAttestationReport.txt', 'nvat/testdata/hopperCertChain.txt'),
};

export const invalid: Readonly<Record<string, () => GpuEvidence>> = {
  gpu: () =>
    evidenceIn(`${SAMPLES}/gpu/hopperAttestationReportInvalidSignature.txt`, `${SAMPLES}/gpu/hopperCertChain.txt`),
  switch: () =>
    evidenceIn(
      `${SAMPLES}/switch/switchAttestationReportInvalidSignature.txt`,
      `${SAMPLES}/switch/switchCertChain.txt`,
    ),
};
