import type { Decision } from '../policy/decision.js';
import { parseAk } from '../evidence/tpm/ak.js';
import type { AkScheme } from '../simulator/ak.js';
import type { Attester } from '../workload/attester.js';
import { bootSimulatedMachine } from '../workload/attesters/simulator.js';
import { Tpm2ToolsAttester } from '../workload/attesters/tpm2-tools.js';
import { AttesterError, BrokerAnswerError, BrokerUnreachableError, ReleaseDeniedError } from '../workload/errors.js';
import type { LogOptions } from '../workload/log-trust.js';
import type { RecipientKind } from '../workload/recipient.js';
import { ReleaseClient } from '../workload/release-client.js';
import type { ReleasedKey } from '../workload/released-key.js';
import { httpTransport, type Transport } from '../workload/transport.js';
import type { BrokerAddress } from './broker-client.js';
import { UnreachableError, type Refusal } from './outcome.js';
import type { TpmChoice } from './tpm-option.js';

/** What is to be drawn, and what attests. */
export interface ReleaseWish {
  readonly deployment: string;
  readonly key: string;
  readonly version?: string;
  readonly recipient: RecipientKind;
  readonly tpm: TpmChoice;
  readonly akHandle?: number;
  readonly log?: LogOptions;
}

type Drawn<T> = { readonly ok: true; readonly value: T } | Refusal;

/** Draws a key: challenge, quote, release, receipt, decrypt. The caller wipes `jwk`. Throws UnreachableError. */
export async function drawKey(
  address: BrokerAddress,
  wish: ReleaseWish,
): Promise<Drawn<ReleasedKey & { readonly attester: string }>> {
  const { deployment, key, version, recipient } = wish;
  return refusing(async () => {
    const transport = httpTransport({ ...address, url: address.url.href });
    try {
      const attester = await attesterFor(wish, transport);
      const client = new ReleaseClient({ attester, transport, ...wish.log });
      const released = await client.release({
        deployment,
        key,
        recipient,
        ...(version === undefined ? {} : { version }),
      });
      return { ...released, attester: attester.describe() };
    } finally {
      await transport.close();
    }
  });
}

/** The AK at the handle of a TPM, made where there is none. */
export async function readAk(
  tcti: string,
  options: { readonly akHandle?: number; readonly scheme?: AkScheme },
): Promise<Drawn<{ tpm2bPublic: Buffer; created: boolean; name: string; spkiSha256: string }>> {
  return refusing(async () => {
    const made = await new Tpm2ToolsAttester({ tcti, ...options }).ensureAk();
    const ak = parseAk(made.tpm2bPublic);
    if (!ak.ok) throw new AttesterError(`the key at the handle is no AK: ${ak.detail}`);
    return { ...made, name: ak.value.name, spkiSha256: ak.value.spkiSha256 };
  });
}

async function attesterFor(wish: ReleaseWish, transport: Transport): Promise<Attester> {
  const { tpm, akHandle } = wish;
  if (tpm.kind === 'tcti') {
    const attester = new Tpm2ToolsAttester({ tcti: tpm.tcti, ...(akHandle === undefined ? {} : { akHandle }) });
    await attester.ensureAk();
    return attester;
  }
  try {
    return await bootSimulatedMachine(transport, wish.deployment);
  } catch (error) {
    if (!(error instanceof ReleaseDeniedError) || error.reason !== 'route.unknown') throw error;
    throw new AttesterError(
      'this broker is not of the development profile and believes no simulator; name a TPM, such as --tpm device:/dev/tpmrm0',
    );
  }
}

/** Makes refusals of what the workload side throws. `attester`: no evidence could be made; `answer`: the broker's answer is not what was asked for, where not its receipt says why. */
async function refusing<T>(work: () => Promise<T>): Promise<Drawn<T>> {
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
