import Table from 'cli-table3';
import { type GrownLog, growLog } from './log-append.js';
import { type LogShare, measureLogShare } from './log-share.js';

export interface LogFigures {
  readonly grown: GrownLog;
  /** Of the last tenth of the log to the first. */
  readonly growth: { readonly wall: number; readonly cpu: number };
  readonly shares: readonly LogShare[];
}

export interface LogBenchOptions {
  readonly entries: number;
  readonly seconds: number;
  readonly rounds: number;
  /** Go to the node of the broker that has the log, for profiling. */
  readonly nodeArgs: readonly string[];
}

/** What the log costs. Prints tables. */
export async function benchLog({ entries, seconds, rounds, nodeArgs }: LogBenchOptions): Promise<LogFigures> {
  const grown = await growLog(entries);
  const [first, last] = [grown.appends[0], grown.appends.at(-1)];
  if (first === undefined || last === undefined) throw new Error('no log of no entries');
  const growth = { wall: last.wallUs / first.wallUs, cpu: last.cpuUs / first.cpuUs };
  reportGrowth(grown, growth);
  const shares = await measureLogShare(seconds, rounds, nodeArgs);
  reportShares(shares);
  return { grown, growth, shares };
}

function tableOf(...head: readonly string[]): Table.Table {
  return new Table({ head: [...head], style: { head: [], border: [] } });
}

function reportGrowth({ entries, appends, verify }: GrownLog, growth: LogFigures['growth']): void {
  const table = tableOf('entries from', 'wall per entry', 'CPU per entry');
  for (const { from, wallUs, cpuUs } of appends) table.push([from, us(wallUs), us(cpuUs)]);
  console.log(`\nappending ${String(entries)} release entries, 32 a commit\n\n${table.toString()}`);
  console.log(
    `\nthe last tenth to the first: ${growth.wall.toFixed(2)} times the time, ${growth.cpu.toFixed(2)} times the CPU`,
  );
  console.log(
    `verifying: ${verify.entriesPerSecond.toFixed(0)} entries/s, ${verify.cpuUsPerEntry.toFixed(1)} µs of CPU an entry\n`,
  );
}

function reportShares(shares: readonly LogShare[]): void {
  const table = tableOf('connections', 'releases/s', 'without the log', 'ratio', 'CPU per release', 'without the log');
  for (const share of shares) {
    table.push([
      share.connections,
      share.releasesPerSecond.toFixed(0),
      share.stubbedPerSecond.toFixed(0),
      share.ratio.toFixed(3),
      us(share.cpuUsPerRelease),
      us(share.stubbedCpuUsPerRelease),
    ]);
  }
  console.log(table.toString());
}

function us(value: number): string {
  return `${value.toFixed(0)} µs`;
}
