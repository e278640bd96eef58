import cluster from 'node:cluster';
import { existsSync } from 'node:fs';
import type { Config } from '../../config/config.js';
import { UsageError } from '../outcome.js';
import { dataDir, isEmpty } from './data-dir.js';
import { initialise, writePrivateFile } from './init.js';
import { refuseExposure, refuseOtherNames } from './exposure.js';
import { openBroker, ProfileError } from './open-broker.js';
import type { ServeOptions } from './ports.js';
import { readTls, serveInThisProcess } from './serve-process.js';
import { serveAsWorker, superviseWorkers } from './workers.js';

/**
 * Runs the broker until it is told to stop; the exit code. With several workers this process supervises them and serves
 * nothing itself. An empty data directory is initialised in the development profile alone. Throws UsageError for what the
 * command line or the configuration must change, and the errors of opening the data directory.
 */
export async function serve({ config, workers, onListening }: ServeOptions): Promise<number> {
  if (cluster.isWorker) return serveAsWorker(config, workers);
  await prepareDataDir(config);
  try {
    if (workers === 1) return await serveInThisProcess(config, { onListening });
    await assertServable(config);
    return await superviseWorkers(workers, onListening);
  } catch (error) {
    if (error instanceof ProfileError) throw new UsageError(error.message);
    throw error;
  }
}

/** What would end every worker ends here, once: before they are started, the directory is opened as they will open it. */
async function assertServable(config: Config): Promise<void> {
  const observer = { challenged: ignore, released: ignore, denied: ignore, committed: ignore };
  const { dataDir: path, store, profile, limits, explain, log, archiveEvidence } = config;
  const { challengeTtlMs } = limits;
  const open = await openBroker({
    dataDir: path,
    store,
    profile,
    challengeTtlMs,
    explain,
    logNames: log.names,
    archiveEvidence,
    observer,
  });
  try {
    await refuseOtherNames(config, open.context.store);
  } finally {
    await open.close();
  }
  refuseExposure(config, open.profile);
  readTls(config);
}

function ignore(): void {
  // Nobody watches a rehearsal.
}

async function prepareDataDir(config: Config): Promise<void> {
  const paths = dataDir(config.dataDir);
  if (!isEmpty(paths.path)) {
    if (existsSync(paths.kek) && (config.store !== undefined || existsSync(paths.database))) return;
    throw new UsageError(
      `${paths.path} holds no broker, and is not empty; name the directory that portcullis init made`,
    );
  }
  if (config.profile !== 'development') {
    const further =
      config.store === undefined
        ? ''
        : '; for a further replica copy kek.json of the first one into it (docs/OPERATIONS.md, "PostgreSQL and several replicas")';
    throw new UsageError(`${paths.path} is not initialised; run: portcullis init --data-dir ${paths.path}${further}`);
  }
  const made = await initialise({ dataDir: paths.path, profile: 'development', store: config.store });
  if (!made.ok) throw new UsageError(made.detail);
  writePrivateFile(paths.adminToken, `${made.value.adminToken}\n`);
}
