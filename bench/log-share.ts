import { Client } from 'undici';
import { parseVerifierKey } from '../src/translog/note.js';
import { verifyReceipt } from '../src/translog/receipt.js';
import { createRecipient } from '../src/workload/recipient.js';
import { type BenchBroker, startBenchBroker } from './broker.js';
import { answerOnce, type LoadTarget, runLoad } from './load.js';

const CONNECTIONS = [1, 16, 64];
const STUB = new URL('stub-log.js', import.meta.url).href;

/** What is left of the throughput of a broker without Merkle tree and signature, at a number of connections: medians of rounds. */
export interface LogShare {
  readonly connections: number;
  readonly releasesPerSecond: number;
  readonly stubbedPerSecond: number;
  /** Of the throughputs of one round, the median of all rounds. */
  readonly ratio: number;
  readonly cpuUsPerRelease: number;
  readonly stubbedCpuUsPerRelease: number;
}

interface Sample {
  readonly perSecond: number;
  readonly cpuUs: number;
}

interface Subject {
  readonly broker: BenchBroker;
  readonly target: LoadTarget;
}

/**
 * Two brokers of the same build, one of them with the stub, get the same load in turns; which of them comes first changes
 * from round to round, so that a machine that grows slower or faster meanwhile favours neither.
 */
export async function measureLogShare(
  seconds: number,
  rounds: number,
  nodeArgs: readonly string[],
): Promise<readonly LogShare[]> {
  const full = await startSubject(nodeArgs);
  const stubbed = await startSubject(['--import', STUB]);
  try {
    await assertLogged(full, true);
    await assertLogged(stubbed, false);
    for (const { target } of [full, stubbed]) await runLoad(target, 16, Math.min(3, seconds));
    const shares: LogShare[] = [];
    for (const connections of CONNECTIONS) {
      console.error(
        `${String(connections)} connections, ${String(rounds)} rounds of ${String(seconds)} s and ${String(seconds)} s …`,
      );
      shares.push(await compare(full, stubbed, connections, seconds, rounds));
    }
    return shares;
  } finally {
    await full.broker.close();
    await stubbed.broker.close();
  }
}

async function startSubject(nodeArgs: readonly string[]): Promise<Subject> {
  const broker = await startBenchBroker(1, nodeArgs);
  const recipients = await Promise.all(Array.from({ length: 64 }, () => createRecipient('P-256')));
  const { url, deployment, key } = broker;
  return { broker, target: { url, deployment, key, attester: await broker.machine('ecdsa-p256'), recipients } };
}

/** That the one broker has the log in it, and the other has not. */
async function assertLogged({ broker, target }: Subject, logged: boolean): Promise<void> {
  const client = new Client(target.url);
  const answer = JSON.parse(await answerOnce(client, target, 0)) as { jwe: string; receipt: unknown };
  await client.close();
  const verified = verifyReceipt(answer.receipt, { logKey: parseVerifierKey(broker.logKey), jwe: answer.jwe });
  if (verified.ok !== logged)
    throw new Error(`the receipt of a broker ${logged ? 'is not good' : 'without a log is good'}`);
}

async function compare(
  full: Subject,
  stubbed: Subject,
  connections: number,
  seconds: number,
  rounds: number,
): Promise<LogShare> {
  const samples: { readonly full: Sample; readonly stubbed: Sample }[] = [];
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) {
      const first = await sample(full, connections, seconds);
      samples.push({ full: first, stubbed: await sample(stubbed, connections, seconds) });
    } else {
      const first = await sample(stubbed, connections, seconds);
      samples.push({ full: await sample(full, connections, seconds), stubbed: first });
    }
  }
  return {
    connections,
    releasesPerSecond: median(samples.map((each) => each.full.perSecond)),
    stubbedPerSecond: median(samples.map((each) => each.stubbed.perSecond)),
    ratio: median(samples.map((each) => each.full.perSecond / each.stubbed.perSecond)),
    cpuUsPerRelease: median(samples.map((each) => each.full.cpuUs)),
    stubbedCpuUsPerRelease: median(samples.map((each) => each.stubbed.cpuUs)),
  };
}

async function sample({ broker, target }: Subject, connections: number, seconds: number): Promise<Sample> {
  const before = await broker.usage();
  const load = await runLoad(target, connections, seconds);
  const after = await broker.usage();
  return {
    perSecond: load.releases / load.seconds,
    cpuUs: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / load.releases,
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
