import { toHex } from '../../bytes/hex.js';
import { SimulatedTpm } from '../../simulator/vtpm.js';
import type { Attester } from '../../workload/attester.js';
import { SimulatorAttester } from '../../workload/attesters/simulator.js';
import { DEFAULT_AK_HANDLE, Tpm2ToolsAttester } from '../../workload/attesters/tpm2-tools.js';
import { startSwtpm } from './swtpm.js';

/** A machine of the demo: a TPM with two AKs, the first of which will be pinned. */
export interface Machine {
  readonly name: string;
  /** Quotes with the first AK. */
  readonly attester: Attester;
  /** Quotes with the second AK, which nobody vouches for. */
  readonly stranger: Attester;
  /** TPM2B_PUBLIC of the first AK. */
  readonly akPublic: Buffer;
  /** Extends the SHA-256 bank of a PCR. */
  extend(pcr: number, digest: Buffer): Promise<void>;
  close(): Promise<void>;
}

/** A TPM in this process: genuine wire structures, signed by software keys. */
export async function simulatedMachine(): Promise<Machine> {
  const tpm = new SimulatedTpm();
  const ak = await tpm.createAk({ scheme: 'rsassa' });
  const other = await tpm.createAk({ scheme: 'ecdsa-p256' });
  return {
    name: 'simulated vTPM',
    attester: new SimulatorAttester(tpm, ak),
    stranger: new SimulatorAttester(tpm, other),
    akPublic: ak.tpm2bPublic,
    extend: async (pcr, digest) => tpm.extend('sha256', pcr, digest),
    close: async () => undefined,
  };
}

/** A fresh swtpm, driven by tpm2-tools: the code path of a real TPM. */
export async function swtpmMachine(): Promise<Machine> {
  const swtpm = await startSwtpm();
  try {
    const attester = new Tpm2ToolsAttester({ tcti: swtpm.tcti });
    const stranger = new Tpm2ToolsAttester({ tcti: swtpm.tcti, akHandle: DEFAULT_AK_HANDLE + 1, scheme: 'ecdsa-p256' });
    const { tpm2bPublic } = await attester.ensureAk();
    await stranger.ensureAk();
    return {
      name: `swtpm at ${swtpm.tcti}`,
      attester,
      stranger,
      akPublic: tpm2bPublic,
      extend: (pcr, digest) => attester.extendPolicy('sha256', pcr, digest),
      close: () => swtpm.close(),
    };
  } catch (error) {
    await swtpm.close();
    throw error;
  }
}

/** First and last digits of a long hex value, for people. */
export function short(bytes: Buffer | string): string {
  const hex = typeof bytes === 'string' ? bytes : toHex(bytes);
  return hex.length <= 24 ? hex : `${hex.slice(0, 12)}…${hex.slice(-8)}`;
}
