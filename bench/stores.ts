import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PostgresServer } from '../test/helpers/postgres.js';
import { cpuSeconds, processTree } from './process-tree.js';

export type StoreKind = 'sqlite' | 'postgres';

/** Where a broker of the bench keeps its state. */
export interface BenchStore {
  /** Undefined: SQLite, in the broker's data directory. */
  readonly storeUrl: string | undefined;
  /** CPU time of processes that are the store's alone. */
  readonly databaseCpuSeconds: () => number;
  readonly close: () => Promise<void>;
}

/** For `postgres` a private server, durable as it comes, with an empty database. */
export async function openStore(kind: StoreKind): Promise<BenchStore> {
  if (kind === 'sqlite') return { storeUrl: undefined, databaseCpuSeconds: () => 0, close: async () => undefined };
  const server = await PostgresServer.start();
  const pid = Number(readFileSync(join(server.directory, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]);
  return {
    storeUrl: await server.database(),
    databaseCpuSeconds: () => cpuSeconds(processTree(pid)),
    close: () => server.close(),
  };
}
