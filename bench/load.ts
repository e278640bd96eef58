import { setTimeout as delay } from 'node:timers/promises';
import type { Answer, HttpConnection } from './http-connection.js';
import type { PreparedRecipient, Quoter } from './quoter.js';
import type { Ledger } from './ledger.js';
import { type Clock, closedLoop, countedLoop, type Exchange, openLoop, type Run } from './schedule.js';

/** What the load is aimed at. */
export interface LoadTarget {
  readonly url: string;
  readonly deployment: string;
  readonly recipients: readonly PreparedRecipient[];
  /** Which key is asked for, by which machine. */
  draw(turn: number): { readonly key: string; readonly quoter: Quoter };
}

/** How it is asked: complete releases in a closed or an open loop, or release requests alone that were made beforehand. */
export type Load =
  | { readonly kind: 'closed'; readonly connections: number; readonly seconds: number }
  | { readonly kind: 'open'; readonly connections: number; readonly perSecond: number; readonly seconds: number }
  | { readonly kind: 'prepared'; readonly connections: number; readonly count: number };

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1000;
/** An overload passes; a broker that says so for longer has another fault. */
const PATIENCE_MS = 10_000;

export const clock: Clock = {
  now: () => performance.now(),
  until: async (ms) => {
    const wait = ms - performance.now();
    if (wait > 0) await delay(wait);
  },
};

/** Runs a load over connections that are open already. What was answered goes to the ledger. Throws for any refusal but overload. */
export async function runLoad(
  target: LoadTarget,
  connections: readonly HttpConnection[],
  load: Exclude<Load, { readonly kind: 'prepared' }>,
  ledger: Ledger,
): Promise<Run> {
  const exchange: Exchange = async (at, turn) => releaseOnce(connectionAt(connections, at), target, turn, ledger);
  if (load.kind === 'closed') return closedLoop(clock, connections.length, load.seconds, exchange);
  const count = Math.round(load.perSecond * load.seconds);
  return openLoop(clock, connections.length, { perSecond: load.perSecond, count }, exchange);
}

/** A release request, and its nonce. */
export interface PreparedRequest {
  readonly nonce: string;
  readonly body: string;
}

/** Asks for challenges and quotes them. They are good for as long as a challenge is: two minutes. */
export async function prepareRequests(
  target: LoadTarget,
  connections: readonly HttpConnection[],
  count: number,
  ledger: Ledger,
): Promise<readonly PreparedRequest[]> {
  const made: PreparedRequest[] = [];
  await countedLoop(clock, connections.length, count, async (at, turn) => {
    made.push(await requestFor(connectionAt(connections, at), target, turn, ledger));
  });
  return made;
}

/** Sends prepared requests, each once. */
export async function sendPrepared(
  requests: readonly PreparedRequest[],
  connections: readonly HttpConnection[],
  ledger: Ledger,
): Promise<Run> {
  return countedLoop(clock, connections.length, requests.length, async (at, turn) => {
    const request = requests[turn];
    if (request === undefined) return;
    const answer = await patiently(ledger, () => connectionAt(connections, at).post('/v1/releases', request.body));
    ledger.answered(request, answer);
  });
}

/** One complete release: challenge, quote, release. */
export async function releaseOnce(
  connection: HttpConnection,
  target: LoadTarget,
  turn: number,
  ledger: Ledger,
): Promise<void> {
  const request = await requestFor(connection, target, turn, ledger);
  ledger.answered(request, await patiently(ledger, () => connection.post('/v1/releases', request.body)));
}

async function requestFor(
  connection: HttpConnection,
  target: LoadTarget,
  turn: number,
  ledger: Ledger,
): Promise<PreparedRequest> {
  const { key, quoter } = target.draw(turn);
  const ask = `{"deployment":"${target.deployment}","key":"${key}"}`;
  const challenge = await patiently(ledger, () => connection.post('/v1/challenges', ask));
  const recipient = target.recipients[turn % target.recipients.length];
  if (challenge.status !== 201 || recipient === undefined) throw unexpected('a challenge', challenge);
  const nonce = nonceIn(challenge.body);
  return { nonce, body: quoter.request(nonce, key, recipient) };
}

/** Comes back after a pause where the broker says that it is overloaded, as a client should; the release takes that much longer. */
async function patiently(ledger: Ledger, send: () => Promise<Answer>): Promise<Answer> {
  const startedMs = clock.now();
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    const answer = await send();
    if ((answer.status !== 429 && answer.status !== 503) || clock.now() - startedMs > PATIENCE_MS) return answer;
    ledger.overloaded();
    await delay(pauseMs);
  }
}

const BEFORE_NONCE = Buffer.from('"nonce":"');
const NONCE_CHARACTERS = 43;

function nonceIn(body: Buffer): string {
  const at = body.indexOf(BEFORE_NONCE) + BEFORE_NONCE.length;
  return body.toString('latin1', at, at + NONCE_CHARACTERS);
}

function connectionAt(connections: readonly HttpConnection[], at: number): HttpConnection {
  const connection = connections[at];
  if (connection === undefined) throw new RangeError('no such connection');
  return connection;
}

export function unexpected(what: string, { status, body }: Answer): Error {
  return new Error(`${what} was answered ${String(status)}: ${body.toString()}`);
}
