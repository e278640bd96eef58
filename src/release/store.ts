import type { Json } from '../bytes/canonical-json.js';
import type {
  AttesterRecord,
  BrokerRecord,
  BrokerState,
  DeploymentRecord,
  KeyRecord,
  KeyVersionRecord,
  LogEntry,
  PolicyLink,
  PolicyRecord,
  TokenRecord,
} from './records.js';

/** The store cannot do what was asked: disk full, read-only, locked, gone. Nothing of the failed transaction is kept. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}

/** A stored row fails its authentication. Nothing may be released. The message names table and primary key. */
export class StoreIntegrityError extends Error {
  override readonly name = 'StoreIntegrityError';
}

/** A page of a list, ordered by id: at most `limit` records after the id `after`. */
export interface Page {
  readonly limit: number;
  readonly after?: string;
}

/** Reading records by id. Names of deployments, keys and attesters are found without regard to case, and come back as they were written. */
export interface Records<R> {
  get(id: string): Promise<R | undefined>;
  list(page: Page): Promise<readonly R[]>;
}

export interface WritableRecords<R> extends Records<R> {
  /** Inserts, or replaces the record of the same id. */
  put(record: R): Promise<void>;
  remove(id: string): Promise<void>;
}

/** Records that belong to a parent: policy links to a deployment (by SHA-256), versions to a key (by version id). */
export interface ChildRecords<R> {
  get(parent: string, id: string): Promise<R | undefined>;
  /** All of one parent: links by SHA-256, versions by sequence. */
  of(parent: string): Promise<readonly R[]>;
  /** Across parents, ordered by parent and id; `after` is `<parent>/<id>`. */
  list(page: Page): Promise<readonly R[]>;
}

export interface WritableChildRecords<R> extends ChildRecords<R> {
  put(record: R): Promise<void>;
  remove(parent: string, id: string): Promise<void>;
}

/** A set whose deletions grant something, so that it is authenticated as a whole (count and content). */
export interface GuardedSet {
  has(id: string): Promise<boolean>;
  all(): Promise<readonly string[]>;
}

export interface WritableGuardedSet extends GuardedSet {
  add(id: string): Promise<void>;
  delete(id: string): Promise<void>;
}

/** The members of a log entry, without those that the transaction adds. */
export type EntryBody = Readonly<Record<string, Json | undefined>>;

export interface EntryQuery {
  readonly type?: string;
  readonly deployment?: string;
  readonly limit: number;
  /** The page ends after the entry that makes it this many characters or more; default: unlimited. */
  readonly maxCharacters?: number;
  /** Entries before this index, newest first; default the newest. */
  readonly before?: number;
}

/** One consistent view of everything that decides a release. */
export interface StoreView {
  state(): Promise<BrokerState>;
  readonly deployments: Records<DeploymentRecord>;
  readonly policies: Records<PolicyRecord>;
  readonly policyLinks: ChildRecords<PolicyLink>;
  readonly keys: Records<KeyRecord>;
  readonly keyVersions: ChildRecords<KeyVersionRecord>;
  /** By SPKI hash, or by name without regard to case. */
  readonly attesters: Records<AttesterRecord>;
  readonly tokens: Records<TokenRecord>;
  /** SPKI hashes of revoked AKs. */
  readonly revocations: GuardedSet;
  /** `deployment/<name>` and `key/<name>`, names in lower case. */
  readonly freezes: GuardedSet;
  /** Newest first. */
  entries(query: EntryQuery): Promise<readonly LogEntry[]>;
}

