/**
 * `npm run bench -- --help` says what can be measured. Progress goes to stderr, tables to stdout, figures to a JSON file.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { comparisonText, parseReport } from './compare.js';
import { type BenchOptions, HELP, OptionError, parseOptions } from './options.js';
import { machine, releasesText, type Report, tablesOf } from './report.js';

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(HELP);
  else await bench(options);
} catch (error) {
  if (!(error instanceof OptionError)) throw error;
  console.error(`${error.message}; npm run bench -- --help`);
  process.exitCode = 2;
}

async function bench(options: BenchOptions): Promise<void> {
  const { compare, json, cpuProfile, ...measured } = options;
  const nodeArgs = cpuProfile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${cpuProfile}`];
  const earlier = compare === undefined ? undefined : readEarlier(compare);
  const result = await run(options, nodeArgs);
  if (result === undefined) return;
  const { text, ...figures } = result;
  const report: Report = { bench: options.mode, machine: machine(), options: measured, ...figures };
  for (const part of [text, tablesOf(report.rows)]) if (part !== '') console.log(`\n${part}`);
  if (earlier !== undefined) console.log(`\nagainst ${compare ?? ''}:\n${comparisonText(earlier, report)}`);
  mkdirSync(dirname(json), { recursive: true });
  writeFileSync(json, `${JSON.stringify(report, null, 1)}\n`);
  console.error(`written to ${json}`);
}

/** Undefined where it could not be measured here; it has said why. */
async function run(
  options: BenchOptions,
  nodeArgs: readonly string[],
): Promise<(Pick<Report, 'rows'> & { readonly text: string }) | undefined> {
  switch (options.mode) {
    case 'releases': {
      const { benchReleases } = await import('./releases.js');
      const figures = await benchReleases(options, nodeArgs);
      return { ...figures, text: releasesText(figures) };
    }
    case 'log': {
      const { benchLog } = await import('./log.js');
      const { entries, seconds, rounds } = options;
      return { rows: [], text: '', ...(await benchLog({ entries, seconds, rounds, nodeArgs })) };
    }
    case 'growth': {
      const { benchGrowth } = await import('./growth.js');
      return benchGrowth(options, nodeArgs);
    }
    case 'overload': {
      const { benchOverload } = await import('./overload.js');
      return benchOverload(options, nodeArgs);
    }
    case 'evidence': {
      const { benchEvidence } = await import('./evidence.js');
      return benchEvidence({ rounds: options.rounds, progress: (text) => console.error(text) });
    }
  }
}

/** Before anything is measured: a run that ends with a missing file is a run lost. */
function readEarlier(path: string): Report {
  try {
    return parseReport(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new OptionError(`--compare ${path}: ${error instanceof Error ? error.message : 'cannot be read'}`);
  }
}
