import { verifyLog } from '../../audit/verify-log.js';
import type { EntryView } from '../../release/views.js';
import type { Members } from '../../translog/entry.js';
import { type EntryFilter, matchesEntry } from '../../translog/entry-filter.js';
import { ENTRY_SCHEMAS, isEntryType } from '../../translog/entry-types.js';
import type { CliContext } from '../context.js';
import type { RangeOptions } from '../list-range.js';
import { answer, type Outcome, shown, UsageError } from '../outcome.js';
import { ENTRY_HEAD, entryRow } from './entry-row.js';
import { findingBlocks } from './findings-text.js';
import { type KnownNames, readNames } from './names-file.js';
import { trustOf, type TrustOptions, withLog } from './open-log.js';
import { Progress } from './progress.js';

export const DEFAULT_LIMIT = 50;

/** Which entries are asked for. */
export interface SelectionOptions {
  readonly type?: string;
  readonly deployment?: string;
  readonly key?: string;
  readonly policy?: string;
  readonly ak?: string;
  readonly since?: string;
  readonly until?: string;
}

export interface QueryOptions extends SelectionOptions, RangeOptions, TrustOptions {
  readonly dir?: string;
  readonly names?: string;
}

/** `log query`: over the broker, or over an exported log, which is verified first. */
export async function query(context: CliContext, options: QueryOptions): Promise<Outcome> {
  if (options.dir !== undefined) return queryDirectory(context, options.dir, options);
  for (const name of ['logKey', 'witness', 'quorum', 'names'] as const) {
    if (options[name] === undefined) continue;
    throw new UsageError(
      `--${name === 'logKey' ? 'log-key' : name} goes with --dir; a broker's answer is not verified`,
    );
  }
  return queryBroker(context, options);
}

/** What the broker has recorded; its answer is believed. */
export async function queryBroker(context: CliContext, options: SelectionOptions & RangeOptions): Promise<Outcome> {
  const { type, deployment, key, policy, ak, since, until, limit = DEFAULT_LIMIT, cursor } = options;
  if (type === '') throw new UsageError('--type is empty; leave it out for entries of every type');
  const range = { limit, ...(cursor === undefined ? {} : { cursor }) };
  const selection = { type, deployment, key, policy, ak, since, until };
  const reply = await context.list<EntryView>('/v1/entries', range, selection);
  return shown(reply, ({ items, next_cursor: next }) => [
    {
      head: ENTRY_HEAD,
      rows: items.map(({ index, entry, names }) => entryRow(index, entry as Members, names)),
    },
    ...(next === undefined ? [] : [`More: --cursor ${next}`]),
  ]);
}

interface Found {
  readonly index: number;
  readonly entry: Members;
  readonly names: Readonly<Record<string, string>>;
}

function queryDirectory(context: CliContext, directory: string, options: QueryOptions): Promise<Outcome> {
  const { limit = DEFAULT_LIMIT, cursor } = options;
  const end = cursor === undefined ? Infinity : Number(cursor);
  assertKnownType(options.type);
  if (Number.isNaN(end)) throw new UsageError('--cursor is not one that a query has given');
  return withLog(context, directory, async (source) => {
    const names = await readNames(context, options.names);
    const trusted = await trustOf(context, source, options);
    if (!trusted.ok) return trusted;
    const newest = new Newest(limit, filterOf(options), names);
    const progress = new Progress(context.io, context.json, context.parts.now);
    const report = await verifyLog({
      ...{ source, trust: trusted.value.trust, now: context.parts.now, onProgress: progress.update },
      visit: (index, entry) => {
        if (index < end) newest.offer(index, entry);
      },
    }).finally(() => progress.end());
    if (!report.ok) return report;
    const { trust } = trusted.value;
    const { findings, conflict } = report.value;
    if (findings.count > 0) {
      const json = { ok: false, findings: findings.kept, finding_count: findings.count };
      const text = [
        'The log is NOT in order, so nothing of it is shown.',
        '',
        ...findingBlocks(findings.kept, findings.count, { conflict, trust }),
      ];
      return { ok: true, json, text, failed: true };
    }
    return newest.answer(trusted.value.notes);
  });
}

/** An entry of another type would be a finding, so that one is mistyped. A broker may be newer, and know more types. */
function assertKnownType(type: string | undefined): void {
  if (type === undefined || isEntryType(type)) return;
  const known = Object.keys(ENTRY_SCHEMAS).join(', ');
  throw new UsageError(`--type ${type} is not a type of entry; there are: ${known}`);
}

/** Members that list deployments. */
const LISTS = ['deployments', 'linked', 'unlinked'] as const;

/** As in a broker; besides, a deployment is found in lists. */
function matches(entry: Members, filter: EntryFilter, names: Found['names']): boolean {
  const { deployment, ...others } = filter;
  const plainName = (member: 'deployment' | 'key') => names[member];
  if (deployment === undefined || !lists(entry, deployment, names)) return matchesEntry(entry, filter, plainName);
  return matchesEntry(entry, others, plainName);
}

function lists(entry: Members, deployment: string, names: Found['names']): boolean {
  return LISTS.some((member) => {
    const value = entry[member];
    return (
      Array.isArray(value) &&
      value.some((each: unknown, at) => (names[`${member}/${String(at)}`] ?? each) === deployment.toLowerCase())
    );
  });
}

/** The last entries that match, as many as are wanted. */
class Newest {
  readonly #limit: number;
  readonly #filter: EntryFilter;
  readonly #names: KnownNames;
  #found: Found[] = [];
  #more = false;

  constructor(limit: number, filter: EntryFilter, names: KnownNames) {
    this.#limit = limit;
    this.#filter = filter;
    this.#names = names;
  }

  offer(index: number, entry: Members): void {
    const names = this.#names.of(entry);
    if (!matches(entry, this.#filter, names)) return;
    this.#found.push({ index, entry, names });
    if (this.#found.length < 2 * this.#limit) return;
    this.#more = true;
    this.#found = this.#found.slice(-this.#limit);
  }

  answer(notes: readonly string[]): Outcome {
    const found = this.#found.slice(-this.#limit).reverse();
    const next = this.#more || found.length < this.#found.length ? found.at(-1)?.index : undefined;
    const items = found.map(({ index, entry, names }) => {
      return { index, type: entry['type'], entry, ...(Object.keys(names).length === 0 ? {} : { names }) };
    });
    const json = { items, ...(next === undefined ? {} : { next_cursor: String(next) }) };
    const rows = found.map(({ index, entry, names }) => entryRow(index, entry, names));
    const more = next === undefined ? [] : [`More: --cursor ${String(next)}`];
    return answer(json, [{ head: ENTRY_HEAD, rows }, ...more], notes);
  }
}

function filterOf({ type, deployment, key, policy, ak, since, until }: QueryOptions): EntryFilter {
  return {
    ...(type === undefined ? {} : { type }),
    ...(deployment === undefined ? {} : { deployment }),
    ...(key === undefined ? {} : { key }),
    ...(policy === undefined ? {} : { policy }),
    ...(ak === undefined ? {} : { ak }),
    ...(since === undefined ? {} : { sinceMs: Date.parse(since) }),
    ...(until === undefined ? {} : { untilMs: Date.parse(until) }),
  };
}