/** An administrative change under way. Everything is kept, or nothing is. */
export interface StoreChange extends StoreView {
  readonly deployments: WritableRecords<DeploymentRecord>;
  readonly policies: WritableRecords<PolicyRecord>;
  readonly policyLinks: WritableChildRecords<PolicyLink>;
  readonly keys: WritableRecords<KeyRecord>;
  readonly keyVersions: WritableChildRecords<KeyVersionRecord>;
  readonly attesters: WritableRecords<AttesterRecord>;
  readonly tokens: WritableRecords<TokenRecord>;
  readonly revocations: WritableGuardedSet;
  readonly freezes: WritableGuardedSet;
  /** Appends a log entry: canonical JSON of `body` with `type`, `time` and `state_generation`, as of the end of this change. */
  append(type: string, body: EntryBody, detail?: string): Promise<void>;
  broker(): Promise<BrokerRecord | undefined>;
  setBroker(broker: BrokerRecord): Promise<void>;
  /** Raises the nonce epoch by one. */
  raiseEpoch(): Promise<void>;
}

/** What one release asks of the store. */
export interface ReleaseQuery {
  readonly deployment: string;
  readonly key: string;
  /** A version id, or `latest`: the newest by sequence, whatever its state. */
  readonly version: string;
  /** SHA-256 of the presented AK's SPKI, hex; undefined where the AK did not parse. */
  readonly akSpkiSha256: string | undefined;
}

/** Everything stored that decides one release, read and authenticated in one consistent view. */
export interface ReleaseFacts {
  readonly state: BrokerState;
  readonly deployment: DeploymentRecord | undefined;
  readonly deploymentFrozen: boolean;
  readonly policies: readonly PolicyLink[];
  readonly key: KeyRecord | undefined;
  readonly keyFrozen: boolean;
  readonly version: KeyVersionRecord | undefined;
  readonly attester: AttesterRecord | undefined;
  readonly akRevoked: boolean;
}

/** The durable part of one release. */
export interface ReleaseCommit {
  /** The generation that the facts were read at. */
  readonly generation: number;
  readonly epoch: number;
  /** The 32 decoded bytes. */
  readonly nonce: Buffer;
  readonly nonceIssuedAtMs: number;
  /** The release entry without `type`, `time` and `state_generation`, which the transaction adds. */
  readonly entry: EntryBody;
  readonly detail: string;
}

/**
 * What became of a commit. `committed`: the nonce is spent and the entry is on disk. `replayed`: the nonce was spent
 * before. `expired`: the floor has risen past it. `changed`: the generation or epoch is another one; nothing was written,
 * appraise again.
 */
export type CommitOutcome =
  { readonly outcome: 'committed'; readonly index: number } | { readonly outcome: 'replayed' | 'expired' | 'changed' };

/**
 * Where the broker keeps what it must not forget. Every method may throw StoreUnavailableError or StoreIntegrityError,
 * and nothing else. Durable means: on disk (flushed) before the promise resolves.
 */
export interface Store {
  /** The broker's identity, before anything is authenticated; undefined in a store that init has not filled. */
  broker(): Promise<BrokerRecord | undefined>;
  /** Reads in one consistent view. */
  read<T>(work: (view: StoreView) => Promise<T>): Promise<T>;
  /** One durable administrative change: raises the generation by one, unless `work` wrote nothing. If `work` throws, nothing is kept and the error passes through. `work` does no slow I/O. */
  change<T>(work: (change: StoreChange) => Promise<T>): Promise<T>;
  /** The facts of one release, authenticated. */
  releaseFacts(query: ReleaseQuery): Promise<ReleaseFacts>;
  /** Consumes the nonce and appends the entry in one durable transaction, shared with other releases under way; each in its own savepoint. */
  commitRelease(commit: ReleaseCommit): Promise<CommitOutcome>;
  /** Appends an entry that changes no state (denials and their summaries), durable, without raising the generation. */
  appendRecord(type: string, body: EntryBody, detail?: string): Promise<void>;
  /** Deletes spent nonces issued at or before `throughMs` and raises the floor to it (never lowers it), in one transaction. Returns how many. */
  purgeNonces(throughMs: number): Promise<number>;
  /** Throws unless a durable write is possible now: what /readyz asks. */
  probe(): Promise<void>;
  close(): Promise<void>;
}
