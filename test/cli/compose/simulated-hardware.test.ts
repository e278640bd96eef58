import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { simulatedHardware } from '../../../src/cli/compose/simulated-hardware.js';
import { parseCertificate } from '../../../src/crypto/x509.js';
import { PINNED_ROOTS } from '../../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { SAFE_HARDWARE_RULES } from '../../../src/evidence/appraise.js';
import { verifyGpus } from '../../../src/evidence/gpu/verify.js';
import { verifySnp } from '../../../src/evidence/snp/verify.js';
import { verifyTdx } from '../../../src/evidence/tdx/verify.js';
import type { Deployment } from '../../../src/policy/deployment.js';
import { SimulatedGpu } from '../../../src/simulator/gpu.js';
import { simulatedMakers } from '../../../src/simulator/makers.js';
import { SimulatedSnp } from '../../../src/simulator/snp.js';
import { SimulatedTd } from '../../../src/simulator/tdx.js';
import { TestBroker } from '../../helpers/test-broker.js';

const SEED = createHash('sha256').update('a broker').digest();
const NOW_MS = Date.UTC(2026, 10, 22);
const DAY_MS = 86_400_000;

/** Evidence of every kind, held against the makers at a time. */
function verdicts(hardware: ReturnType<typeof simulatedHardware>, atMs: number, requireCrls = true) {
  const { roots, collateral } = hardware;
  const trust = { roots, collateral, paths: new KnownPaths(64), atMs, requireCrls };
  const snp = new SimulatedSnp({ generation: 'Genoa', seed: SEED });
  const { chipId, reportedTcb: tcb } = snp.fields;
  const chip = hardware.certifyChip(snp.spki, { generation: 'Genoa', chipId, tcb });
  const nobody = simulatedMakers(Buffer.alloc(32));
  const td = new SimulatedTd(nobody.intel, { seed: SEED });
  const platform = hardware.certifyPlatform(parseCertificate(td.certificates[0]!).spki, td.ppid);
  const gpu = new SimulatedGpu(nobody.nvidiaDevices, { seed: SEED });
  const bootRom = hardware.certifyBootRom(parseCertificate(gpu.certificates[1]!).spki, gpu.pdi);
  const nonce = Buffer.alloc(32, 9);
  const results = [
    verifySnp({ report: snp.report(Buffer.alloc(64)), certificates: chip }, trust, SAFE_HARDWARE_RULES.snp),
    verifyTdx({ quote: td.quote(Buffer.alloc(64), { certificates: platform }) }, trust, SAFE_HARDWARE_RULES.tdx),
    verifyGpus([{ report: gpu.report(nonce), certificates: [gpu.certificates[0]!, ...bootRom] }], trust, {
      nonce,
      rules: SAFE_HARDWARE_RULES.gpus,
    }),
  ];
  return results.map((result) => (result.ok ? 'good' : result.reason));
}

describe('the makers of simulated hardware', () => {
  test('certify a chip, a platform and a GPU that whoever trusts them believes', () => {
    expect(
      verdicts(
        simulatedHardware(SEED, () => NOW_MS),
        NOW_MS,
      ),
    ).toEqual(['good', 'good', 'good']);
  });

  test('are the same in every process of a broker: what one has certified, another believes', () => {
    const [one, other] = [SEED, SEED].map((seed) => simulatedHardware(seed, () => NOW_MS));
    const mixed = { ...one!, roots: other!.roots, collateral: other!.collateral };
    expect(verdicts(mixed, NOW_MS)).toEqual(['good', 'good', 'good']);
  });

  test('are others in another broker, and nobody where they are not asked for', () => {
    const stranger = simulatedHardware(Buffer.alloc(32, 1), () => NOW_MS);
    const one = simulatedHardware(SEED, () => NOW_MS);
    const { roots, collateral } = stranger;
    expect(verdicts({ ...one, roots, collateral }, NOW_MS)).toEqual(['snp.chain', 'tdx.chain', 'gpu.chain']);
    expect(verdicts({ ...one, roots: PINNED_ROOTS, collateral: one.collateral }, NOW_MS)).toEqual([
      'snp.chain',
      'tdx.chain',
      'gpu.chain',
    ]);
  });

  test('publish collateral that is current whenever it is asked for, and the same object while it stays so', () => {
    let nowMs = NOW_MS;
    const hardware = simulatedHardware(SEED, () => nowMs);
    const seen = new Set([hardware.collateral]);
    for (let day = 0; day < 60; day++) {
      nowMs = NOW_MS + day * DAY_MS;
      expect(hardware.collateral).toBe(hardware.collateral);
      seen.add(hardware.collateral);
      for (const crl of hardware.collateral.crls) {
        expect([crl.thisUpdateMs <= nowMs, crl.nextUpdateMs > nowMs + 7 * DAY_MS]).toEqual([true, true]);
      }
    }
    expect(seen.size).toBeGreaterThan(2);
    expect(seen.size).toBeLessThan(10);
    expect(verdicts(hardware, nowMs)).toEqual(['good', 'good', 'good']);
  });
});

describe('a production broker', () => {
  let broker: TestBroker;
  beforeAll(async () => {
    broker = await TestBroker.start({ profile: 'production' });
  });
  afterAll(() => broker.close());

  test('has no such makers, and holds hardware against the pinned roots alone, whatever its store says of a deployment', () => {
    expect(broker.context.simulator).toBeUndefined();
    const attesters = { trust: ['simulator', 'cvm-report'] };
    const trust = broker.context.hardwareTrust({ attesters } as unknown as Deployment, Date.now());
    expect(trust.roots).toBe(PINNED_ROOTS);
    expect(trust.collateral.rims).toEqual([]);
  });
});
