/** Simulated guests under simulated makers, and the trust that believes them. */
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { type HardwareTrust, NO_COLLATERAL } from '../../../src/endorsement/collateral.js';
import { withSimulator } from '../../../src/endorsement/hardware-roots.js';
import { SAFE_SNP_RULES, type SnpEvidence, type SnpRules } from '../../../src/evidence/snp/evidence.js';
import { verifySnp } from '../../../src/evidence/snp/verify.js';
import { makerRoots, simulatedMakers, type SimulatedGeneration } from '../../../src/simulator/makers.js';
import { SimulatedSnp, type SimulatedSnpFields } from '../../../src/simulator/snp.js';

export const AT = Date.UTC(2026, 10, 21);
export const DATES = { notBeforeMs: Date.UTC(2026, 0, 1), notAfterMs: Date.UTC(2033, 0, 1) };
export const CSP = 'CN=cc-us-east-2.amazonaws.com';
export const REPORT_DATA = Buffer.alloc(64, 0x5a);

export const MAKERS = simulatedMakers(Buffer.alloc(32, 7));
export const ROOTS = withSimulator(makerRoots(MAKERS));

const GUESTS = new Map<string, SimulatedSnp>();

/** The same machine for the same generation and number. */
export function guest(generation: SimulatedGeneration = 'Milan', number = 1): SimulatedSnp {
  const name = `${generation} ${String(number)}`;
  const made = GUESTS.get(name) ?? new SimulatedSnp({ generation, seed: Buffer.alloc(32, number) });
  GUESTS.set(name, made);
  return made;
}

export function trust(changes: Partial<HardwareTrust> = {}): HardwareTrust {
  return {
    roots: ROOTS,
    collateral: NO_COLLATERAL,
    paths: new KnownPaths(16),
    atMs: AT,
    requireCrls: false,
    ...changes,
  };
}

/** A good report of a machine, but for these fields, with its VCEK alone. */
export function evidenceOf(
  fields: Partial<SimulatedSnpFields> = {},
  generation: SimulatedGeneration = 'Milan',
): SnpEvidence {
  const snp = guest(generation);
  return { report: snp.report(REPORT_DATA, fields), certificates: [snp.certificate(MAKERS, DATES)] };
}

/** The same with a VLEK. */
export function vlekEvidenceOf(fields: Partial<SimulatedSnpFields> = {}): SnpEvidence {
  const snp = guest();
  const report = snp.report(REPORT_DATA, { signingKey: 1, chipId: Buffer.alloc(64), ...fields });
  return { report, certificates: [snp.certificate(MAKERS, { ...DATES, cspId: CSP })] };
}

/** `good`, or the code of the refusal. */
export function codeOf(evidence: SnpEvidence, rules: Partial<SnpRules> = {}, under = trust()): string {
  const result = verifySnp(evidence, under, { ...SAFE_SNP_RULES, ...rules });
  return result.ok ? 'good' : result.reason;
}
