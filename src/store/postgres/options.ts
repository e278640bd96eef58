import type { LogIdentity, Store } from '../../release/store.js';

/** Where the database is, and how this process reaches it. */
export interface PostgresTarget {
  /** A name, an address, or the directory of a Unix socket, which starts with a slash. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** A function, so that no serialiser and no log finds it; undefined: the password file is looked into. */
  readonly password: () => string | undefined;
  /** undefined: no TLS. Otherwise the server must show a certificate for `host` under the authority (PEM file), or under one of the system's. */
  readonly tls: { readonly rootCert?: string; readonly cert?: string; readonly key?: string } | undefined;
}

export interface PostgresOptions {
  readonly target: PostgresTarget;
  /** Whether the tables are made in an empty database. Those of an older version are brought up to date either way. */
  readonly create: boolean;
  /** ms since the Unix epoch. */
  readonly clock: () => number;
  /** Hears of every durable commit: how many requests shared it, and how long COMMIT took in ms. */
  readonly onCommit?: (records: number, milliseconds: number) => void;
}

/** A Store whose rows are authenticated. */
export interface PostgresStore extends Store {
  /**
   * Gives the store the key of its row MACs, 32 bytes, of which it keeps a copy, and the identity of its log. Until then only
   * `broker()` works, whose answer is then not authenticated. Looks at nothing: every later call does, and `verify`.
   */
  authenticate(rowMacKey: Buffer, log: LogIdentity): void;
  /** Throws StoreIntegrityError where the stored state is not one that was written under this key, or does not belong to the log beside it. */
  verify(): Promise<void>;
}
