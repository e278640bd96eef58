import type { Command } from 'commander';
import { integer } from '../arguments.js';
import { addSelectionOptions } from '../entry-options.js';
import { addRangeOptions } from '../list-range.js';
import type { ExportOptions } from '../log/export.js';
import type { QueryOptions } from '../log/query.js';
import type { TailOptions } from '../log/tail.js';
import type { VerifyOptions } from '../log/verify.js';
import { answer } from '../outcome.js';
import { noun, verb, type Act } from '../verb.js';
import { addAcceptRollback } from './log-accept-rollback.js';
import { LOG_KEY_TEXT, QUORUM_TEXT, WITNESS_TEXT, witnessOption } from '../verifier-key.js';

const MAX_QUORUM = 64;
const MAX_LINES = 10_000;
const MAX_REREAD = 100_000;
const MAX_INTERVAL_SECONDS = 3600;
const DEFAULT_LIMIT = '50';
const NAMES_TEXT = 'JSON that maps names to their salts, as receipts have them, for entries whose names are salted';
const TOLD_KEY_TEXT = `${LOG_KEY_TEXT} (default: what the place itself names, believed on its word)`;

/** `log verify|tail|query|export|schema`. */
export function addLog(program: Command, act: Act): void {
  const log = noun(program, 'log', {
    summary: 'audit the transparency log of a broker',
    description:
      'Reads the transparency log of a broker, or a copy of it, and checks it: nothing that is read is believed that the log ' +
      'key has not signed.',
    examples: ['portcullis log verify --url https://broker.example:8440 --log-key log.vkey'],
    next: '`portcullis log verify --help`; docs/LOG.md says what the log holds and what it proves.',
  });
  addVerify(log, act);
  addTail(log, act);
  addQuery(log, act);
  addExport(log, act);
  addSchema(log, act);
  addAcceptRollback(log, act);
}

function addVerify(log: Command, act: Act): void {
  const command = verb(log, 'verify', {
    summary: 'recompute the whole log, and check what it means',
    description:
      'Fetches every entry, recomputes the tree and compares it with the signed checkpoint and with every hash tile; checks ' +
      'that the log only grew since the last time; and reads the entries in order: no release under a policy that was not ' +
      'registered and valid then, to an AK that was not trusted then, of a key that was frozen then. How far it came is kept ' +
      'in a state file, and the next run goes on from there; of what earlier runs verified it reads some again, chosen at random: ' +
      'of b bundles of 256 entries n, so that one that was changed since is found with probability n/b (after r runs ' +
      '1-(1-n/b)^r). Rollbacks that were accepted are shown, and held against the state ' +
      'file of the former log where there is one. Exit code 0 when all is in order, 1 with findings.',
    examples: [
      'portcullis log verify --url https://broker.example:8440 --log-key log.vkey',
      'portcullis log verify --dir ./mirror --log-key log.vkey --state ./mirror.state.json',
      'portcullis log verify --log-key log.vkey --witness w1.vkey --witness w2.vkey --quorum 1 --json',
    ],
    next: 'with findings: keep the output and the state file; docs/LOG.md says what each one means.',
  })
    .requiredOption('--log-key <key>', LOG_KEY_TEXT)
    .option('--dir <dir>', 'read an exported log in this directory instead of a broker')
    .option(
      '--state <file>',
      'where to remember how far the log was verified (default: a file for each log below ~/.local/state/portcullis)',
    )
    .option('--from-start', 'recompute everything, also what earlier runs did')
    .option(
      '--reread <bundles>',
      'how many bundles (256 entries) that earlier runs verified to read again (default: 128)',
      integer(0, MAX_REREAD),
    );
  addWitnessOptions(command).action(
    act(async (context, options: VerifyOptions) => (await import('../log/verify.js')).verify(context, options)),
  );
}

