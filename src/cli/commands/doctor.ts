import type { Command } from 'commander';
import type { Config } from '../../config/config.js';
import { dataDir } from '../compose/data-dir.js';
import type { CollateralPlace } from '../compose/collateral.js';
import type { Profile } from '../compose/ports.js';
import type { CliContext } from '../context.js';
import type { Finding } from '../doctor/finding.js';
import type { StoreReport } from '../doctor/store.js';
import { loadBrokerConfig } from '../load-config.js';
import { answer, UsageError, type Outcome } from '../outcome.js';
import { pathOf } from '../read-input.js';
import { verb, type Act } from '../verb.js';

interface DoctorOptions {
  readonly dataDir?: string;
  readonly config?: string;
  readonly deployment?: string;
  readonly offline?: true;
}

/** `doctor`: what is wrong with an installation. */
export function addDoctor(program: Command, act: Act): void {
  verb(program, 'doctor', {
    summary: 'say what is wrong with an installation',
    description:
      'Looks at this machine (Node, tpm2-tools, TPM device), at the broker (reachable, ready, clock, TLS certificate, token), ' +
      'at a data directory (modes, owner, KEK, database, disk, nonces, log, checkpoint file, CRLs and collateral) and at a deployment document, and says for each what ' +
      'is wrong and what to do. It repairs nothing. Exit code 1 when anything fails; warnings do not count.',
    examples: [
      'portcullis doctor',
      'sudo -u portcullis portcullis doctor --data-dir /var/lib/portcullis --deployment llm-inference.yaml',
    ],
    next: 'docs/OPERATIONS.md has the rest.',
  })
    .option('--data-dir <dir>', 'data directory of a broker on this machine')
    .option(
      '--config <file>',
      'configuration that the broker runs with, where it names a database or CRLs (PORTCULLIS_CONFIG)',
    )
    .option('--deployment <file>', 'deployment document to check')
    .option('--offline', 'leave the broker at --url out')
    .action(act(examine));
}

async function examine(context: CliContext, options: DoctorOptions): Promise<Outcome> {
  const { machineFindings } = await import('../doctor/machine.js');
  const findings: Finding[] = [...machineFindings(process.versions.node, context.io.env)];
  let profile: Profile = 'production';
  let collateral: CollateralPlace | undefined;
  if (options.dataDir !== undefined) {
    const path = pathOf(context.io, options.dataDir);
    const { dataDirFindings } = await import('../doctor/data-dir.js');
    findings.push(...(await dataDirFindings(path)));
    const store = await storeFindings(context, path, options.config);
    findings.push(...store.findings);
    profile = store.profile ?? profile;
    findings.push(...(await crlFindings(context, path, options.config)));
    collateral = await collateralPlace(context, path, options.config);
    const { collateralFindings } = await import('../doctor/collateral.js');
    findings.push(...(await collateralFindings(collateral, context.parts.now())));
  }
  if (options.offline !== true) {
    const { brokerFindings } = await import('../doctor/broker.js');
    findings.push(...(await brokerFindings(context)));
  }
  if (options.deployment !== undefined)
    findings.push(...(await documentFindings(context, options.deployment, profile, collateral)));
  return report(findings);
}

/** What the configuration names as the store, with its log: the database that replicas share, or the file in the data directory. */
async function storeFindings(context: CliContext, path: string, configFile: string | undefined): Promise<StoreReport> {
  const { env } = context.io;
  if (isNamed(configFile, env['PORTCULLIS_CONFIG'], env['PORTCULLIS_STORE_URL'])) {
    const config = await configOf(context, path, configFile);
    if (config.store !== undefined) {
      const { databaseReport } = await import('../doctor/database.js');
      return databaseReport(config, config.store);
    }
  }
  const { storeReport } = await import('../doctor/store.js');
  const report = storeReport(dataDir(path).database, context.parts.now());
  const { logFindings } = await import('../doctor/log.js');
  const kept = env['PORTCULLIS_LOG_CHECKPOINT_FILE'] ?? '';
  const { database, checkpoint } = dataDir(path);
  const log = await logFindings(database, kept === '' ? checkpoint : pathOf(context.io, kept));
  return { ...report, findings: [...report.findings, ...log] };
}

/** The CRLs that the configuration names. */
async function crlFindings(
  context: CliContext,
  path: string,
  configFile: string | undefined,
): Promise<readonly Finding[]> {
  const { env } = context.io;
  if (!isNamed(configFile, env['PORTCULLIS_CONFIG'], env['PORTCULLIS_ENDORSEMENT_CRLS'])) return [];
  const { endorsement } = await configOf(context, path, configFile);
  const { revocationListFindings } = await import('../doctor/revocation-lists.js');
  return revocationListFindings(endorsement, context.parts.now());
}

/** Where the configuration has the collateral, or the data directory. */
async function collateralPlace(
  context: CliContext,
  path: string,
  configFile: string | undefined,
): Promise<CollateralPlace> {
  const { env } = context.io;
  const isConfigured = isNamed(configFile, env['PORTCULLIS_CONFIG'], env['PORTCULLIS_COLLATERAL_DIR']);
  return isConfigured ? configOf(context, path, configFile) : { dataDir: path, collateral: { dir: undefined } };
}

function isNamed(...names: readonly (string | undefined)[]): boolean {
  return names.some((name) => (name ?? '') !== '');
}

async function configOf(context: CliContext, path: string, configFile: string | undefined): Promise<Config> {
  const named = configFile === undefined ? {} : { config: configFile };
  return (await loadBrokerConfig(context, { dataDir: path, ...named })).config;
}

/** `collateral`: of the broker that the document is for, where its data directory is at hand. */
async function documentFindings(
  context: CliContext,
  file: string,
  profile: Profile,
  collateral: CollateralPlace | undefined,
): Promise<readonly Finding[]> {
  const { lintFile } = await import('../deployment-lint.js');
  const check = `deployment ${file}`;
  try {
    const linted = await lintFile(context, file, profile);
    if (!linted.ok) {
      return [
        {
          check,
          status: 'fail',
          detail: `${linted.reason}: ${linted.detail}`,
          advice: `correct it for the ${profile} profile`,
        },
      ];
    }
    const { warnings, deployment } = linted.value;
    const { deploymentCollateralFindings } = await import('../doctor/collateral.js');
    const lacking =
      collateral === undefined ? [] : await deploymentCollateralFindings(collateral, deployment, context.parts.now());
    if (warnings.length === 0) return [{ check, status: 'ok', detail: 'nothing to say against it' }, ...lacking];
    return [...warnings.map((detail): Finding => ({ check, status: 'warn', detail })), ...lacking];
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return [{ check, status: 'fail', detail: error.message, advice: 'correct the file name' }];
  }
}

function report(findings: readonly Finding[]): Outcome {
  const failed = findings.filter((finding) => finding.status === 'fail').length;
  const warned = findings.filter((finding) => finding.status === 'warn').length;
  const blocks = findings.flatMap((finding) => [
    `${finding.status.padEnd(4)}  ${finding.check}: ${finding.detail}`,
    ...(finding.advice === undefined ? [] : [`      -> ${finding.advice}`]),
  ]);
  const verdict =
    failed + warned === 0 ? 'Everything is in order.' : `${String(failed)} failed, ${String(warned)} warnings.`;
  return { ...answer({ ok: failed === 0, findings }, [...blocks, '', verdict]), failed: failed > 0 };
}
