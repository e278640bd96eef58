import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import { Option, type Command } from 'commander';
import { integer } from '../arguments.js';
import type { CliContext } from '../context.js';
import { type ConfigOptions, loadBrokerConfig, type Loaded } from '../load-config.js';
import { answer, UsageError, type Answer, type Outcome } from '../outcome.js';
import { printAnswer } from '../output.js';
import { verb, type Act } from '../verb.js';

const MAX_WORKERS = 1024;

interface ServeOptions extends ConfigOptions {
  readonly workers?: number;
  readonly checkConfig?: true;
}

/** `serve`: runs the broker. */
export function addServe(program: Command, act: Act): void {
  verb(program, 'serve', {
    summary: 'run the broker',
    description:
      'Runs the broker over a data directory and prints `listening on URL` on stdout when it is ready. In the development ' +
      'profile an empty data directory is initialised first, and the admin token written to admin.token in it; the production ' +
      'profile never initialises by itself, and without TLS listens on loopback only. Flags win over the environment ' +
      '(PORTCULLIS_LISTEN and so on), the environment over --config.',
    examples: [
      'portcullis serve --data-dir ./broker --profile development',
      'portcullis serve --config /etc/portcullis/config.yaml',
      'portcullis serve --data-dir /var/lib/portcullis --listen 0.0.0.0:8440 --tls-cert server.pem --tls-key server.key',
      'portcullis serve --config /etc/portcullis/config.yaml --check-config',
    ],
    next: '`portcullis doctor --data-dir D`; /readyz says when the broker can release; docs/OPERATIONS.md has the rest.',
  })
    .option('--data-dir <dir>', 'data directory that init made (needed here, in PORTCULLIS_DATA_DIR or in --config)')
    .option('--listen <host:port>', 'where to listen; port 0 takes any free one (default: 127.0.0.1:8440)')
    .option('--tls-cert <file>', 'certificate chain for TLS, PEM, the leaf first')
    .option('--tls-key <file>', 'private key of the certificate, PEM')
    .option('--config <file>', 'configuration, YAML (PORTCULLIS_CONFIG); relative paths in it are relative to it')
    .addOption(
      new Option('--profile <profile>', 'insist on the profile that init fixed').choices(['development', 'production']),
    )
    .option(
      '--workers <n>',
      `processes that serve, 1 to ${String(MAX_WORKERS)} (PORTCULLIS_WORKERS; default: all cores)`,
      integer(1, MAX_WORKERS),
    )
    .option('--check-config', 'say what would be used and why, and do not serve')
    .action(act(serve));
}

async function serve(context: CliContext, options: ServeOptions): Promise<Outcome> {
  const loaded = await loadBrokerConfig(context, options);
  if (options.checkConfig === true) return explain(loaded, context.parts.now());
  // Workers run this command line too; what they would say has been said.
  if (cluster.isPrimary) for (const warning of loaded.warnings) context.io.stderr.write(`warning: ${warning}\n`);
  let listening: Promise<void> | undefined;
  try {
    const exitCode = await context.parts.serve({
      config: loaded.config,
      workers: options.workers ?? workersIn(context.io.env['PORTCULLIS_WORKERS']) ?? availableParallelism(),
      onListening: (url) => {
        listening = printAnswer(context.io, context.json, listeningOn(url));
      },
    });
    await listening;
    return { ...answer(undefined, []), printed: true, exitCode };
  } catch (error) {
    if (listening === undefined) throw error;
    // What --json prints on stdout has been printed.
    context.io.stderr.write(
      `portcullis: the broker has failed: ${error instanceof Error ? error.message : 'unknown error'}\n`,
    );
    return { ...answer(undefined, []), printed: true, failed: true };
  }
}

function listeningOn(url: string): Answer {
  return { ok: true, json: { listening: url }, text: [`listening on ${url}`] };
}

async function explain({ config, origins, warnings }: Loaded, atMs: number): Promise<Outcome> {
  const { explainConfig } = await import('../../config/explain.js');
  const { explainCrls } = await import('../compose/revocation-lists.js');
  const { explainCollateral } = await import('../collateral/explain.js');
  return answer(
    { config, origins, warnings },
    [
      ...explainConfig(config, origins),
      ...(await explainCrls(config.endorsement)),
      ...(await explainCollateral(config, atMs)),
    ],
    warnings.map((warning) => `warning: ${warning}`),
  );
}

function workersIn(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  if (/^[1-9]\d{0,3}$/.test(text) && Number(text) <= MAX_WORKERS) return Number(text);
  throw new UsageError(`PORTCULLIS_WORKERS must be a whole number from 1 to ${String(MAX_WORKERS)}`);
}
