import type { BenchOptions } from './options.js';
import { BrokerProcess } from './broker.js';
import { costOf, type Floor, measureFloor } from './floor.js';
import { Ledger } from './ledger.js';
import type { Load, LoadTarget } from './load.js';
import { measure, type Measured, type Sample } from './measure.js';
import { proveChecked, proveLogged } from './proof.js';
import { type AkKind, bootedTpm, pinnedTarget, provision, SCHEMES } from './provision.js';
import type { Row } from './report.js';
import { figureOf } from './statistics.js';
import { openStore, type StoreKind } from './stores.js';

/** Until V8 has compiled what is hot: after two seconds a release still costs a sixth more than after six. */
const WARM_UP: Load = { kind: 'closed', connections: 64, seconds: 6 };
const QUOTE_BYTES = 145;

/** One broker, and what it is asked by. */
interface Setup {
  readonly store: StoreKind;
  readonly workers: number;
  readonly measured: Measured;
  readonly targets: readonly { readonly ak: AkKind; readonly target: LoadTarget }[];
  readonly ledger: Ledger;
  readonly close: () => Promise<void>;
}

/** What is measured in each round, by the broker, the AK and the load. */
interface Cell {
  readonly setup: Setup;
  readonly ak: AkKind;
  readonly target: LoadTarget;
  readonly load: Load;
  readonly samples: Sample[];
}

export interface ReleaseFigures {
  readonly floors: readonly Floor[];
  /** What signing one quote costs the generator, CPU µs. */
  readonly quoteUs: Readonly<Record<AkKind, number>>;
  readonly rows: readonly Row[];
  /** What was held against the logs: answers, and release entries. */
  readonly proof: { readonly answers: number; readonly entries: number };
}

/**
 * Complete releases by every combination of store, workers, AK and load. All brokers stand from the start and each round
 * measures every combination once, and the floor, so that a machine that grows slower or faster meanwhile favours none.
 */
export async function benchReleases(options: BenchOptions, nodeArgs: readonly string[]): Promise<ReleaseFigures> {
  const setups: Setup[] = [];
  try {
    for (const store of options.stores) {
      for (const workers of options.workers) {
        console.error(`starting a broker: ${store}, workers: ${String(workers)} …`);
        setups.push(await setUp(store, workers, options.aks, nodeArgs));
      }
    }
    const cells = setups.flatMap((setup) =>
      setup.targets.flatMap(({ ak, target }) =>
        loadsOf(options).map((load): Cell => ({ setup, ak, target, load, samples: [] })),
      ),
    );
    const floors: Floor[] = [];
    for (let round = 1; round <= options.rounds; round++) {
      console.error(`round ${String(round)} of ${String(options.rounds)}: ${String(cells.length)} loads …`);
      floors.push(measureFloor());
      for (const cell of cells) await sample(cell);
    }
    console.error('holding the answers against the log …');
    const proof = { answers: 0, entries: 0 };
    for (const { measured, ledger } of setups) {
      proof.entries += await proveLogged(measured.broker, 0, ledger);
      proof.answers += ledger.nonces.size;
    }
    return { floors, quoteUs: await quoteCosts(), rows: cells.map((cell) => rowOf(cell, floors)), proof };
  } finally {
    for (const { close } of setups) await close();
  }
}

async function setUp(
  store: StoreKind,
  workers: number,
  aks: readonly AkKind[],
  nodeArgs: readonly string[],
): Promise<Setup> {
  const opened = await openStore(store);
  const { storeUrl, databaseCpuSeconds } = opened;
  let broker: BrokerProcess | undefined;
  const close = async (): Promise<void> => {
    await broker?.close();
    await opened.close();
  };
  try {
    broker = await BrokerProcess.start({ workers, nodeArgs, ...(storeUrl === undefined ? {} : { storeUrl }) });
    await provision(broker);
    const measured = { broker, databaseCpuSeconds };
    const ledger = new Ledger();
    const targets: { ak: AkKind; target: LoadTarget }[] = [];
    for (const ak of aks) {
      const target = await pinnedTarget(broker, ak);
      await measure(measured, target, WARM_UP, ledger);
      targets.push({ ak, target });
    }
    return { store, workers, measured, targets, ledger, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function loadsOf({ connections, rate, prepared, seconds }: BenchOptions): readonly Load[] {
  const most = Math.max(...connections);
  return [
    ...connections.map((each): Load => ({ kind: 'closed', connections: each, seconds })),
    ...(rate === 0 ? [] : [{ kind: 'open', connections: most, perSecond: rate, seconds } as const]),
    ...(prepared === 0 ? [] : [{ kind: 'prepared', connections: 64, count: prepared } as const]),
  ];
}

async function sample({ setup, target, load, samples }: Cell): Promise<void> {
  samples.push(await measure(setup.measured, target, load, setup.ledger));
  await proveChecked(setup.measured.broker, target, setup.ledger);
}

function rowOf({ setup, ak, load, samples }: Cell, floors: readonly Floor[]): Row {
  const figure = (of: (sample: Sample, round: number) => number) => figureOf(samples.map(of));
  const floorUs = (round: number) => (ak === 'rsa' ? floors[round]?.rsaUs : floors[round]?.p256Us) ?? NaN;
  const group = `${setup.store}, ${String(setup.workers)} worker${setup.workers === 1 ? '' : 's'}, ${ak}`;
  return {
    group,
    name: nameOf(load),
    figures: {
      releasesPerSecond: figure((each) => each.perSecond),
      cpuUs: figure((each) => each.cpuUs),
      // Of a release request alone, the floor of a whole release is the nearest there is.
      timesFloor: figure((each, round) => each.cpuUs / floorUs(round)),
      p50Ms: figure((each) => each.p50Ms),
      p99Ms: figure((each) => each.p99Ms),
      p999Ms: figure((each) => each.p999Ms),
      memoryMiB: figure((each) => each.memoryMiB),
      commits: figure((each) => each.commits),
      perCommit: figure((each) => each.perCommit),
      generatorCpuUs: figure((each) => each.generatorCpuUs),
      ...(setup.store === 'postgres' ? { databaseCpuUs: figure((each) => each.databaseCpuUs) } : {}),
    },
  };
}

function nameOf(load: Load): string {
  switch (load.kind) {
    case 'closed':
      return `closed loop, ${String(load.connections)}`;
    case 'open':
      return `open loop, ${String(load.perSecond)}/s`;
    case 'prepared':
      return `prepared, ${String(load.connections)}`;
  }
}

async function quoteCosts(): Promise<Readonly<Record<AkKind, number>>> {
  const tpm = bootedTpm();
  const cost = async (kind: AkKind): Promise<number> => {
    const ak = await tpm.createAk({ scheme: SCHEMES[kind] });
    return costOf(() => ak.sign(Buffer.alloc(QUOTE_BYTES))).cpuUs;
  };
  return { rsa: await cost('rsa'), p256: await cost('p256') };
}
