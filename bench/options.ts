import { parseArgs } from 'node:util';
import type { AkKind } from './provision.js';
import type { StoreKind } from './stores.js';

export interface BenchOptions {
  readonly mode: 'releases' | 'log' | 'growth' | 'overload' | 'evidence';
  readonly stores: readonly StoreKind[];
  readonly workers: readonly number[];
  readonly aks: readonly AkKind[];
  readonly connections: readonly number[];
  /** Of the open loop; 0: none. */
  readonly rate: number;
  /** Release requests made beforehand; 0: none. */
  readonly prepared: number;
  readonly seconds: number;
  readonly rounds: number;
  /** Sizes of the largest broker of --growth, and the entries of --log. */
  readonly keys: number;
  readonly attesters: number;
  readonly entries: number;
  /** Connections of --overload that do nothing, and that write slowly. */
  readonly idle: number;
  readonly slow: number;
  readonly json: string;
  readonly compare: string | undefined;
  readonly cpuProfile: string | undefined;
}

/** What is wrong with the command line, and what to do. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
}

type Mode = BenchOptions['mode'];

interface Described {
  readonly value?: string;
  readonly fallback?: string | Readonly<Partial<Record<Mode, string>>>;
  readonly does: string;
}

const DESCRIBED = {
  log: { does: 'instead: what the transparency log costs' },
  growth: { does: 'instead: how the cost of a release grows with keys, attesters and log' },
  overload: { does: 'instead: releases beside idle and slow connections' },
  evidence: { does: 'instead: verifying hardware evidence, against its bare signature checks' },
  store: { value: 'LIST', fallback: 'sqlite', does: 'sqlite, postgres (a private server is started)' },
  workers: { value: 'LIST', fallback: { releases: '1,2', overload: '2' }, does: 'processes of the broker' },
  ak: { value: 'LIST', fallback: { releases: 'rsa,p256', overload: 'p256' }, does: 'rsa (RSA-2048), p256' },
  connections: { value: 'LIST', fallback: { releases: '1,16,64,256', overload: '16' }, does: 'of the closed loops' },
  rate: { value: 'N', fallback: '800', does: 'releases/s of the open loop, over the most connections; 0: none' },
  prepared: { value: 'N', fallback: '2000', does: 'release requests alone, quotes made beforehand; 0: none' },
  seconds: {
    value: 'N',
    fallback: { releases: '1', log: '3', growth: '2', overload: '5' },
    does: 'of each load in each round',
  },
  rounds: {
    value: 'N',
    fallback: { releases: '5', log: '5', growth: '7', overload: '5', evidence: '25' },
    does: 'of which medians are shown',
  },
  keys: { value: 'N', fallback: '1000000', does: 'of --growth, against 10; 0: left out' },
  attesters: { value: 'N', fallback: '100000', does: 'of --growth, against 10; 0: left out' },
  entries: {
    value: 'N',
    fallback: { log: '100000', growth: '1000000' },
    does: 'of --log; of --growth, against 1,000; 0: left out',
  },
  idle: { value: 'N', fallback: '10000', does: 'connections of --overload that send nothing' },
  slow: { value: 'N', fallback: '500', does: 'connections of --overload that send a byte at a time' },
  json: { value: 'FILE', does: 'where the figures go (default: build/bench.json, build/bench-log.json, …)' },
  compare: { value: 'FILE', does: 'print the change against the figures of an earlier run' },
  'cpu-prof': { value: 'DIR', does: 'CPU profiles of the broker’s processes' },
  help: { does: 'print this' },
} as const satisfies Readonly<Record<string, Described>>;

export const HELP = `npm run bench -- [OPTIONS]

Complete releases (challenge, quote, release; over HTTP, every check on, durable, with receipt) of the built program, on
this machine, which the load generator shares. For each store, number of workers and kind of AK: closed loops at several
numbers of connections; an open loop, whose latencies count from when a request was meant to be sent; and release requests
alone. Beside them the floor: the bare cryptography of one release, on one thread, measured in the same rounds. CPU is that
of the broker's processes alone; what the generator and PostgreSQL use is said apart. Takes about four minutes.

Figures are medians of the rounds; behind each, half the range of the rounds in per cent of it. They are comparable within
one run, and between runs on the same quiet machine. After each load a sample of its requests is sent again and must be
refused, and so must changed signatures; at the end each answer must be in the log exactly once, with its own nonce.

${Object.entries(DESCRIBED as Readonly<Record<string, Described>>)
  .map(([name, { value, fallback, does }]) => {
    const set = typeof fallback === 'object' ? fallback.releases : fallback;
    const shown = `  --${name}${value === undefined ? '' : ` ${value}`}`;
    return `${shown.padEnd(20)} ${does}${set === undefined ? '' : ` (default: ${set})`}`;
  })
  .join('\n')}

npm run bench -- --workers 1 --ak p256 --connections 64     one combination, well under a minute
npm run bench -- --store sqlite,postgres                    both stores; twice the time
npm run bench -- --compare before.json                      against the --json of an earlier run
npm run bench -- --growth --keys 10000 --attesters 1000 --entries 10000
`;

/** What the command line asks for; undefined where it asks for help. Throws OptionError. */
export function parseOptions(argv: readonly string[]): BenchOptions | undefined {
  const values = rawOptions(argv);
  if (values['help'] === true) return undefined;
  const modes = (['log', 'growth', 'overload', 'evidence'] as const).filter((mode) => values[mode] === true);
  if (modes.length > 1) throw new OptionError(`--${modes.join(' and --')}: one at a time`);
  const mode = modes[0] ?? 'releases';
  const text = (name: keyof typeof DESCRIBED): string => {
    const given = values[name];
    if (typeof given === 'string') return given;
    const { fallback }: Described = DESCRIBED[name];
    return typeof fallback === 'object' ? (fallback[mode] ?? Object.values(fallback)[0] ?? '') : (fallback ?? '');
  };
  const count = (name: keyof typeof DESCRIBED, least = 1): number => wholeNumber(name, text(name), least);
  const list = (name: keyof typeof DESCRIBED): readonly string[] => [...new Set(text(name).split(','))];
  const seconds = Number(text('seconds'));
  if (!(seconds > 0 && seconds <= 600)) throw new OptionError('--seconds: a number above 0, up to 600');
  const path = (name: 'json' | 'compare' | 'cpu-prof'): string | undefined => text(name) || undefined;
  return {
    mode,
    stores: list('store').map((each) => oneOf('store', each, ['sqlite', 'postgres'])),
    workers: list('workers').map((each) => wholeNumber('workers', each, 1)),
    aks: list('ak').map((each) => oneOf('ak', each, ['rsa', 'p256'])),
    connections: list('connections').map((each) => wholeNumber('connections', each, 1)),
    rate: count('rate', 0),
    prepared: count('prepared', 0),
    seconds,
    rounds: count('rounds'),
    keys: count('keys', 0),
    attesters: count('attesters', 0),
    entries: count('entries', mode === 'log' ? 10 : 0),
    idle: count('idle', 0),
    slow: count('slow', 0),
    json: path('json') ?? `build/bench${mode === 'releases' ? '' : `-${mode}`}.json`,
    compare: path('compare'),
    cpuProfile: path('cpu-prof'),
  };
}

function rawOptions(argv: readonly string[]): Readonly<Record<string, string | boolean | undefined>> {
  const options = Object.entries(DESCRIBED as Readonly<Record<string, Described>>).map(
    ([name, { value }]) => [name, { type: value === undefined ? 'boolean' : 'string' }] as const,
  );
  try {
    return parseArgs({ args: [...argv], options: Object.fromEntries(options), strict: true }).values;
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : 'not an option of the bench');
  }
}

function wholeNumber(name: string, text: string, least: number): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) < least) {
    throw new OptionError(`--${name}: whole numbers from ${String(least)} on, not ${text}`);
  }
  return Number(text);
}

function oneOf<const T extends string>(name: string, text: string, known: readonly T[]): T {
  const found = known.find((each) => each === text);
  if (found === undefined) throw new OptionError(`--${name}: ${known.join(', ')}; not ${text}`);
  return found;
}
