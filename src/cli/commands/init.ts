import { Option, type Command } from 'commander';
import { insecureStore, type StoreUrl } from '../../config/store-url.js';
import type { Profile } from '../compose/ports.js';
import type { CliContext } from '../context.js';
import { loadBrokerConfig } from '../load-config.js';
import { answer, UsageError, type Outcome } from '../outcome.js';
import { pathOf } from '../read-input.js';
import { verb, type Act } from '../verb.js';

const PROFILES: readonly Profile[] = ['development', 'production'];

/** `init`: the data directory of a new broker. */
export function addInit(program: Command, act: Act): void {
  verb(program, 'init', {
    summary: 'make the data directory of a new broker',
    description:
      'Makes a data directory: the key-encryption key, the keys of the broker, its store, and the first admin token, which is ' +
      'shown once. The directory must be new or empty; one that holds anything is left untouched, and so is a database of several ' +
      'replicas (store.url in --config, or PORTCULLIS_STORE_URL) that holds a broker. The profile is fixed here ' +
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
    .option(
      '--config <file>',
      'configuration that names the database of several replicas in store.url (PORTCULLIS_CONFIG)',
    )
    .action(act(init));
}

interface InitOptions {
  readonly dataDir: string;
  readonly profile: Profile;
  readonly config?: string;
}

async function init(context: CliContext, options: InitOptions): Promise<Outcome> {
  const dataDir = pathOf(context.io, options.dataDir);
  const store = await storeOf(context, options);
  const made = await context.parts.initialise({ dataDir, profile: options.profile, store });
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

/** The database that the configuration or PORTCULLIS_STORE_URL names; nothing else of the configuration matters here. */
async function storeOf(context: CliContext, { dataDir, profile, config }: InitOptions): Promise<StoreUrl | undefined> {
  const { env } = context.io;
  const isNamed = [config, env['PORTCULLIS_CONFIG'], env['PORTCULLIS_STORE_URL']].some((each) => (each ?? '') !== '');
  if (!isNamed) return undefined;
  const loaded = await loadBrokerConfig(context, { dataDir, ...(config === undefined ? {} : { config }) });
  const fault = profile === 'production' ? insecureStore(loaded.config.store) : undefined;
  if (fault !== undefined) throw new UsageError(fault);
  return loaded.config.store;
}
