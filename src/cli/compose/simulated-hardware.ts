import { parseCrl } from '../../crypto/x509-crl.js';
import type { Collateral } from '../../endorsement/collateral.js';
import { type HardwareRoots, withSimulator } from '../../endorsement/hardware-roots.js';
import type { SimulatedHardware } from '../../release/context.js';
import { issueCrl } from '../../simulator/certificate.js';
import { SIMULATED_DRIVER, SIMULATED_VBIOS } from '../../simulator/gpu.js';
import { issueGpuCertificates } from '../../simulator/gpu-certificates.js';
import { simulatedGpuReference } from '../../simulator/gpu-reference.js';
import { makerRoots, SIMULATED_GENERATIONS, simulatedMakers, type SimulatedMakers } from '../../simulator/makers.js';
import { issueRim } from '../../simulator/rim.js';
import { issueVek } from '../../simulator/snp-vek.js';
import { HW_ID_BYTES } from '../../evidence/snp/constants.js';
import { simulatedIntelCollateral } from '../../simulator/tdx-collateral.js';
import { issuePck } from '../../simulator/tdx-pck.js';

const DAY_MS = 86_400_000;
/** Simulated collateral is made anew this often, and good for longer. */
const PERIOD_MS = 14 * DAY_MS;
/** Of CRLs, from a day before the period on; Intel's documents are good for as long. */
const CRL_DAYS = 29;
const CERTIFICATE_LIFE_MS = 30 * DAY_MS;
const CHIP = 'GH100';

interface Made {
  readonly makers: SimulatedMakers;
  readonly roots: HardwareRoots;
  readonly rims: readonly Buffer[];
}

/**
 * The makers of simulated hardware that follow from a seed of 32 bytes: all workers and replicas of a broker have the same. Nothing is made
 * before it is first used: most brokers of the development profile never see a simulated machine.
 */
export function simulatedHardware(seed: Buffer, clock: () => number): SimulatedHardware {
  let made: Made | undefined;
  const use = () => (made ??= makeAll(seed));
  let published: { readonly startMs: number; readonly collateral: Collateral } | undefined;
  const validity = () => ({ notBeforeMs: clock() - 60_000, notAfterMs: clock() + CERTIFICATE_LIFE_MS });
  return {
    get roots() {
      return use().roots;
    },
    get collateral() {
      const startMs = Math.floor(clock() / PERIOD_MS) * PERIOD_MS;
      const { makers, rims } = use();
      if (published?.startMs !== startMs) published = { startMs, collateral: publish(makers, rims, startMs) };
      return published.collateral;
    },
    certifyChip: (spki, { generation, chipId, tcb }) => {
      const cas = use().makers.amd[generation];
      const hwId = chipId.subarray(0, HW_ID_BYTES[generation]);
      const vcek = issueVek(cas, { generation, spki, kind: 'VCEK', tcb, hwId, ...validity() });
      return [vcek, cas.ask.certificate];
    },
    certifyPlatform: (spki, ppid) => {
      const { intel } = use().makers;
      // Without the root: signatures are random, so each process has another certificate for the same key of the root.
      return [issuePck(intel, { spki, ppid, ...validity() }), intel.pckCa.certificate];
    },
    certifyBootRom: (spki, pdi) => {
      const { nvidiaDevices } = use().makers;
      // The leaf is the boot ROM's to issue: the one that is made here is thrown away, whoever signs it.
      const bootRom = { key: nvidiaDevices.provisioner.key, spki };
      const draft = { chip: CHIP, pdi, bootRom, leafSpki: spki, fwid: undefined } as const;
      // Without the root too, as above: a copy of another process is a stranger's certificate.
      return issueGpuCertificates(nvidiaDevices, draft).slice(1, -1);
    },
  };
}

function makeAll(seed: Buffer): Made {
  const makers = simulatedMakers(seed);
  const firmware = { chip: CHIP, driverVersion: SIMULATED_DRIVER, vbiosVersion: SIMULATED_VBIOS } as const;
  const rims = simulatedGpuReference(firmware).map((rim) => issueRim(makers.nvidiaRims, rim));
  return { makers, roots: withSimulator(makerRoots(makers)), rims };
}

function publish(makers: SimulatedMakers, rims: readonly Buffer[], startMs: number): Collateral {
  const intel = simulatedIntelCollateral(makers.intel, startMs);
  const dates = { thisUpdateMs: startMs - DAY_MS, nextUpdateMs: startMs + CRL_DAYS * DAY_MS };
  const amd = SIMULATED_GENERATIONS.map((generation) => issueCrl(makers.amd[generation].ark, { ...dates, number: 1 }));
  return {
    crls: [...amd, ...intel.crls].map(parseCrl),
    tcbInfos: intel.tcbInfos,
    qeIdentities: intel.qeIdentities,
    rims,
  };
}
