import { randomBytes } from 'node:crypto';
import { toHex } from '../../bytes/hex.js';
import type { SimulatedAk } from '../../simulator/ak.js';
import type { SimulatedGpuOptions } from '../../simulator/gpu.js';
import { SimulatedSnp, type SimulatedSnpFields } from '../../simulator/snp.js';
import { SimulatedTpm } from '../../simulator/vtpm.js';
import { bootSimulatedMachine } from '../../workload/attesters/simulated-boot.js';
import type { SimulatedCvmOptions } from '../../workload/attesters/simulated-cvm.js';
import type { SimulatedPlatformOptions } from '../../workload/attesters/simulated-platform.js';
import type { SimulatorAttester } from '../../workload/attesters/simulator.js';
import type { Target } from './impostors.js';

/** A machine of the demo: an SEV-SNP machine with paravisor, vTPM and one H100. */
export interface ConfidentialMachine {
  readonly attester: SimulatorAttester;
  /** Hex. */
  readonly chipId: string;
  readonly gpuPdi: string;
  /** What its reports say. */
  readonly fields: SimulatedSnpFields;
  /** Starts it again as the deployment expects, but for what is said. */
  restart(change: RestartChange): Promise<SimulatorAttester>;
}

export interface RestartChange {
  readonly snp?: Partial<SimulatedSnpFields>;
  readonly gpu?: SimulatedGpuOptions;
  readonly namedAk?: SimulatedAk;
}

/** Starts a machine as the deployment expects it. */
export async function startConfidentialMachine({ transport, deployment }: Target): Promise<ConfidentialMachine> {
  const seed = randomBytes(32);
  const pdi = randomBytes(8);
  const tpm = new SimulatedTpm();
  const kept = { tpm, ak: await tpm.createAk({ scheme: 'rsassa' }) };
  const cvm: SimulatedCvmOptions = { kind: 'hcl-snp', seed };
  const boot = async ({ snp = {}, gpu = {}, namedAk }: RestartChange): Promise<SimulatorAttester> => {
    const named = namedAk === undefined ? {} : { namedAk: namedAk.spki };
    const platform: SimulatedPlatformOptions = { seed, cvm: { ...cvm, snp, ...named }, gpus: [{ pdi, ...gpu }] };
    return bootSimulatedMachine(transport, deployment, { kept, ...platform });
  };
  const { fields } = new SimulatedSnp({ generation: 'Milan', seed });
  return {
    attester: await boot({}),
    chipId: toHex(fields.chipId),
    gpuPdi: toHex(pdi),
    fields,
    restart: async (change) => {
      tpm.powerCycle();
      return boot(change);
    },
  };
}
