/** A workload that speaks to a served broker over HTTP. */
import { releaseBinding } from '../../src/challenge/binding.js';
import type { Attester, TpmEvidenceMember } from '../../src/workload/attester.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { createRecipient, type Recipient } from '../../src/workload/recipient.js';
import type { Answer, ServedBroker } from './served-broker.js';
import { bootedMachine, deploymentDocument } from './test-broker.js';

export interface WireRequest {
  readonly nonce: string;
  readonly deployment: string;
  readonly key: string;
  readonly recipient: Readonly<Record<string, string>>;
  readonly evidence: { readonly tpm: TpmEvidenceMember };
}

export const DEPLOYMENT = 'llm';
export const KEY = 'weights';

/** Registers a deployment, a pinned machine that runs its policy, and a key. */
export async function provision(
  broker: ServedBroker,
  key: Readonly<Record<string, unknown>> = { type: 'oct' },
): Promise<SimulatorAttester> {
  const machine = await bootedMachine();
  await broker.admin('POST', '/v1/deployments', deploymentDocument(DEPLOYMENT));
  await broker.admin('POST', '/v1/attesters', {
    deployment: DEPLOYMENT,
    public: machine.ak.tpm2bPublic.toString('base64url'),
  });
  await broker.admin('POST', '/v1/keys', { name: KEY, deployments: [DEPLOYMENT], ...key });
  return machine;
}

/** Asks for a challenge and quotes it: a request that is granted once. */
export async function wireRequest(
  broker: ServedBroker,
  attester: Attester,
  recipient?: Recipient,
): Promise<WireRequest> {
  const challenge = await broker.call('POST', '/v1/challenges', { deployment: DEPLOYMENT, key: KEY });
  if (challenge.status !== 201) throw new Error(`challenge: ${JSON.stringify(challenge.body)}`);
  const {
    nonce,
    broker: id,
    pcrs,
  } = challenge.body as { nonce: string; broker: string; pcrs: Record<string, number[]> };
  const own = recipient ?? (await createRecipient('P-256'));
  const binding = releaseBinding({
    broker: id,
    deployment: DEPLOYMENT,
    key: KEY,
    nonce,
    recipient: own.thumbprint,
    version: 'latest',
  });
  return {
    nonce,
    deployment: DEPLOYMENT,
    key: KEY,
    recipient: own.jwk,
    evidence: { tpm: await attester.evidence(binding, pcrs) },
  };
}

export function sendRelease(broker: ServedBroker, request: WireRequest): Promise<Answer> {
  return broker.call('POST', '/v1/releases', request);
}
