import { parseVerifierKey } from '../src/translog/note.js';
import { verifyReceipt } from '../src/translog/receipt.js';
import { BrokerProcess } from './broker.js';
import { HttpConnection } from './http-connection.js';
import { Ledger } from './ledger.js';
import { type LoadTarget, releaseOnce } from './load.js';
import { measure } from './measure.js';
import { pinnedTarget, provision } from './provision.js';
import { median } from './statistics.js';

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
  readonly broker: BrokerProcess;
  readonly target: LoadTarget;
  readonly ledger: Ledger;
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
    for (const subject of [full, stubbed]) await sample(subject, 16, Math.min(3, seconds));
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
  const broker = await BrokerProcess.start({ workers: 1, nodeArgs });
  await provision(broker);
  return { broker, target: await pinnedTarget(broker, 'p256'), ledger: new Ledger() };
}

/** That the one broker has the log in it, and the other has not. */
async function assertLogged({ broker, target, ledger }: Subject, logged: boolean): Promise<void> {
  const connection = await HttpConnection.open(target.url);
  await releaseOnce(connection, target, 0, ledger);
  connection.close();
  const answer = JSON.parse(ledger.lastAnswer?.toString() ?? '{}') as { jwe: string; receipt: unknown };
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

async function sample({ broker, target, ledger }: Subject, connections: number, seconds: number): Promise<Sample> {
  const measured = { broker, databaseCpuSeconds: () => 0 };
  return measure(measured, target, { kind: 'closed', connections, seconds }, ledger);
}
