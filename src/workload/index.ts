/**
 * What runs beside the workload; the public entry `portcullis/workload`. This room may assume that it runs inside the
 * attested machine: what the broker answers is checked, what the TPM answers is handed on.
 *
 * @example
 * ```ts
 * import { ReleaseClient, Tpm2ToolsAttester } from 'portcullis/workload';
 *
 * const attester = new Tpm2ToolsAttester({ tcti: 'device:/dev/tpmrm0' });
 * await attester.ensureAk();
 * const client = new ReleaseClient({ url: 'https://broker.example:8440', ca: brokerRootPem, logKey, attester });
 * try {
 *   const { key, version, receipt } = await client.release({ deployment: 'llm-inference', key: 'weights' });
 *   decryptWeights(key, version);
 *   keep(receipt);
 * } finally {
 *   await client.close();
 * }
 * ```
 * `release` throws on every failure: ReleaseDeniedError names the reason and the condition that was not met. `logKey` is
 * what `portcullis init` printed: with it, a key without its record in that log is refused. Where the deployment trusts EK
 * certificates, `release` enrols the AK by the EK of its TPM when it has to; `enrol` does it beforehand.
 */
export {
  ReleaseClient,
  type EnrolmentOptions,
  type ReleaseClientOptions,
  type ReleaseOptions,
} from './release-client.js';
export { enrol, type Enrolment, type EnrolmentWish, type EnrolOptions } from './enrol.js';
export type { RecordedRelease, ReleasedKey } from './released-key.js';
export type { Receipt } from '../translog/receipt.js';
export type { LogOptions } from './log-trust.js';
export type { RecipientKind } from './recipient.js';
export type {
  Attester,
  EkMember,
  EnrollingAttester,
  NeededPcrs,
  PlatformAttester,
  PlatformEvidence,
  ProtectedCredential,
  TpmEvidenceMember,
} from './attester.js';
export type { EkAlgorithm } from '../simulator/ek.js';
export { AttesterError, BrokerAnswerError, BrokerUnreachableError, ReleaseDeniedError } from './errors.js';
export { httpTransport, type HttpTransportOptions, type Transport, type TransportAnswer } from './transport.js';
export { SimulatorAttester } from './attesters/simulator.js';
export {
  bootSimulatedMachine,
  bootSimulatedPlatform,
  type SimulatedBootOptions,
  type SimulatedPlatformBootOptions,
} from './attesters/simulated-boot.js';
export type { SimulatedCvmOptions } from './attesters/simulated-cvm.js';
export type { SimulatedCvmKind } from './attesters/simulated-cvm-kinds.js';
export type { SimulatedPlatform, SimulatedPlatformOptions } from './attesters/simulated-platform.js';
export { DEFAULT_AK_HANDLE, Tpm2ToolsAttester, type Tpm2ToolsOptions } from './attesters/tpm2-tools.js';
