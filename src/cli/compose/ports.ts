import type { Config } from '../../config/config.js';
import type { StoreUrl } from '../../config/store-url.js';
import type { Result } from '../../reason/reason.js';

export type Profile = 'development' | 'production';

/** What `init` made. `adminToken` is shown once, here; `logKey` is the vkey string of the log. */
export interface Initialised {
  readonly broker: string;
  readonly adminToken: string;
  readonly logKey: string;
  readonly profile: Profile;
}

/** Makes a data directory; resource.exists where it, or the database that was named, holds anything, which is then untouched. */
export type Initialise = (options: {
  readonly dataDir: string;
  readonly profile: Profile;
  /** The database that replicas share; undefined: SQLite in the data directory. */
  readonly store?: StoreUrl | undefined;
}) => Promise<Result<Initialised>>;

export interface ServeOptions {
  readonly config: Config;
  /** Processes that serve; at least 1. */
  readonly workers: number;
  /** Called once, when every route answers. */
  readonly onListening: (url: string) => void;
}

/** Runs the broker until it is told to stop; the exit code. */
export type Serve = (options: ServeOptions) => Promise<number>;