function addTail(log: Command, act: Act): void {
  const command = verb(log, 'tail', {
    summary: 'print the newest entries, and follow the log',
    description:
      'Prints the newest entries of the log of a broker. Each one is verified to be in the tree that the log key signed, and ' +
      'while following, each new tree to start with the one before. What the entries mean is not checked: log verify does ' +
      'that. With --follow, --json prints one document a line.',
    examples: [
      'portcullis log tail -n 20 --log-key log.vkey',
      'portcullis log tail --follow --json --log-key log.vkey | jq -c .entry',
    ],
    next: '`portcullis log verify --help` checks the log as a whole.',
  })
    .option('--log-key <key>', TOLD_KEY_TEXT)
    .option('-n, --lines <n>', 'how many entries to begin with (default: 10)', integer(0, MAX_LINES))
    .option('--follow', 'go on, and print entries as they come')
    .option('--interval <seconds>', 'how often to look for new ones (default: 2)', integer(1, MAX_INTERVAL_SECONDS))
    .option('--names <file>', NAMES_TEXT);
  addWitnessOptions(command).action(
    act(async (context, options: TailOptions) => (await import('../log/tail.js')).tail(context, options)),
  );
}

function addQuery(log: Command, act: Act): void {
  const command = verb(log, 'query', {
    summary: 'find entries by deployment, key, policy, attester or time',
    description:
      'Finds entries, newest first: in a broker, whose answer is believed, with a token of an auditor; or with --dir in an ' +
      'exported log, which is verified first. In a broker, names are found however they stand in the log; in an exported ' +
      'log whose names are salted, with --names alone. With --dir, --deployment also finds entries that list the deployment ' +
      '(key.created, key.linked); a broker does not look at lists.',
    examples: [
      'portcullis log query --type release --key weights --since 2026-11-01T00:00:00Z',
      'portcullis log query --dir ./mirror --log-key log.vkey --ak 5f…(64 hex digits) --json',
    ],
    next: '`portcullis receipt verify` checks one release; `portcullis log export` makes a copy.',
  })
    .option('--dir <dir>', 'read an exported log in this directory instead of a broker')
    .option('--log-key <key>', `with --dir: ${TOLD_KEY_TEXT}`)
    .option('--names <file>', `with --dir: ${NAMES_TEXT}`);
  addSelectionOptions(command);
  addWitnessOptions(addRangeOptions(command, DEFAULT_LIMIT), 'with --dir: ').action(
    act(async (context, options: QueryOptions) => (await import('../log/query.js')).query(context, options)),
  );
}

function addExport(log: Command, act: Act): void {
  const command = verb(log, 'export', {
    summary: 'copy the log into a directory',
    description:
      'Copies the log of a broker into a directory of static files, in the layout of C2SP tlog-tiles, which any web server ' +
      'can serve and any client of such logs can read, without a broker. Each file is verified before it is written. Run ' +
      'again, it fetches what is new.',
    examples: [
      'portcullis log export --out ./mirror --log-key log.vkey',
      'portcullis log verify --dir ./mirror --log-key log.vkey',
    ],
    next: '`portcullis log verify --dir DIR` checks what the entries mean.',
  })
    .requiredOption('--out <dir>', 'directory to copy into: empty, or one that this log was exported into before')
    .option('--log-key <key>', TOLD_KEY_TEXT);
  addWitnessOptions(command).action(
    act(async (context, options: ExportOptions) =>
      (await import('../log/export.js')).exportToDirectory(context, options),
    ),
  );
}

function addSchema(log: Command, act: Act): void {
  verb(log, 'schema', {
    summary: 'print the JSON Schema of log entries',
    description:
      'Prints the JSON Schema (draft 2020-12) that every entry of the log is valid against, one type an alternative.',
    examples: ['portcullis log schema > log-entry.schema.json'],
    next: 'docs/LOG.md explains the types.',
  }).action(
    act(async () => {
      const { entryJsonSchema } = await import('../../translog/entry-schemas.js');
      const schema = entryJsonSchema();
      return answer(schema, [JSON.stringify(schema, undefined, 2)]);
    }),
  );
}

function addWitnessOptions(command: Command, prefix = ''): Command {
  return command
    .option('--witness <key>', `${prefix}${WITNESS_TEXT}`, witnessOption)
    .option('--quorum <n>', `${prefix}${QUORUM_TEXT}`, integer(1, MAX_QUORUM));
}
