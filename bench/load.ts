import { Client } from 'undici';
import { releaseBinding } from '../src/challenge/binding.js';
import type { SimulatorAttester } from '../src/workload/attesters/simulator.js';
import type { Recipient } from '../src/workload/recipient.js';

/** What the load is aimed at. */
export interface LoadTarget {
  readonly url: string;
  readonly deployment: string;
  readonly key: string;
  readonly attester: SimulatorAttester;
  /** Used in turn: the broker keeps nothing of a recipient, so that reuse costs it the same. */
  readonly recipients: readonly Recipient[];
}

/** One closed loop at a number of connections. */
export interface LoadResult {
  readonly connections: number;
  readonly seconds: number;
  readonly releases: number;
  /** From sending the challenge request to holding the release answer, ms, ascending. */
  readonly latenciesMs: readonly number[];
}

/** Each connection asks for a challenge, quotes it, asks for the release, and starts again, for `seconds`. */
export async function runLoad(target: LoadTarget, connections: number, seconds: number): Promise<LoadResult> {
  const latenciesMs: number[] = [];
  const start = performance.now();
  const until = start + seconds * 1000;
  const loop = async (worker: number): Promise<void> => {
    const client = new Client(target.url, { pipelining: 1 });
    for (let turn = worker; performance.now() < until; turn++) {
      const begun = performance.now();
      await releaseOnce(client, target, turn);
      latenciesMs.push(performance.now() - begun);
    }
    await client.close();
  };
  await Promise.all(Array.from({ length: connections }, (_, worker) => loop(worker)));
  const took = (performance.now() - start) / 1000;
  return { connections, seconds: took, releases: latenciesMs.length, latenciesMs: latenciesMs.sort((a, b) => a - b) };
}

/** One complete release; returns its request, for those who want to send it again. Throws on anything but 200. */
export async function releaseOnce(client: Client, target: LoadTarget, turn: number): Promise<string> {
  return (await exchangeOnce(client, target, turn)).request;
}

/** One complete release; returns its answer. Throws on anything but 200. */
export async function answerOnce(client: Client, target: LoadTarget, turn: number): Promise<string> {
  return (await exchangeOnce(client, target, turn)).answer;
}

async function exchangeOnce(
  client: Client,
  target: LoadTarget,
  turn: number,
): Promise<{ readonly request: string; readonly answer: string }> {
  const { deployment, key, attester } = target;
  const challenge = await post(client, '/v1/challenges', JSON.stringify({ deployment, key }));
  if (challenge.status !== 201) throw new Error(`challenge answered ${String(challenge.status)}: ${challenge.text}`);
  const { nonce, broker, pcrs } = JSON.parse(challenge.text) as {
    nonce: string;
    broker: string;
    pcrs: Record<string, number[]>;
  };
  const recipient = target.recipients[turn % target.recipients.length];
  if (recipient === undefined) throw new Error('the load needs at least one recipient');
  const binding = releaseBinding({
    broker,
    deployment,
    key,
    nonce,
    recipient: recipient.thumbprint,
    version: 'latest',
  });
  const tpm = await attester.evidence(binding, pcrs);
  const request = JSON.stringify({ nonce, deployment, key, recipient: recipient.jwk, evidence: { tpm } });
  const answer = await post(client, '/v1/releases', request);
  if (answer.status !== 200) throw new Error(`release answered ${String(answer.status)}: ${answer.text}`);
  return { request, answer: answer.text };
}

/** Posts JSON and reads the whole answer. */
export async function post(client: Client, path: string, body: string): Promise<{ status: number; text: string }> {
  const headers = { 'content-type': 'application/json' };
  const answer = await client.request({ method: 'POST', path, headers, body });
  return { status: answer.statusCode, text: await answer.body.text() };
}
