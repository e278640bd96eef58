import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { RollbackReport } from '../compose/accept-rollback.js';
import type { CliContext } from '../context.js';
import { loadBrokerConfig } from '../load-config.js';
import { answer, type Block, type Outcome } from '../outcome.js';
import { verb, type Act } from '../verb.js';

const MAX_REASON_CHARACTERS = 512;

interface AcceptOptions {
  readonly dataDir?: string;
  readonly config?: string;
  readonly force?: string;
  readonly yes?: true;
}

/** `log accept-rollback`: the broker goes on with a database that has lost entries. */
export function addAcceptRollback(log: Command, act: Act): void {
  verb(log, 'accept-rollback', {
    summary: 'go on with a database that has lost entries of its log',
    description:
      'A broker whose database lacks entries that were seen elsewhere (in the checkpoint file, by a witness) releases nothing. ' +
      'If the newer database can be found, restore it. If it is lost, stop the broker and accept the loss here: shows what was ' +
      'lost, and with --yes begins a new log, with a new key, from what survived. Nonces of before are worth nothing then, and ' +
      'every key is frozen until you have looked at what came back with the old database: whatever was revoked, retired or ' +
      'deleted since is undone. The configuration that the broker runs with says where its checkpoint file and witnesses are: ' +
      'give the same --config.',
    examples: [
      'portcullis log accept-rollback --data-dir /var/lib/portcullis',
      'portcullis log accept-rollback --config /etc/portcullis/config.yaml --yes',
      "portcullis log accept-rollback --data-dir /var/lib/portcullis --force 'backup of Monday, disk lost' --yes",
    ],
    next: 'docs/OPERATIONS.md, "The rollback alarm".',
  })
    .option('--data-dir <dir>', 'data directory of the broker (needed here, in PORTCULLIS_DATA_DIR or in --config)')
    .option('--config <file>', 'configuration that the broker runs with, YAML (PORTCULLIS_CONFIG)')
    .option('--force <reason>', 'accept though nothing shows a loss; the reason is kept beside the log', reasonText)
    .option('--yes', 'do it; without, only what was lost is shown')
    .action(act(accept));
}

function reasonText(text: string): string {
  const reason = text.trim();
  if (reason !== '' && reason.length <= MAX_REASON_CHARACTERS) return reason;
  throw new InvalidArgumentError(`Say why, in 1 to ${String(MAX_REASON_CHARACTERS)} characters.`);
}

async function accept(context: CliContext, options: AcceptOptions): Promise<Outcome> {
  const { config } = await loadBrokerConfig(context, options);
  const { acceptLoss } = await import('../compose/accept-rollback.js');
  const done = await acceptLoss({ config, force: options.force, go: options.yes === true });
  if (!done.ok) return done;
  const report = done.value;
  const text = [...lossText(report), '', ...(report.accepted === undefined ? PREVIEW : acceptedText(report))];
  return { ...answer(viewOf(report), text, report.doubts), failed: report.accepted === undefined };
}

function viewOf({ survived, accepted, checkpointFile }: RollbackReport): unknown {
  const { head, newestEntryAt, missing } = survived;
  return {
    accepted: accepted !== undefined,
    previous_origin: head.origin,
    surviving_entries: head.size,
    newest_surviving_entry: newestEntryAt,
    seen: missing.map(({ where, size, root }) => ({ where, size, root: root.toString('hex') })),
    checkpoint_file: checkpointFile,
    ...(accepted === undefined
      ? {}
      : {
          log_origin: accepted.head.origin,
          log_key: accepted.logKey,
          checkpoint: accepted.head.checkpoint,
          epoch: accepted.epoch,
          frozen_keys: accepted.frozenKeys,
        }),
  };
}

function lossText({ survived }: RollbackReport): readonly Block[] {
  const { head, newestEntryAt, missing } = survived;
  const kept = `${String(head.size)} entries, the newest of ${newestEntryAt ?? 'an unknown time'}`;
  const rows = missing.map(({ where, size }) => [`seen in ${where}`, describe(size, head.size)]);
  return [`The log ${head.origin}:`, { rows: [['in the database', kept], ...rows] }];
}

function describe(seen: number, there: number): string {
  const lost = seen - there;
  if (lost > 0) return `${String(seen)} entries: at least the last ${String(lost)} are lost`;
  return `${String(seen)} entries that are not those of the database: another history`;
}

const PREVIEW: readonly Block[] = [
  'Nothing was changed. If the newer database can be found, restore it. To go on without it, stop the broker and say --yes:',
  'a new log begins with what is in the database, nonces of before are worth nothing, and every key is frozen.',
];

function acceptedText({ accepted, survived, checkpointFile }: RollbackReport): readonly Block[] {
  if (accepted === undefined) return [];
  const since = survived.newestEntryAt ?? 'then';
  return [
    'The loss is accepted; the log goes on under a new name and key.',
    {
      rows: [
        ['log key', accepted.logKey],
        ['keys frozen', String(accepted.frozenKeys)],
        ['checkpoint file', checkpointFile],
      ],
    },
    '',
    'Next:',
    `  1. Start the broker, and look at what came back: whatever was revoked, retired, disabled or deleted after ${since} is undone.`,
    '     portcullis token list; portcullis attester list; portcullis policy list; portcullis key list',
    '  2. Give the log key to who pinned the former one: clients, auditors, and each witness, which must know the new log.',
    '     Empty caches in front of /log/: what they hold of the former log is not in this one.',
    '  3. Unfreeze the keys one by one:  portcullis key unfreeze NAME',
  ];
}
