import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { BrokerProcess } from './broker.js';
import { Ledger } from './ledger.js';
import type { Load, LoadTarget } from './load.js';
import { measure, type Sample } from './measure.js';
import type { BenchOptions } from './options.js';
import { proveChecked, proveLogged } from './proof.js';
import { pinnedTarget, provision } from './provision.js';
import type { Row } from './report.js';
import { type Figure, figureOf } from './statistics.js';

/** Files that a process has open beside its connections. */
const OTHER_FILES = 500;
const HOLD_TIMEOUT_MS = 30_000;
const WARM_UP_SECONDS = 3;

/**
 * The latency of well-behaved clients, in a closed loop, alone and beside idle and slow-writing connections, in turns. Where
 * the limit on open files is too low and cannot be raised, it says so and measures nothing.
 */
export async function benchOverload(
  options: BenchOptions,
  nodeArgs: readonly string[],
): Promise<{ readonly rows: readonly Row[]; readonly text: string } | undefined> {
  const needed = options.idle + options.slow + OTHER_FILES;
  if (openFileLimit() < needed) {
    rerunWithLimit(needed);
    return undefined;
  }
  const rows: Row[] = [];
  const texts: string[] = [];
  for (const workers of options.workers) {
    console.error(`starting a broker, workers: ${String(workers)} …`);
    const broker = await BrokerProcess.start({ workers, nodeArgs });
    try {
      await provision(broker);
      for (const ak of options.aks) {
        const target = await pinnedTarget(broker, ak);
        for (const connections of options.connections) {
          const { alone, besieged, text } = await takeTurns(broker, target, connections, options);
          const group = `${String(workers)} workers, ${ak}, ${String(connections)} well-behaved connections`;
          rows.push(rowOf(group, 'alone', alone, alone), rowOf(group, 'besieged', besieged, alone));
          texts.push(`${group}: ${text}`);
        }
      }
    } finally {
      await broker.close();
    }
  }
  const what = `besieged by ${String(options.idle)} idle and ${String(options.slow)} slow connections; ratio: of the p99, turn by turn`;
  return { rows, text: [what, ...texts].join('\n') };
}

async function takeTurns(
  broker: BrokerProcess,
  target: LoadTarget,
  connections: number,
  { rounds, seconds, idle, slow }: BenchOptions,
): Promise<{ readonly alone: readonly Sample[]; readonly besieged: readonly Sample[]; readonly text: string }> {
  const measured = { broker, databaseCpuSeconds: () => 0 };
  const ledger = new Ledger();
  const load: Load = { kind: 'closed', connections, seconds };
  await measure(measured, target, { ...load, seconds: WARM_UP_SECONDS }, ledger);
  const [alone, besieged]: [Sample[], Sample[]] = [[], []];
  let text = '';
  for (let round = 0; round < rounds; round++) {
    console.error(`round ${String(round + 1)} of ${String(rounds)}: alone, then besieged …`);
    alone.push(await measure(measured, target, load, ledger));
    const siege = await Siege.begin(broker.url, idle, slow);
    try {
      besieged.push(await measure(measured, target, load, ledger));
      await proveChecked(broker, target, ledger);
    } finally {
      text = await siege.end();
    }
  }
  await proveLogged(broker, 0, ledger);
  return { alone, besieged, text };
}

function rowOf(group: string, name: string, samples: readonly Sample[], alone: readonly Sample[]): Row {
  const figure = (of: (sample: Sample) => number): Figure => figureOf(samples.map(of));
  return {
    group,
    name,
    figures: {
      releasesPerSecond: figure((each) => each.perSecond),
      cpuUs: figure((each) => each.cpuUs),
      ratio: figureOf(samples.map((each, round) => each.p99Ms / (alone[round]?.p99Ms ?? NaN))),
      p50Ms: figure((each) => each.p50Ms),
      p99Ms: figure((each) => each.p99Ms),
      p999Ms: figure((each) => each.p999Ms),
      memoryMiB: figure((each) => each.memoryMiB),
    },
  };
}

/** The process that holds the connections. */
class Siege {
  readonly #child: ChildProcess;
  readonly #lines: string[];

  private constructor(child: ChildProcess, lines: string[]) {
    this.#child = child;
    this.#lines = lines;
  }

  /** Begun when all connections are held, or as many as the broker lets stand. */
  static async begin(url: string, idle: number, slow: number): Promise<Siege> {
    const script = fileURLToPath(new URL('siege.js', import.meta.url));
    const child = spawn(process.execPath, [script, new URL(url).port, String(idle), String(slow)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    process.once('exit', () => void child.kill('SIGKILL'));
    const lines: string[] = [];
    const output = createInterface({ input: child.stdout });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, HOLD_TIMEOUT_MS);
      output.on('line', (line) => {
        lines.push(line);
        clearTimeout(timer);
        resolve();
      });
    });
    if (lines.length === 0)
      console.error('the broker does not let as many connections stand; measuring beside those it does');
    return new Siege(child, lines);
  }

  /** Lets go of all connections. What the broker did about them. */
  async end(): Promise<string> {
    const gone = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await gone;
    const {
      opened = 0,
      closedByBroker = 0,
      refused = 0,
    } = JSON.parse(this.#lines.at(-1) ?? '{}') as {
      opened?: number;
      closedByBroker?: number;
      refused?: number;
    };
    return `in the last siege ${String(opened)} connections were opened, ${String(closedByBroker)} closed by the broker, ${String(refused)} refused`;
  }
}

function openFileLimit(): number {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? '0';
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}

/** The same again from a shell that has raised the limit; the broker and the siege inherit it. */
function rerunWithLimit(needed: number): void {
  const raise = `ulimit -n ${String(needed)} 2>/dev/null || exit 77; exec "$@"`;
  const { status } = spawnSync('bash', ['-c', raise, 'bash', process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
  });
  if (status === 77) {
    console.error(
      `SKIPPED: ${String(needed)} open files are needed, and the limit cannot be raised; try with fewer --idle`,
    );
  } else process.exitCode = status ?? 1;
}
