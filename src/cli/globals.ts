import { Option, type Command } from 'commander';

export const DEFAULT_URL = 'http://127.0.0.1:8440';
const HEADING = 'Global options:';

/** What the global options say, wherever on the line they stand. */
export interface GlobalOptions {
  readonly url?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  readonly json: boolean;
}

/** Gives a command and all below it the global options, so that they may stand before and after the sub-command. */
export function addGlobalOptions(command: Command): void {
  const options = [
    new Option('--url <url>', `where the broker listens (PORTCULLIS_URL; default ${DEFAULT_URL})`),
    new Option(
      '--token-file <file>',
      'file that holds the admin token, - for stdin (PORTCULLIS_TOKEN_FILE; or PORTCULLIS_TOKEN holds the token)',
    ),
    new Option('--ca <file>', 'PEM certificates to trust for https instead of those of the system (PORTCULLIS_CA)'),
    new Option(
      '--client-cert <file>',
      'PEM certificate to show to a broker that asks for one (PORTCULLIS_CLIENT_CERT)',
    ),
    new Option('--client-key <file>', 'PEM private key of --client-cert (PORTCULLIS_CLIENT_KEY)'),
    new Option('--json', 'print one JSON document on stdout and nothing else there'),
  ];
  for (const option of options) command.addOption(option.helpGroup(HEADING));
  for (const child of command.commands) addGlobalOptions(child);
}

const VALUED = ['url', 'tokenFile', 'ca', 'clientCert', 'clientKey'] as const;

/** The global options as given: of two, the one nearest to the end of the line counts. */
export function globalOptionsOf(leaf: Command): GlobalOptions {
  const files: Partial<Record<(typeof VALUED)[number], string>> = {};
  let json = false;
  for (let command: Command | null = leaf; command !== null; command = command.parent) {
    const given = command.opts<typeof files & { json?: true }>();
    for (const name of VALUED) if (given[name] !== undefined) files[name] ??= given[name];
    json ||= given.json === true;
  }
  return { ...files, json };
}
