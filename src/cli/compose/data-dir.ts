import { chmodSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../config/config.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { UsageError } from '../outcome.js';

/** Where things lie in a data directory. Everything in it is 0600, the directory 0700. */
export interface DataDir {
  readonly path: string;
  readonly kek: string;
  readonly database: string;
  /** The newest checkpoint of the log, unless `log.checkpoint_file` names another place. */
  readonly checkpoint: string;
  /** The newest checkpoint with the cosignatures of a quorum, which the processes of a broker leave there for each other. */
  readonly cosigned: string;
  /** The first admin token: development profile only. */
  readonly adminToken: string;
  readonly simulatorCa: string;
  readonly simulatorKey: string;
}

export function dataDir(path: string): DataDir {
  return {
    path,
    kek: join(path, 'kek.json'),
    database: join(path, 'portcullis.db'),
    checkpoint: join(path, 'log.checkpoint'),
    cosigned: join(path, 'log.cosigned'),
    adminToken: join(path, 'admin.token'),
    simulatorCa: join(path, 'simulator-ca.pem'),
    simulatorKey: join(path, 'simulator-ca.key'),
  };
}

/** Where the newest checkpoint of the log is kept. */
export function checkpointPath({ dataDir: path, log }: Pick<Config, 'dataDir' | 'log'>): string {
  return log.checkpointFile ?? dataDir(path).checkpoint;
}

/** Whether nothing is there: no such directory, or an empty one. */
export function isEmpty(path: string): boolean {
  try {
    return readdirSync(path).length === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
}

/** Makes the directory, or takes an empty one, with mode 0700 whatever the umask. resource.exists where it holds anything. */
export function createDataDir(path: string): Result<DataDir> {
  if (!isEmpty(path)) {
    return reject('resource.exists', `${path} holds something already and was left untouched; choose a new directory`);
  }
  mkdirSync(path, { recursive: true, mode: 0o700 });
  chmodSync(path, 0o700);
  return accept(dataDir(path));
}

/** Refuses a data directory that others than its owner can enter: what to do, or undefined. Throws UsageError where there is no such directory. */
export function dataDirFault(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true) {
    throw new UsageError(
      `there is no data directory ${path}; name the one of the broker, or make one with: portcullis init --data-dir ${path}`,
    );
  }
  const mode = stat.mode & 0o777;
  if ((mode & 0o077) === 0) return undefined;
  return `${path} is open to others (mode ${mode.toString(8)}); run: chmod 700 ${path}`;
}
