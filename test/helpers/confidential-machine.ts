/** Simulated confidential machines at a served broker, and requests of theirs that are changed on the way. */
import { randomBytes } from 'node:crypto';
import { releaseBinding } from '../../src/challenge/binding.js';
import type { Attester, PlatformAttester, PlatformEvidence } from '../../src/workload/attester.js';
import { type EvidenceMember, gatherEvidence } from '../../src/workload/gather-evidence.js';
import { createRecipient } from '../../src/workload/recipient.js';
import type { Answer, ServedBroker } from './served-broker.js';
import { deploymentDocument } from './test-broker.js';

/** What the deployments below let in. */
export const MEASUREMENT = 'c5'.repeat(48);
export const KEY = 'weights';

/** A deployment that believes confidential VMs of one launch measurement; `change` replaces members of the document. */
export async function deployConfidential(
  broker: Pick<ServedBroker, 'admin'>,
  name: string,
  change: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const attesters = { trust: ['cvm-report', 'simulator'], allow: { cvm: [{ measurement: MEASUREMENT }] } };
  await broker.admin('POST', '/v1/deployments', deploymentDocument(name, { attesters, ...change }));
}

/** A request as it goes over the wire. */
export interface ConfidentialRequest {
  readonly nonce: string;
  readonly deployment: string;
  readonly key: string;
  readonly recipient: Readonly<Record<string, string>>;
  readonly evidence: EvidenceMember;
}

/** Asks for a challenge and answers it with all that the attester makes. */
export async function requestOf(
  broker: ServedBroker,
  attester: Attester | PlatformAttester,
  deployment: string,
): Promise<ConfidentialRequest> {
  const challenge = await broker.call('POST', '/v1/challenges', { deployment, key: KEY });
  if (challenge.status !== 201) throw new Error(`challenge: ${JSON.stringify(challenge.body)}`);
  const {
    nonce,
    broker: id,
    pcrs,
  } = challenge.body as { nonce: string; broker: string; pcrs: Record<string, number[]> };
  const { jwk: recipient, thumbprint } = await createRecipient('P-256');
  const base = releaseBinding({ broker: id, deployment, key: KEY, nonce, recipient: thumbprint, version: 'latest' });
  return { nonce, deployment, key: KEY, recipient, evidence: await gatherEvidence(attester, base, pcrs) };
}

export function send(broker: ServedBroker, request: ConfidentialRequest): Promise<Answer> {
  return broker.call('POST', '/v1/releases', request);
}

/** Challenge, evidence and release in one. */
export async function draw(
  broker: ServedBroker,
  attester: Attester | PlatformAttester,
  deployment: string,
): Promise<Answer> {
  return send(broker, await requestOf(broker, attester, deployment));
}

/** The log entry that a release was recorded with. */
export function entryOf({ status, body }: Answer): Readonly<Record<string, unknown>> {
  if (status !== 200) throw new Error(JSON.stringify(body));
  return JSON.parse((body as { receipt: { entry: string } }).receipt.entry) as Record<string, unknown>;
}

type Change = (beside: PlatformEvidence, base: Buffer) => PlatformEvidence | Promise<PlatformEvidence>;

/** The machine with other evidence beside its quote; the quote covers what is sent. */
export function beside(machine: Attester, change: Change): Attester {
  return {
    describe: () => machine.describe(),
    evidence: (extraData, pcrs) => machine.evidence(extraData, pcrs),
    besideQuote: async (base) => change((await machine.besideQuote?.(base)) ?? {}, base),
  };
}

/** What a machine says to another request. */
export async function elsewhere(machine: Pick<PlatformAttester, 'besideQuote'>): Promise<PlatformEvidence> {
  return machine.besideQuote(randomBytes(32));
}

/** base64url with one bit of one byte the other way round. */
export function flipped(text: string, at: number): string {
  const bytes = Buffer.from(text, 'base64url');
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes.toString('base64url');
}
