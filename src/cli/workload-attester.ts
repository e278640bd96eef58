import { sha256 } from '../crypto/digest.js';
import type { Decision } from '../policy/decision.js';
import type { EkAlgorithm } from '../simulator/ek.js';
import type { EnrollingAttester, PlatformAttester } from '../workload/attester.js';
import { bootSimulatedMachine, bootSimulatedPlatform } from '../workload/attesters/simulated-boot.js';
import type { SimulatedCvmKind } from '../workload/attesters/simulated-cvm-kinds.js';
import type { SimulatedPlatformOptions } from '../workload/attesters/simulated-platform.js';
import type { SimulatorAttester } from '../workload/attesters/simulator.js';
import { Tpm2ToolsAttester } from '../workload/attesters/tpm2-tools.js';
import { AttesterError, BrokerAnswerError, BrokerUnreachableError, ReleaseDeniedError } from '../workload/errors.js';
import type { Transport } from '../workload/transport.js';
import { UnreachableError, type Refusal } from './outcome.js';
import { keptTpm } from './simulated-tpm.js';
import type { TpmChoice } from './tpm-option.js';

/** What attests, and by which of its keys. */
export interface AttesterWish {
  readonly tpm: TpmChoice;
  readonly akHandle?: number;
  readonly ek?: EkAlgorithm;
  /** DER in base64url, the leaf first, instead of those in the TPM. */
  readonly ekCertificates?: readonly string[];
  /** What a simulated machine has beside its TPM. */
  readonly hardware?: SimulatedHardwareWish;
}

/** A confidential VM of a kind, or none, and a number of GPUs. */
export interface SimulatedHardwareWish {
  readonly cvm?: SimulatedCvmKind;
  readonly gpus: number;
}

export type Done<T> = { readonly ok: true; readonly value: T } | Refusal;

/** The attester of a machine, with an AK; a simulated machine boots as the deployment expects. Throws what the workload side throws. */
export async function attesterFor(
  { tpm, akHandle, ek, ekCertificates, hardware }: AttesterWish,
  deployment: string,
  transport: Transport,
): Promise<{ readonly attester: EnrollingAttester; readonly akCreated: boolean }> {
  if (tpm.kind === 'tcti') {
    const attester = new Tpm2ToolsAttester({
      tcti: tpm.tcti,
      ...(akHandle === undefined ? {} : { akHandle }),
      ...(ekCertificates === undefined ? {} : { ekCertificates }),
    });
    const { created } = await attester.ensureAk();
    return { attester, akCreated: created };
  }
  const attester = await developmentOnly(() => simulated(tpm.file, { ek, hardware }, deployment, transport));
  return { attester, akCreated: tpm.file === undefined };
}

/** The attester of a simulated machine without a TPM. */
export function platformAttesterFor(
  hardware: SimulatedHardwareWish,
  deployment: string,
  transport: Transport,
): Promise<PlatformAttester> {
  return developmentOnly(() => bootSimulatedPlatform(transport, deployment, platformOptions(hardware)));
}

const DEFAULT_SIMULATED_EK = 'ecc256';

async function simulated(
  file: string | undefined,
  { ek, hardware }: { readonly ek: EkAlgorithm | undefined; readonly hardware: SimulatedHardwareWish | undefined },
  deployment: string,
  transport: Transport,
): Promise<SimulatorAttester> {
  const platform = hardware === undefined ? {} : platformOptions(hardware);
  if (file === undefined) {
    return bootSimulatedMachine(transport, deployment, { ...platform, ek: ek ?? DEFAULT_SIMULATED_EK });
  }
  const kept = await keptTpm(file, ek, Date.now());
  // The same TPM is in the same machine: what is certified for it, and may be revoked, stays.
  const seed = sha256(Buffer.from('simulated machine'), kept.ak.exportPkcs8());
  return bootSimulatedMachine(transport, deployment, { ...platform, seed, kept, ek: kept.ek });
}

function platformOptions({ cvm, gpus }: SimulatedHardwareWish): SimulatedPlatformOptions {
  return { ...(cvm === undefined ? {} : { cvm: { kind: cvm } }), gpus: Array.from({ length: gpus }, () => ({})) };
}

async function developmentOnly<T>(boot: () => Promise<T>): Promise<T> {
  try {
    return await boot();
  } catch (error) {
    if (!(error instanceof ReleaseDeniedError) || error.reason !== 'route.unknown') throw error;
    throw new AttesterError(
      'this broker is not of the development profile and believes no simulator; name a TPM, such as --tpm device:/dev/tpmrm0',
    );
  }
}

/** Makes refusals of what the workload side throws. `attester`: no evidence could be made; `answer`: the broker's answer is not what was asked for, where not its receipt says why. */
export async function refusing<T>(work: () => Promise<T>): Promise<Done<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    if (error instanceof ReleaseDeniedError) return denial(error);
    if (error instanceof BrokerUnreachableError) throw new UnreachableError(`${error.message}; check --url and --ca`);
    if (error instanceof AttesterError) return { ok: false, reason: 'attester', detail: error.message };
    if (error instanceof BrokerAnswerError) {
      return { ok: false, reason: error.reason ?? 'answer', detail: error.message };
    }
    throw error;
  }
}

function denial(error: ReleaseDeniedError): Refusal {
  const { reason, detail, status, decision, requestId } = error;
  return {
    ok: false,
    reason,
    detail,
    status,
    ...(decision === undefined ? {} : { decision: decision as unknown as Decision }),
    ...(requestId === undefined ? {} : { request_id: requestId }),
  };
}
