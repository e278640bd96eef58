import { Option, type Command } from 'commander';
import type { Profile } from '../compose/ports.js';
import type { CliContext } from '../context.js';
import { answer, type Outcome } from '../outcome.js';
import { pathOf } from '../read-input.js';
import { verb, type Act } from '../verb.js';

const PROFILES: readonly Profile[] = ['development', 'production'];

/** `init`: the data directory of a new broker. */
export function addInit(program: Command, act: Act): void {
  verb(program, 'init', {
    summary: 'make the data directory of a new broker',
    description:
      'Makes a data directory: the key-encryption key, the keys of the broker, its store, and the first admin token, which is ' +
      'shown once. The directory must be new or empty; one that holds anything is left untouched. The profile is fixed here ' +
      'for good: development brokers believe simulated TPMs, production brokers never do.',
    examples: [
      'portcullis init --data-dir /var/lib/portcullis',
      'portcullis init --data-dir ./broker --profile development --json | jq -r .admin_token > admin.token',
    ],
    next: '`portcullis serve --data-dir D` runs the broker.',
  })
    .requiredOption('--data-dir <dir>', 'directory to make, mode 0700')
    .addOption(
      new Option('--profile <profile>', 'what the broker will believe').choices(PROFILES).default('production'),
    )
    .action(act(init));
}

async function init(context: CliContext, options: { dataDir: string; profile: Profile }): Promise<Outcome> {
  const dataDir = pathOf(context.io, options.dataDir);
  const made = await context.parts.initialise({ dataDir, profile: options.profile });
  if (!made.ok) return made;
  const { broker, adminToken, logKey, profile } = made.value;
  const text = [
    `Broker ${broker} is made in ${dataDir}, for the ${profile} profile.`,
    '',
    {
      rows: [
        ['admin token (shown this once)', adminToken],
        ['log key', logKey],
      ],
    },
    '',
    'Next:',
    '  1. Keep the token in a file that only you can read:  (umask 077; cat > admin.token)',
    '  2. Keep a copy of kek.json where the data directory is not: without it nothing is ever released again.',
    `  3. Run the broker:  portcullis serve --data-dir ${options.dataDir}`,
    '  4. Apply a deployment:  portcullis deployment apply FILE --token-file admin.token',
  ];
  return answer({ broker, admin_token: adminToken, log_key: logKey, profile }, text);
}
