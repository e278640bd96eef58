import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { ReleaseRequest } from '../../src/release/broker.js';
import { type LogMemory, nonceHash } from '../helpers/log-memory.js';
import { bootedMachine } from '../helpers/test-broker.js';
import {
  type Answer,
  type Habitat,
  isGone,
  type Living,
  type Machines,
  type Settled,
  settleLean,
  settleServed,
} from './killed-brokers.js';

/*
 * Brokers under load, killed at random moments: while they start, while they append, before and after COMMIT. What clients
 * have got of the log until then (receipts, checkpoints) is held against the log at every new start. Half of the moments
 * are random by the clock, and so fall anywhere; the others come with an answer, where one that left too early would be lost.
 */
const CLIENTS = 8;
/** How long a broker lives at most once it answers, ms. */
const LONGEST_MS = 150;
/** How many releases it answers at most before it is killed, in every other round. */
const MOST_ANSWERS = 30;
/** One start of so many is killed before it answers. */
const KILL_STARTS = 6;
/** Requests of the round before that are sent again. */
const REPLAYS = 5;

interface Sent {
  readonly request: ReleaseRequest;
  readonly answer?: Answer;
}

let machines: Machines;

beforeAll(async () => {
  machines = { sound: await bootedMachine(), other: await bootedMachine('ecdsa-p256', Buffer.from('{"other":1}\n')) };
});

/** Clients in parallel until the broker is gone; what was sent. */
async function load(
  living: readonly Living[],
  memory: LogMemory,
  onReleased: (count: number) => void,
): Promise<readonly Sent[]> {
  const sent: Sent[] = [];
  const untilGone = async (step: (turn: number) => Promise<unknown>) => {
    try {
      for (let turn = 0; ; turn++) await step(turn);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  };
  const of = (client: number) => living[client % living.length]!;
  let count = 0;
  const draw = (client: number) => async () => {
    const request = await of(client).request(machines.sound);
    const at = sent.push({ request }) - 1;
    const answer = await of(client).send(request);
    sent[at] = { request, answer };
    if (!('released' in answer)) return;
    onReleased(++count);
    memory.released(answer.released, request);
  };
  await Promise.all([
    ...Array.from({ length: CLIENTS }, (_, client) => untilGone(draw(client))),
    untilGone(async (turn) => of(turn).send(await of(turn).request(machines.other))),
    untilGone((turn) => of(turn).administer(turn)),
    untilGone(async (turn) => memory.saw(await of(turn).checkpoint())),
  ]);
  return sent;
}

/** Requests of before the kill: what is in the log is spent, whether it was answered or not; the rest is granted once at most. */
async function replay(
  living: Living,
  sent: readonly Sent[],
  spent: ReadonlySet<string>,
  memory: LogMemory,
): Promise<void> {
  const unanswered = sent.filter(({ answer }) => answer === undefined);
  const answered = sent.filter(({ answer }) => answer !== undefined);
  for (const { request, answer } of [...unanswered, ...answered].slice(0, REPLAYS)) {
    const recorded = spent.has(nonceHash(request.nonce));
    if (answer !== undefined && 'released' in answer) expect(recorded).toBe(true);
    const again = await living.send(request);
    if (recorded) expect(again).toMatchObject({ reason: 'challenge.replayed' });
    if ('released' in again) {
      memory.released(again.released, request);
      expect(await living.send(request)).toMatchObject({ reason: 'challenge.replayed' });
    }
  }
}

async function killAgainAndAgain(rounds: number, habitat: Habitat, memory: LogMemory): Promise<void> {
  let sent: readonly Sent[] = [];
  for (let round = 0; round < rounds; round++) {
    const started = habitat.start();
    if (Math.random() < 1 / KILL_STARTS) {
      started.living.catch(() => undefined);
      await pause(Math.random() * 400);
    } else {
      const living = await started.living;
      const spent = memory.compare(habitat.database);
      await replay(living[round % living.length]!, sent, spent, memory);
      const last = round % 2 === 0 ? Infinity : 1 + Math.floor(Math.random() * MOST_ANSWERS);
      let killed: Promise<void> | undefined;
      const kill = () => (killed ??= started.kill());
      const loading = load(living, memory, (count) => void (count === last ? kill() : undefined));
      if (last === Infinity) await pause(Math.random() * LONGEST_MS).then(kill);
      sent = await loading;
      await killed;
    }
    await started.kill();
  }
  const last = habitat.start();
  await last.living;
  memory.compare(habitat.database);
  await last.kill();
}

/** How often brokers are killed; the gate has no time for more. */
const KILLS = Number(process.env['TEST_KILLS'] ?? 30);

/** So many kills of brokers over one data directory. */
interface Series {
  readonly rounds: number;
  readonly settle: (machines: Machines, processes: number) => Promise<Settled>;
  readonly processes: number;
}

describe('a broker that is killed at a random moment, again and again', () => {
  /** By their part of all kills. The series run side by side, since most of the time goes into starting. */
  const rounds = (part: number) => Math.ceil(part * KILLS);
  const series: readonly Series[] = [
    { rounds: rounds(0.08), settle: settleServed, processes: 1 },
    { rounds: rounds(0.03), settle: settleServed, processes: 2 },
    ...Array.from({ length: 5 }, () => ({ rounds: rounds(0.16), settle: settleLean, processes: 1 })),
    { rounds: rounds(0.09), settle: settleLean, processes: 2 },
  ];

  test('has a log that contains every receipt and every checkpoint that anybody ever got', async () => {
    const waiting = [...series];
    let receipts = 0;
    const worker = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const { habitat, memory, leave } = await next.settle(machines, next.processes);
        try {
          await killAgainAndAgain(next.rounds, habitat, memory);
        } finally {
          leave();
        }
        receipts += memory.receipts;
      }
    };
    await Promise.all([worker(), worker(), worker()]);
    expect(receipts).toBeGreaterThan(KILLS);
  }, 900_000);
});
