/** Simulated machines, a confidential VM with a TPM and devices under one challenge, and somebody who believes in their makers. */
import { createHash } from 'node:crypto';
import { quoteBinding } from '../../src/challenge/binding.js';
import { parseCrl } from '../../src/crypto/x509-crl.js';
import { NO_COLLATERAL, type HardwareTrust } from '../../src/endorsement/collateral.js';
import { withSimulator } from '../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../src/endorsement/known-paths.js';
import type { Evidence } from '../../src/evidence/evidence.js';
import type { GpuEvidence } from '../../src/evidence/gpu/evidence.js';
import { parseAk } from '../../src/evidence/tpm/ak.js';
import type { TpmEvidence } from '../../src/evidence/tpm/evidence.js';
import { expectedField, type PolicyField } from '../../src/policy/policy-hash.js';
import { SimulatedGpu } from '../../src/simulator/gpu.js';
import { simulatedHclReport } from '../../src/simulator/hcl.js';
import { makerRoots, simulatedMakers } from '../../src/simulator/makers.js';
import { issueRim } from '../../src/simulator/rim.js';
import { SimulatedSnp } from '../../src/simulator/snp.js';
import { simulatedIntelCollateral } from '../../src/simulator/tdx-collateral.js';
import { SimulatedTd } from '../../src/simulator/tdx.js';
import { NO_EVIDENCE } from '../../src/cli/evidence/evidence-file.js';
import { encodePublicArea } from '../evidence/tpm/encode.js';
import { eccAk, pcrValue, rsaAk, type SoftwareAk, softwareQuote } from '../evidence/tpm/software-quote.js';

export const AT_MS = Date.UTC(2026, 10, 22);
const YEAR_MS = 365 * 86_400_000;
const makers = simulatedMakers(Buffer.alloc(32, 9));
export const BASE = createHash('sha256').update('a binding').digest();
export const AK = eccAk('P-256', 'sha256', 'of the machine');

const firmware = [new SimulatedGpu(makers.nvidiaDevices), new SimulatedGpu(makers.nvidiaDevices, { chip: 'LS_10' })];
const rims = firmware.flatMap((device) => device.reference()).map((rim) => issueRim(makers.nvidiaRims, rim));

export function believing(): HardwareTrust {
  const intel = simulatedIntelCollateral(makers.intel, AT_MS);
  const collateral = { ...NO_COLLATERAL, ...intel, crls: intel.crls.map((crl) => parseCrl(crl)), rims };
  return {
    roots: withSimulator(makerRoots(makers)),
    collateral,
    paths: new KnownPaths(64),
    atMs: AT_MS,
    requireCrls: false,
  };
}

export function spkiOf(ak: SoftwareAk): Buffer {
  const parsed = parseAk(encodePublicArea(ak.area));
  if (!parsed.ok) throw new Error(parsed.detail);
  return parsed.value.spki;
}

export function device(number: number, nonce = BASE, options: object = {}): GpuEvidence {
  return new SimulatedGpu(makers.nvidiaDevices, { seed: Buffer.alloc(32, number), ...options }).evidence(nonce);
}

/** What the machines have measured into PCR 8, and their hosts into HOST_DATA and MRCONFIGID, as it should be. */
export const POLICY_SHA256 = createHash('sha256').update('a runtime policy').digest('hex');
const PCRS = {
  '0': pcrValue('sha256', 0),
  '4': pcrValue('sha256', 4),
  '8': createHash('sha256').update(Buffer.alloc(32)).update(POLICY_SHA256, 'hex').digest('hex'),
};

/** A quote whose extraData is the binding over the base and the devices. */
export function quoted(extraData: Buffer, ak: SoftwareAk = AK): TpmEvidence {
  const pcrDigest = createHash('sha256').update(Object.values(PCRS).join(''), 'hex').digest();
  const quote = softwareQuote(ak, { extraData, body: { pcrDigest } });
  return { ...quote, pcrs: { sha256: PCRS }, akCertificates: [] };
}

/** Base, then the SHA-256 of the AK; null: there is no TPM. */
export function reportData(base = BASE, ak: SoftwareAk | null = AK): Buffer {
  const second = ak === null ? Buffer.alloc(32) : createHash('sha256').update(spkiOf(ak)).digest();
  return Buffer.concat([base, second]);
}

const measuredIn = (field: PolicyField) => Buffer.from(expectedField(field, POLICY_SHA256), 'hex');
const snp = new SimulatedSnp({ generation: 'Genoa', seed: Buffer.alloc(32, 1) }).set({
  hostData: measuredIn('snp.host_data'),
});
const vcek = snp.certificate(makers, { notBeforeMs: AT_MS - YEAR_MS, notAfterMs: AT_MS + YEAR_MS });

export function snpEvidence(data = reportData()): Pick<Evidence, 'snp'> {
  return { snp: { report: snp.report(data), certificates: [vcek] } };
}

export function tdxEvidence(data = reportData(), version: 4 | 5 = 4): Pick<Evidence, 'tdx'> {
  const td = new SimulatedTd(makers.intel, { seed: Buffer.alloc(32, 2), version });
  return { tdx: { quote: td.quote(data, { body: { mrConfigId: measuredIn('tdx.mrconfigid') } }) } };
}

/** An Azure machine: the AK stands in the runtime data alone. */
const azureAk = rsaAk();
export function hclMachine(extraData: Buffer): Pick<Evidence, 'hcl' | 'tpm'> {
  const hardware = { kind: 'snp', report: (data: Buffer) => snp.report(data) } as const;
  const report = simulatedHclReport({ akSpki: spkiOf(azureAk), ekSpki: spkiOf(rsaAk()), hardware });
  return {
    hcl: { report, certificates: [vcek], quote: undefined },
    tpm: { ...quoted(extraData, azureAk), ak: undefined, namedSpki: spkiOf(azureAk) },
  };
}

/** SEV-SNP, a TPM and devices, all of them under one base. */
export function machine(gpus: readonly GpuEvidence[] = [device(3)]): Evidence {
  const tpm = quoted(
    quoteBinding(
      BASE,
      gpus.map(({ report }) => report),
    ),
  );
  return { ...NO_EVIDENCE, ...snpEvidence(), tpm, gpus };
}
