import type { Json } from '../../bytes/canonical-json.js';
import { releaseBinding } from '../../challenge/binding.js';
import { ask } from '../../workload/ask.js';
import type { Attester, TpmEvidenceMember } from '../../workload/attester.js';
import { requestChallenge } from '../../workload/challenge.js';
import { ReleaseDeniedError } from '../../workload/errors.js';
import { type EvidenceMember, gatherEvidence } from '../../workload/gather-evidence.js';
import { createRecipient } from '../../workload/recipient.js';
import type { Transport } from '../../workload/transport.js';
import type { Machine } from './machine.js';

/** Whose key is tried for. */
export interface Target {
  readonly transport: Transport;
  readonly deployment: string;
  readonly key: string;
}

/** A release request as it goes over the wire, of a machine with a TPM. */
export interface WireRequest {
  readonly nonce: string;
  readonly deployment: string;
  readonly key: string;
  readonly recipient: Readonly<Record<string, string>>;
  readonly evidence: EvidenceMember & { readonly tpm: TpmEvidenceMember };
}

/** One that must not get the key, and the reason that it must be refused with. */
export interface Impostor {
  readonly who: string;
  readonly reason: string;
  readonly attempt: () => Promise<unknown>;
}

/** The five of the demo, in the order in which one TPM can play them: a PCR cannot be taken back, so the wrong policy comes last. */
export function impostors(
  target: Target,
  machine: Machine,
  policyPcr: number,
  otherPolicy: Buffer,
): readonly Impostor[] {
  const send = (request: WireRequest) => sendRequest(target, request);
  return [
    {
      who: 'an eavesdropper who sends a recorded request again',
      reason: 'challenge.replayed',
      attempt: async () => {
        const request = await genuine(target, machine.attester);
        await send(request);
        return send(request);
      },
    },
    {
      who: 'a man in the middle who puts his own recipient key in',
      reason: 'quote.binding',
      attempt: async () => {
        const request = await genuine(target, machine.attester);
        return send({ ...request, recipient: (await createRecipient('P-256')).jwk });
      },
    },
    {
      who: 'a TPM key that nobody vouches for',
      reason: 'ak.untrusted',
      attempt: async () => send(await genuine(target, machine.stranger)),
    },
    {
      who: 'a liar who reports another PCR value than was quoted',
      reason: 'quote.pcr_digest',
      attempt: async () => {
        const request = await genuine(target, machine.attester);
        const { tpm } = request.evidence;
        const altered = { ...tpm.pcrs['sha256'], [String(policyPcr)]: 'ab'.repeat(32) };
        return send({ ...request, evidence: { tpm: { ...tpm, pcrs: { ...tpm.pcrs, sha256: altered } } } });
      },
    },
    {
      who: 'the same machine, after it measured another policy',
      reason: 'policy.hash',
      attempt: async () => {
        await machine.extend(policyPcr, otherPolicy);
        return send(await genuine(target, machine.attester));
      },
    },
  ];
}

/** What came of an attempt: the denial, or nothing when the key came out. */
export async function refusal(impostor: Impostor): Promise<ReleaseDeniedError | undefined> {
  try {
    await impostor.attempt();
    return undefined;
  } catch (error) {
    if (error instanceof ReleaseDeniedError) return error;
    throw error;
  }
}

/** Asks for the release. */
export function sendRequest({ transport }: Target, request: WireRequest): Promise<unknown> {
  return ask(transport, '/v1/releases', { ...request } as unknown as Json, 200);
}

/** A request with all the evidence that the attester makes. */
export async function genuine(target: Target, attester: Attester): Promise<WireRequest> {
  const { transport, deployment, key } = target;
  const challenge = await requestChallenge(transport, { deployment, key, version: 'latest' });
  const recipient = await createRecipient('P-256');
  const { nonce, broker } = challenge;
  const base = releaseBinding({
    broker,
    deployment,
    key,
    nonce,
    recipient: recipient.thumbprint,
    version: 'latest',
  });
  const { tpm, ...beside } = await gatherEvidence(attester, base, challenge.pcrs);
  if (tpm === undefined) throw new TypeError('the machines of the demo have a TPM');
  return { nonce, deployment, key, recipient: recipient.jwk, evidence: { tpm, ...beside } };
}
