import type { Command } from 'commander';
import { addSelectionOptions } from '../entry-options.js';
import { addRangeOptions, type RangeOptions } from '../list-range.js';
import type { SelectionOptions } from '../log/query.js';
import { verb, type Act } from '../verb.js';

const DEFAULT_LIMIT = '50';

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
    next: '`portcullis log verify --help` checks the log itself; `portcullis deployment show NAME` has what is accepted now.',
  });
  addRangeOptions(addSelectionOptions(entries), DEFAULT_LIMIT).action(
    act(async (context, options: SelectionOptions & RangeOptions) => {
      return (await import('../log/query.js')).queryBroker(context, options);
    }),
  );
}
