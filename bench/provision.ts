import { sha256 } from '../src/crypto/digest.js';
import type { AkScheme } from '../src/simulator/ak.js';
import { SimulatedTpm } from '../src/simulator/vtpm.js';
import { createRecipient } from '../src/workload/recipient.js';
import type { BrokerProcess } from './broker.js';
import { HttpConnection } from './http-connection.js';
import type { LoadTarget } from './load.js';
import { prepareRecipient, type PreparedRecipient, Quoter, type Subject } from './quoter.js';

/** The AKs that loads are measured with: RSA-2048 and P-256. */
export const SCHEMES = { rsa: 'rsassa', p256: 'ecdsa-p256' } as const satisfies Readonly<Record<string, AkScheme>>;
export type AkKind = keyof typeof SCHEMES;

export const DEPLOYMENT = 'bench';
export const KEY = 'bench-key';
export const POLICY = Buffer.from('{"bench":true}\n');
const RECIPIENTS = 64;

/** One policy, a boot chain of two PCRs, pinned AKs. */
export const DEPLOYMENT_DOCUMENT = {
  apiVersion: 'portcullis/v1',
  kind: 'Deployment',
  metadata: { name: DEPLOYMENT },
  policies: [{ content: POLICY.toString('base64url') }],
  platform: { pcrs: { '4': ['00'.repeat(32)], '7': ['00'.repeat(32)] } },
  attesters: { trust: ['pinned'] },
};

/** The deployment and its one key, in a fresh broker. */
export async function provision(broker: BrokerProcess): Promise<void> {
  await broker.admin('/v1/deployments', DEPLOYMENT_DOCUMENT);
  await broker.admin('/v1/keys', { name: KEY, type: 'oct', deployments: [DEPLOYMENT] });
}

/** A machine that has measured the policy. */
export function bootedTpm(): SimulatedTpm {
  const tpm = new SimulatedTpm();
  tpm.extend('sha256', 8, sha256(POLICY));
  return tpm;
}

/** A machine with a fresh AK, pinned, that draws one key. */
export async function pinnedTarget(broker: BrokerProcess, kind: AkKind, key = KEY): Promise<LoadTarget> {
  const tpm = bootedTpm();
  const ak = await tpm.createAk({ scheme: SCHEMES[kind] });
  await broker.admin('/v1/attesters', { deployment: DEPLOYMENT, public: ak.tpm2bPublic.toString('base64url') });
  const quoter = new Quoter({ tpm, ak }, await subjectOf(broker.url, key));
  const recipients = await recipientKeys();
  const [recipient] = recipients;
  if (recipient !== undefined) quoter.assertBinds('A'.repeat(43), key, recipient);
  return { url: broker.url, deployment: DEPLOYMENT, recipients, draw: () => ({ key, quoter }) };
}

/** P-256, as most workloads have them. Used in turn: the broker keeps nothing of a recipient, so that reuse costs it the same. */
export async function recipientKeys(): Promise<readonly PreparedRecipient[]> {
  const made = await Promise.all(Array.from({ length: RECIPIENTS }, () => createRecipient('P-256')));
  return made.map(prepareRecipient);
}

/** What the broker says in a challenge, that is the same in all of them. */
export async function subjectOf(url: string, key: string): Promise<Subject> {
  const connection = await HttpConnection.open(url);
  const answer = await connection.post('/v1/challenges', JSON.stringify({ deployment: DEPLOYMENT, key }));
  connection.close();
  if (answer.status !== 201) throw new Error(`a challenge was answered ${String(answer.status)}`);
  const { broker, pcrs } = JSON.parse(answer.body.toString()) as Pick<Subject, 'broker' | 'pcrs'>;
  return { broker, deployment: DEPLOYMENT, pcrs };
}
