import cluster from 'node:cluster';
import { existsSync } from 'node:fs';
import type { Config } from '../../config/config.js';
import { UsageError } from '../outcome.js';
import { dataDir, isEmpty } from './data-dir.js';
import type { ServeOptions } from './ports.js';

/**
 * Runs the broker until it is told to stop; the exit code. With several workers this process supervises them, serves
 * nothing itself, and loads nothing of what serves. An empty data directory is initialised in the development profile alone. Throws UsageError for what the
 * command line or the configuration must change, and the errors of opening the data directory.
 */
export async function serve({ config, workers, onListening }: ServeOptions): Promise<number> {
  if (cluster.isWorker) return (await import('./worker.js')).serveAsWorker(config, workers);
  await prepareDataDir(config);
  if (workers > 1) return (await import('./supervisor.js')).superviseWorkers(workers, onListening);
  return (await import('./serve-process.js')).serveInThisProcess(config, { onListening });
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
  const { initialise, writePrivateFile } = await import('./init.js');
  const made = await initialise({ dataDir: paths.path, profile: 'development', store: config.store });
  if (!made.ok) throw new UsageError(made.detail);
  writePrivateFile(paths.adminToken, `${made.value.adminToken}\n`);
}
