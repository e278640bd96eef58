import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BrokerProcess } from './broker.js';
import { derivedAk } from './derived-ak.js';
import { type Grown, grownDataDir, keyName } from './growth-data.js';
import { Ledger } from './ledger.js';
import type { Load, LoadTarget } from './load.js';
import { measure, type Sample } from './measure.js';
import type { BenchOptions } from './options.js';
import { logSize, proveChecked, proveLogged } from './proof.js';
import { bootedTpm, DEPLOYMENT, KEY, pinnedTarget, recipientKeys, subjectOf } from './provision.js';
import { Quoter } from './quoter.js';
import type { Row } from './report.js';
import { figureOf, type Figure } from './statistics.js';

const SMALL: Readonly<Record<Grown, number>> = { keys: 10, attesters: 10, entries: 1000 };
/** Attesters that take part, taken evenly from all of them: fewer than a broker remembers (16,384), so that each is new to it once. */
const MAX_MACHINES = 16_000;
const CONNECTIONS = 64;
const WARM_UP_SECONDS = 3;

/** Which of the many a release is about. `each for the first time`: an AK that the broker has not seen since it started. */
type Pattern = 'any of them' | 'one of them' | 'each for the first time';

/** A broker of one size. */
interface Side {
  readonly count: number;
  readonly broker: BrokerProcess;
  readonly targets: Readonly<Partial<Record<Pattern, LoadTarget>>>;
  /** Attesters that have not come yet. */
  readonly unseen: () => number;
  readonly ledger: Ledger;
  /** Where the log ended before it was measured. */
  readonly firstEntry: number;
}

/**
 * How the cost of a release grows. For keys, attesters and log: a broker that has few of them and one that has many take
 * turns under the same load, and which comes first changes from round to round. Releases are about one of them alone; about
 * any of them, each drawn with equal chance; and, of many attesters, about each for the first time since the broker started,
 * against few that come again and again.
 */
export async function benchGrowth(
  options: BenchOptions,
  nodeArgs: readonly string[],
): Promise<{ readonly rows: readonly Row[]; readonly text: string }> {
  const rows: Row[] = [];
  for (const what of (['keys', 'attesters', 'entries'] as const).filter((each) => options[each] > 0)) {
    const folder = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));
    const sides: Side[] = [];
    try {
      sides.push(
        await startSide(what, SMALL[what], await grownDataDir(what, SMALL[what], join(folder, 'home')), nodeArgs),
      );
      sides.push(await startSide(what, options[what], await grownDataDir(what, options[what]), nodeArgs));
      for (const pattern of PATTERNS[what]) rows.push(...(await compare(what, sides, pattern, options)));
      for (const { broker, ledger, firstEntry } of sides) await proveLogged(broker, firstEntry, ledger);
    } finally {
      for (const { broker } of sides) await broker.close();
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return {
    rows,
    text: 'P-256 AKs, 64 connections, one worker; ratio: CPU per release against the small one, pair by pair',
  };
}

const PATTERNS: Readonly<Record<Grown, readonly Pattern[]>> = {
  keys: ['one of them', 'any of them'],
  attesters: ['one of them', 'each for the first time', 'any of them'],
  entries: ['one of them'],
};

async function startSide(what: Grown, count: number, dataDir: string, nodeArgs: readonly string[]): Promise<Side> {
  console.error(`starting a broker with ${String(count)} ${what} …`);
  const broker = await BrokerProcess.start({ dataDir, workers: 1, nodeArgs });
  const { targets, unseen = () => 0 } = await TARGETS[what](broker, count);
  return { count, broker, targets, unseen, ledger: new Ledger(), firstEntry: await logSize(broker.url) };
}

const TARGETS: Readonly<
  Record<
    Grown,
    (broker: BrokerProcess, count: number) => Promise<Pick<Side, 'targets'> & Partial<Pick<Side, 'unseen'>>>
  >
