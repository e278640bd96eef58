import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { NO_COLLATERAL, type HardwareTrust } from '../../../src/endorsement/collateral.js';
import { withSimulator } from '../../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import type { GpuEvidence } from '../../../src/evidence/gpu/evidence.js';
import { explainGpu } from '../../../src/evidence/gpu/explain.js';
import { parseGpuReport } from '../../../src/evidence/gpu/report.js';
import { verifyGpus } from '../../../src/evidence/gpu/verify.js';
import { SimulatedGpu } from '../../../src/simulator/gpu.js';
import { makerRoots, simulatedMakers } from '../../../src/simulator/makers.js';
import { issueRim } from '../../../src/simulator/rim.js';
import type { FuzzTarget } from '../target.js';

const NONCE = Buffer.alloc(32, 1);
const makers = simulatedMakers(Buffer.alloc(32, 2));
const gpu = new SimulatedGpu(makers.nvidiaDevices);
const relay = new SimulatedGpu(makers.nvidiaDevices, { chip: 'LS_10', linkedTo: [gpu.pdi] });
const trust: HardwareTrust = {
  roots: withSimulator(makerRoots(makers)),
  collateral: { ...NO_COLLATERAL, rims: gpu.reference().map((rim) => issueRim(makers.nvidiaRims, rim)) },
  paths: new KnownPaths(16),
  atMs: Date.UTC(2026, 5, 1),
  requireCrls: false,
};
const sound = gpu.evidence(NONCE);
/** How many certificates stand below the root. */
const BELOW_ROOT = 4;

function isAccepted(evidence: GpuEvidence): boolean {
  return verifyGpus([evidence], trust, { nonce: NONCE, rules: { count: 1, debug: false } }).ok;
}

/** The place of the certificate that has most bytes in common: the one that it was made of. */
function placeOf(input: Buffer): number {
  const common = sound.certificates
    .slice(0, BELOW_ROOT)
    .map((der) => der.filter((byte, at) => byte === input[at]).length);
  return common.indexOf(Math.max(...common));
}

if (!isAccepted(sound)) throw new Error('the seed is not accepted');

export const targets: readonly FuzzTarget[] = [
  {
    name: 'evidence/gpu/report',
    seeds: [sound.report, relay.report(NONCE)],
    run: (input) => {
      explainGpu({ report: input, certificates: [] }, 0);
      try {
        const { signed, signature, trailing } = parseGpuReport(input);
        if (signed.length + signature.length + trailing !== input.length) throw new Error('bytes that nobody read');
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
      }
    },
  },
  {
    name: 'evidence/gpu/verify',
    seeds: [sound.report],
    run: (input) => {
      // One byte behind the report is ignored.
      const isSound =
        input.subarray(0, sound.report.length).equals(sound.report) && input.length <= sound.report.length + 1;
      if (!isSound && isAccepted({ ...sound, report: input })) throw new Error('a changed report is accepted');
    },
  },
  {
    name: 'evidence/gpu/chain',
    seeds: sound.certificates.slice(0, BELOW_ROOT),
    run: (input) => {
      const place = placeOf(input);
      if (sound.certificates[place]?.equals(input) === true) return;
      const certificates = sound.certificates.map((der, at) => (at === place ? input : der));
      if (isAccepted({ ...sound, certificates })) throw new Error('a changed certificate is accepted');
    },
  },
];
