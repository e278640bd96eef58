/** Real reports with their certificates, where those vectors are at hand. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pemBlocks } from '../../../src/crypto/pem.js';
import { type Collateral, type HardwareTrust, NO_COLLATERAL } from '../../../src/endorsement/collateral.js';
import { PINNED_ROOTS } from '../../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import type { SnpEvidence } from '../../../src/evidence/snp/evidence.js';

export const VECTORS = join(import.meta.dirname, '../../../../shared/vectors/snp');
export const present = existsSync(VECTORS);
/** The clock of README.md. */
export const AT = Date.UTC(2026, 10, 21);

export function fileOf(name: string): Buffer {
  return readFileSync(join(VECTORS, name));
}

/** Every certificate of a file, PEM or DER. */
export function certificatesIn(name: string): Buffer[] {
  const bytes = fileOf(name);
  return bytes[0] === 0x30 ? [bytes] : pemBlocks(bytes.toString('latin1'), 'CERTIFICATE', 16, 8192);
}

const REPORTS: Readonly<Record<string, string>> = {
  'trustee-e2e': 'trustee-e2e/report.reconstructed.bin',
  'trustee-milan-vcek': 'trustee-milan-vcek/report.bin',
  'trustee-milan-vlek': 'trustee-milan-vlek/report.bin',
  'virtee-milan': 'virtee-milan/report.hex',
  'aci-sidecar': 'aci-sidecar/snp_report.bin',
  dstack: 'dstack/report.extracted.bin',
};
const LEAVES: Readonly<Record<string, string>> = {
  'trustee-e2e': 'trustee-e2e/vcek.der',
  'trustee-milan-vcek': 'trustee-milan-vcek/vcek.der',
  'trustee-milan-vlek': 'trustee-milan-vlek/vlek.der',
  'virtee-milan': 'virtee-milan/vcek.der',
  'aci-sidecar': 'aci-sidecar/uvm_host_amd_certificate.pem',
};

/** The report of a set with its leaf alone. */
export function vector(name: string): SnpEvidence {
  const file = REPORTS[name] ?? `${name}/attestation_report.bin`;
  const bytes = fileOf(file);
  const report = file.endsWith('.hex') ? Buffer.from(bytes.toString('latin1').trim(), 'hex') : bytes;
  return { report, certificates: certificatesIn(LEAVES[name] ?? `${name}/vcek.pem`).slice(0, 1) };
}

export function trustAt(atMs: number, collateral: Partial<Collateral> = {}): HardwareTrust {
  return {
    roots: PINNED_ROOTS,
    collateral: { ...NO_COLLATERAL, ...collateral },
    paths: new KnownPaths(16),
    atMs,
    requireCrls: false,
  };
}
