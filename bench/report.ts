import { cpus, release } from 'node:os';
import Table from 'cli-table3';
import type { Floor } from './floor.js';
import type { ReleaseFigures } from './releases.js';
import { type Figure, figureOf, spreadOf } from './statistics.js';

/** One line of a table: what was measured, and its figures by name. */
export interface Row {
  /** Rows of a group are shown in one table. */
  readonly group: string;
  readonly name: string;
  readonly figures: Readonly<Record<string, Figure>>;
}

/** What a run writes to its JSON file. */
export interface Report {
  readonly bench: 'releases' | 'log' | 'growth' | 'overload' | 'evidence';
  readonly machine: { readonly cpu: string; readonly cores: number; readonly kernel: string; readonly node: string };
  readonly options: Readonly<Record<string, unknown>>;
  readonly rows: readonly Row[];
}

export function machine(): Report['machine'] {
  return { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, kernel: release(), node: process.version };
}

/** How figures are shown, and which way is better. Those that are not named here are in the JSON alone. */
export const COLUMNS: Readonly<
  Record<string, { readonly title: string; readonly unit: string; readonly digits: number }>
> = {
  releasesPerSecond: { title: 'releases/s', unit: '', digits: 0 },
  cpuUs: { title: 'CPU/release', unit: ' µs', digits: 0 },
  timesFloor: { title: 'x floor', unit: '', digits: 2 },
  ratio: { title: 'ratio', unit: '', digits: 2 },
  p50Ms: { title: 'p50', unit: ' ms', digits: 2 },
  p99Ms: { title: 'p99', unit: ' ms', digits: 1 },
  p999Ms: { title: 'p99.9', unit: ' ms', digits: 1 },
  memoryMiB: { title: 'memory', unit: ' MiB', digits: 0 },
  commits: { title: 'commits', unit: '', digits: 0 },
  perCommit: { title: 'a commit', unit: '', digits: 1 },
  generatorCpuUs: { title: 'generator', unit: ' µs', digits: 0 },
  databaseCpuUs: { title: 'database', unit: ' µs', digits: 0 },
  coldBareUs: { title: 'bare, cold', unit: ' µs', digits: 0 },
  coldUs: { title: 'cold', unit: ' µs', digits: 0 },
  coldRatio: { title: 'x bare', unit: '', digits: 2 },
  warmBareUs: { title: 'bare, warm', unit: ' µs', digits: 0 },
  warmUs: { title: 'warm', unit: ' µs', digits: 0 },
  warmRatio: { title: 'x bare', unit: '', digits: 2 },
};

/** A table for each group of rows: medians, and behind them half the range of the rounds as a share of the median. */
export function tablesOf(rows: readonly Row[]): string {
  return [...groupBy(rows, (row) => row.group)]
    .map(([group, members]) => {
      const names = Object.keys(COLUMNS).filter((name) => members.some(({ figures }) => name in figures));
      const head = ['', ...names.map(titleOf)];
      const table = new Table({ head, style: { head: [], border: [], compact: true } });
      for (const { name, figures } of members) table.push([name, ...names.map((each) => cell(each, figures[each]))]);
      return `${group}\n${table.toString()}`;
    })
    .join('\n\n');
}

/** Items by a key of theirs, in the order in which the keys come. */
export function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

export function titleOf(figure: string): string {
  return COLUMNS[figure]?.title ?? figure;
}

/** A figure as it is shown. */
export function cell(name: string, figure: Figure | undefined): string {
  if (figure === undefined) return '';
  return `${valueText(name, figure.median)} ±${(spreadOf(figure) * 100).toFixed(0)}%`;
}

export function valueText(name: string, value: number): string {
  const { unit = '', digits = 2 } = COLUMNS[name] ?? {};
  return `${value.toFixed(digits)}${unit}`;
}

/** The floor, what quotes cost, and what was proved: what stands above the tables of releases. */
export function releasesText({ floors, quoteUs, proof }: ReleaseFigures): string {
  const floor = (of: (each: Floor) => number) => `${figureOf(floors.map(of)).median.toFixed(0)} µs`;
  return [
    `floor of one release, CPU of one thread: ${floor((each) => each.rsaUs)} with an RSA-2048 AK, ${floor((each) => each.p256Us)} with a P-256 AK`,
    `shared by the releases of a commit: ${floor((each) => each.batchUs)} of cryptography; one durable commit takes ${floor((each) => each.commitUs)}, ${floor((each) => each.commitCpuUs)} of it CPU`,
    `a quote costs the generator ${quoteUs.rsa.toFixed(0)} µs (RSA-2048), ${quoteUs.p256.toFixed(0)} µs (P-256)`,
    `proved: ${String(proof.answers)} answers, each in the log once with its own nonce (${String(proof.entries)} release entries); after each load replays were refused, and so were changed signatures`,
  ].join('\n');
}