> = {
  keys: async (broker, count) => {
    const target = await pinnedTarget(broker, 'p256', keyName(0));
    const { quoter } = target.draw(0);
    const draw = () => ({ key: keyName(Math.floor(Math.random() * count)), quoter });
    return { targets: { 'any of them': { ...target, draw }, 'one of them': target } };
  },
  attesters: async ({ url }, count) => {
    const tpm = bootedTpm();
    const subject = await subjectOf(url, KEY);
    const step = Math.max(1, Math.floor(count / MAX_MACHINES));
    const quoters: Quoter[] = [];
    for (let number = 0; number < count; number += step)
      quoters.push(new Quoter({ tpm, ak: derivedAk(number) }, subject));
    const target = { url, deployment: DEPLOYMENT, recipients: await recipientKeys() };
    const drawOf = (at: () => number) => () => ({ key: KEY, quoter: quoters[at()] ?? never() });
    let next = 1;
    return {
      unseen: () => Math.max(0, quoters.length - next),
      targets: {
        'any of them': { ...target, draw: drawOf(() => Math.floor(Math.random() * quoters.length)) },
        'one of them': { ...target, draw: drawOf(() => 0) },
        'each for the first time': { ...target, draw: drawOf(() => next++ % quoters.length) },
      },
    };
  },
  entries: async (broker) => ({ targets: { 'one of them': await pinnedTarget(broker, 'p256') } }),
};

async function compare(
  what: Grown,
  sides: readonly Side[],
  pattern: Pattern,
  { rounds, seconds }: BenchOptions,
): Promise<readonly Row[]> {
  const group = what === 'entries' ? 'entries in the log' : `${what}, releases about ${pattern}`;
  const samples = sides.map((): Sample[] => []);
  for (const side of sides) await warmUp(side, pattern);
  for (let round = 0; round < rounds; round++) {
    console.error(`${group}: round ${String(round + 1)} of ${String(rounds)} …`);
    const order = [...sides.entries()];
    for (const [at, side] of round % 2 === 0 ? order : order.reverse()) {
      samples[at]?.push(await sample(side, pattern, seconds));
    }
    if (pattern === 'each for the first time' && sides.at(-1)?.unseen() === 0) {
      // Some came twice.
      for (const each of samples) each.pop();
      console.error(`${group}: ${String(round)} rounds, no more attesters are left`);
      break;
    }
  }
  if (samples.some((each) => each.length === 0)) return [];
  const compared = sides.map(({ count }, at) => {
    const own = samples[at] ?? [];
    const figure = (of: (sample: Sample) => number): Figure => figureOf(own.map(of));
    return {
      group,
      name: count.toLocaleString('en'),
      figures: {
        releasesPerSecond: figure((each) => each.perSecond),
        cpuUs: figure((each) => each.cpuUs),
        ratio: figureOf(own.map((each, round) => each.cpuUs / (samples[0]?.[round]?.cpuUs ?? NaN))),
        p50Ms: figure((each) => each.p50Ms),
        p99Ms: figure((each) => each.p99Ms),
        memoryMiB: figure((each) => each.memoryMiB),
        perCommit: figure((each) => each.perCommit),
      },
    };
  });
  // At once: the next ones take minutes, and may be interrupted.
  const { median, min, max } = compared.at(-1)?.figures.ratio ?? never();
  console.error(`${group}: ${median.toFixed(2)} times the small one (${min.toFixed(2)} to ${max.toFixed(2)})`);
  return compared;
}

/** Afterwards what is measured is the steady state: nobody comes for the first time, unless that is the pattern. */
async function warmUp(side: Side, pattern: Pattern): Promise<void> {
  if (pattern === 'each for the first time') return;
  while (pattern === 'any of them' && side.unseen() > 0) await sample(side, 'each for the first time', 1);
  await sample(side, pattern, WARM_UP_SECONDS);
}

async function sample({ broker, targets, ledger }: Side, pattern: Pattern, seconds: number): Promise<Sample> {
  const target = targets[pattern] ?? never();
  const load: Load = { kind: 'closed', connections: CONNECTIONS, seconds };
  const measured = await measure({ broker, databaseCpuSeconds: () => 0 }, target, load, ledger);
  await proveChecked(broker, target, ledger);
  return measured;
}

function never(): never {
  throw new Error('there is no such target');
}
