import type { Command } from 'commander';
import type { EntryView } from '../../release/views.js';
import { deploymentName } from '../arguments.js';
import { addRangeOptions, type RangeOptions } from '../list-range.js';
import { shown, UsageError } from '../outcome.js';
import { verb, type Act } from '../verb.js';

const DEFAULT_LIMIT = 50;

interface EntriesOptions extends RangeOptions {
  readonly type?: string;
  readonly deployment?: string;
}

/** `entries`: what the broker recorded. */
export function addEntries(program: Command, act: Act): void {
  const entries = verb(program, 'entries', {
    summary: 'list what the broker recorded: releases, denials, changes',
    description:
      'Lists entries of the log, newest first: every release, recorded denials with the conditions that were not met, and ' +
      'every change of what may be released. --json has the entries whole.',
    examples: [
      'portcullis entries --deployment llm-inference --limit 10',
      'portcullis entries --type release --json | jq .items[].entry',
    ],
    next: '`portcullis deployment show NAME` for what a deployment accepts now.',
  })
    .option('--type <type>', 'only entries of this type, such as release or denial')
    .option('--deployment <name>', 'only entries about this deployment', deploymentName);
  addRangeOptions(entries, String(DEFAULT_LIMIT)).action(
    act(async (context, { type, deployment, ...range }: EntriesOptions) => {
      if (type === '') throw new UsageError('--type is empty; leave it out for entries of every type');
      const reply = await context.list<EntryView>(
        '/v1/entries',
        { limit: DEFAULT_LIMIT, ...range },
        { type, deployment },
      );
      return shown(reply, ({ items, next_cursor: next }) => [
        { head: ['index', 'time', 'type', 'about'], rows: items.map(row) },
        ...(next === undefined ? [] : [`More: --cursor ${next}`]),
      ]);
    }),
  );
}

/** Members that say what an entry is about; the rest is in --json. */
const ABOUT = ['reason', 'deployment', 'key', 'version', 'actor', 'token', 'ak_name'];

function row({ index, type, entry }: EntryView): readonly string[] {
  const members = typeof entry === 'object' && entry !== null ? (entry as Readonly<Record<string, unknown>>) : {};
  const text = (name: string) => (typeof members[name] === 'string' ? members[name] : '');
  const about = ABOUT.filter((name) => text(name) !== '').map((name) => `${name}=${text(name)}`);
  return [String(index), text('time'), type, about.join(' ')];
}
