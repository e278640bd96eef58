import type { StoreUrl } from '../../config/store-url.js';
import { shownUrl } from '../../config/store-url.js';
import { type LogIdentity, type Store, StoreIntegrityError, StoreUnavailableError } from '../../release/store.js';
import type { DataDir } from './data-dir.js';

/** A store whose rows are not authenticated yet. */
export interface OpenedStore {
  /** Its own `authenticate` gives it its keys; whether it then looks at anything is the engine's. */
  readonly store: Store & { authenticate(rowMacKey: Buffer, log: LogIdentity): void };
  /** For people: the file, or the URL without its password. */
  readonly where: string;
  /** Gives the store its keys, and demands a state and a log that they authenticate. Throws StoreIntegrityError, which says what to do. */
  readonly authenticate: (rowMacKey: Buffer, log: LogIdentity) => Promise<void>;
}

export interface OpenStoreOptions {
  /** undefined: SQLite in the data directory. */
  readonly url: StoreUrl | undefined;
  /** Whether what is missing is made: the file, or the tables. */
  readonly create: boolean;
  readonly clock: () => number;
  readonly onCommit?: (records: number, milliseconds: number) => void;
}

/** Opens the store that the configuration names; its engine is loaded when it is needed. Throws the store's errors. */
export async function openStore(paths: DataDir, { url, ...options }: OpenStoreOptions): Promise<OpenedStore> {
  if (url === undefined) {
    const { openSqliteStore } = await import('../../store/sqlite/open.js');
    const store = await openSqliteStore(paths.database, options);
    return opened(store, paths.database, () => Promise.resolve());
  }
  const where = shownUrl(url);
  const { openPostgresStore } = await import('../../store/postgres/open.js');
  try {
    const store = await openPostgresStore({ ...options, target: url });
    return opened(store, where, () => store.verify());
  } catch (error) {
    if (error instanceof StoreUnavailableError || error instanceof StoreIntegrityError) {
      error.message = `${where}: ${error.message}`;
    }
    throw error;
  }
}

function opened(store: OpenedStore['store'], where: string, verify: () => Promise<void>): OpenedStore {
  const authenticate = async (rowMacKey: Buffer, log: LogIdentity): Promise<void> => {
    try {
      store.authenticate(rowMacKey, log);
      await verify();
    } catch (error) {
      if (!(error instanceof StoreIntegrityError)) throw error;
      // A state without its log, or a log without its end, is no store to start with.
      const message = `${where}: ${error.message}; the database was changed or is not whole: stop every broker on it and restore a backup`;
      throw new StoreIntegrityError(message, { cause: error });
    }
  };
  return { store, where, authenticate };
}
