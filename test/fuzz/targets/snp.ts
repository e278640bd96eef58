import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parseCertificate } from '../../../src/crypto/x509.js';
import { NO_COLLATERAL } from '../../../src/endorsement/collateral.js';
import { withSimulator } from '../../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { SAFE_SNP_RULES, type SnpEvidence } from '../../../src/evidence/snp/evidence.js';
import { explainSnp } from '../../../src/evidence/snp/explain.js';
import { parseSnpReport } from '../../../src/evidence/snp/report.js';
import { parseVek } from '../../../src/evidence/snp/vek.js';
import { verifySnp } from '../../../src/evidence/snp/verify.js';
import { makerRoots, simulatedMakers } from '../../../src/simulator/makers.js';
import { SimulatedSnp } from '../../../src/simulator/snp.js';
import type { FuzzTarget } from '../target.js';

const AT = Date.UTC(2026, 5, 1);
const DATES = { notBeforeMs: Date.UTC(2026, 0, 1), notAfterMs: Date.UTC(2033, 0, 1) };
const makers = simulatedMakers(Buffer.alloc(32, 1));
const trust = {
  roots: withSimulator(makerRoots(makers)),
  collateral: NO_COLLATERAL,
  paths: new KnownPaths(16),
  atMs: AT,
  requireCrls: false,
};
const machines = (['Milan', 'Genoa', 'Turin'] as const).map(
  (generation, index) => new SimulatedSnp({ generation, seed: Buffer.alloc(32, index + 1) }),
);
const [milan = new SimulatedSnp({ generation: 'Milan' })] = machines;
const reports = [
  ...machines.map((snp) => snp.report(Buffer.alloc(64, 0x5a))),
  milan.report(Buffer.alloc(64), { version: 2 }),
];
const vcek = milan.certificate(makers, DATES);
const vlek = milan.certificate(makers, { ...DATES, cspId: 'CN=cloud.example' });
const { ask } = makers.amd.Milan;
/** Of which no mutation may be believed. */
const genuine = new Set([...reports, vcek, ask.certificate].map((bytes) => bytes.toString('hex')));

/** What the parser gives; undefined where it refuses. Anything else that is thrown is a finding. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

function mustNotBelieve(input: Buffer, evidence: SnpEvidence): void {
  if (verifySnp(evidence, trust, SAFE_SNP_RULES).ok && !genuine.has(input.toString('hex'))) {
    throw new Error('changed evidence is believed');
  }
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'evidence/snp/report',
    seeds: reports,
    run: (input) => {
      parsed(() => parseSnpReport(input));
      parsed(() => explainSnp({ report: input, certificates: [vcek] }));
      mustNotBelieve(input, { report: input, certificates: [vcek] });
    },
  },
  {
    name: 'evidence/snp/vek',
    seeds: [vcek, vlek, ask.certificate],
    run: (input) => {
      const certificate = parsed(() => parseCertificate(input));
      if (certificate !== undefined) parsed(() => parseVek(certificate));
      const [report = Buffer.alloc(0)] = reports;
      parsed(() => explainSnp({ report, certificates: [input, input] }));
      mustNotBelieve(input, { report, certificates: [input] });
      mustNotBelieve(input, { report, certificates: [vcek, input] });
    },
  },
];
