import type { CheckpointSigner } from '../translog/checkpoint.js';
import type { ComposedEntry, EntryBody } from '../translog/entry.js';
import type { Proof } from '../translog/proof.js';
import type {
  AttesterRecord,
  BrokerRecord,
  BrokerState,
  ClockRegression,
  DeploymentRecord,
  KeyRecord,
  KeyVersionRecord,
  LogEntry,
  PolicyLink,
  PolicyRecord,
  Sighting,
  StoredSighting,
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

/** The log lacks a tree head that was seen outside of the store: an older copy was put back, or another history. Nothing is written. The message says what was seen where. */
export class RolledBackError extends StoreIntegrityError {}

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

export type { EntryBody };

export interface EntryQuery {
  readonly type?: string;
  /** Entries whose member `deployment` is one of these: a name, or its pseudonym. */
  readonly deployments?: readonly string[];
  readonly limit: number;
  /** The page ends after the entry that makes it this many characters or more; default: unlimited. */
  readonly maxCharacters?: number;
  /** Entries before this index, newest first; default the newest. */
  readonly before?: number;
}

export interface AttesterRecords extends Records<AttesterRecord> {
  /** All AKs that were enrolled by the EK with this SPKI hash. */
  ofEk(ekSpkiSha256: string): Promise<readonly AttesterRecord[]>;
}

export interface Purgeable {
  readonly keys: readonly KeyRecord[];
  readonly versions: readonly KeyVersionRecord[];
}

/** One consistent view of everything that decides a release. */
export interface StoreView {
  state(): Promise<BrokerState>;
  readonly deployments: Records<DeploymentRecord>;
  readonly policies: Records<PolicyRecord>;
  readonly policyLinks: ChildRecords<PolicyLink>;
  readonly keys: Records<KeyRecord>;
  readonly keyVersions: ChildRecords<KeyVersionRecord>;
  /** By SPKI hash, by name without regard to case, or by AK Name. */
  readonly attesters: AttesterRecords;
  /** What was deleted and is to be destroyed at or before this time: keys; and versions that have material still. */
  purgeable(throughMs: number): Promise<Purgeable>;
  readonly tokens: Records<TokenRecord>;
  /** SPKI hashes of revoked AKs, and the identities of all else that was revoked (endorsement/identity.ts). */
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
  readonly attesters: AttesterRecords & WritableRecords<AttesterRecord>;
  readonly tokens: WritableRecords<TokenRecord>;
  readonly revocations: WritableGuardedSet;
  readonly freezes: WritableGuardedSet;
  /** Appends a log entry: canonical JSON of `body` with `type`, `time` and `state_generation`, as of the end of this change. */
  append(type: string, body: EntryBody, detail?: string): Promise<void>;
  broker(): Promise<BrokerRecord | undefined>;
  setBroker(broker: BrokerRecord): Promise<void>;
  /** Raises the nonce epoch by one, and the floor to the present: no nonce of before is good, also where the epoch is one that there was before. */
  raiseEpoch(): Promise<void>;
  /** The tree head of the log as this change found it. */
  logHead(): Promise<LogHead>;
  /**
   * Gives the log another identity, before anything is appended: what is in it becomes the start of the log of `signer`,
   * which signs the checkpoint of this change and every later one of this store. The former key signs nothing any more.
   * The caller also sets the broker record that has the new key.
   */
  restartLog(signer: CheckpointSigner): Promise<void>;
}

/** Of what release the facts are asked. */
export interface ReleaseQuery {
  readonly deployment: string;
  readonly key: string;
  /** A version id, or `latest`: the newest by sequence, whatever its state. */
  readonly version: string;
  /** SHA-256 of the presented AK's SPKI, hex; undefined where the AK did not parse. */
  readonly akSpkiSha256: string | undefined;
  /** What vouches for the AK, as `revocations` names it: whether any of that was revoked. As many as evidence within its bounds hangs on: some hundreds. */
  readonly identities?: readonly string[];
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
  /** Those of the query's identities that were revoked. */
  readonly revoked: readonly string[];
}

/** The durable part of one release. */
export interface ReleaseCommit {
  /** The generation that the facts were read at. */
  readonly generation: number;
  readonly epoch: number;
  /** The 32 decoded bytes. */
  readonly nonce: Buffer;
  readonly nonceIssuedAtMs: number;
  /** From then on it is too old, by the clock of the store: waiting for the disk counts. */
  readonly nonceExpiresAtMs: number;
  /** The release entry without `type`, `time` and `state_generation`, which the transaction adds. */
  readonly entry: EntryBody;
  readonly detail: string;
  /** The presented evidence, sealed, where it is archived. */
  readonly archive?: { readonly releaseId: string; readonly sealed: Buffer };
}

/** Sealed evidence of a release, and the index of its entry. */
export interface ArchivedRelease {
  readonly index: number;
  readonly sealed: Buffer;
}

/** What makes the log's checkpoints and its entries. */
export interface LogIdentity {
  readonly signer: CheckpointSigner;
  /** The text of an entry, from its body and what the transaction adds. Throws for a body that is no entry of its type: a bug of the caller. */
  readonly compose: (
    type: string,
    body: EntryBody,
    at: { readonly timeMs: number; readonly generation: number },
  ) => ComposedEntry;
}

/** An entry in the log, with the proof that it is there. */
export interface LoggedEntry {
  readonly index: number;
  /** Canonical JSON: the leaf's bytes. */
  readonly entry: string;
  /** Of the entry in the tree of the checkpoint. */
  readonly proof: Proof;
  /** Signed note, stored in the transaction that appended the entry. */
  readonly checkpoint: string;
  /** Entry members that are salted hashes, to their salts. */
  readonly salts?: Readonly<Record<string, string>>;
}

/** How far the log has come. */
export interface LogHead {
  readonly origin: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Buffer;
  /** Signed note. */
  readonly checkpoint: string;
}

/** A tree head seen outside of the store, and where. */
export interface SeenHead {
  readonly size: number;
  readonly root: Buffer;
  /** For people: the file, or the witness. */
  readonly where: string;
}

/**
 * What became of a commit. `committed`: the nonce is spent and the entry is on disk. `replayed`: the nonce was spent
 * before. `expired`: it is too old by now, or the floor has risen past it. `changed`: the generation or epoch is another one; nothing was written,
 * appraise again.
 */
export type CommitOutcome =
  | { readonly outcome: 'committed'; readonly logged: LoggedEntry }
  | { readonly outcome: 'replayed' | 'expired' | 'changed' };

/** What one release asks of the store. */
export interface ReleaseStore {
  /** The facts of one release, authenticated. */
  releaseFacts(query: ReleaseQuery): Promise<ReleaseFacts>;
  /** Consumes the nonce and appends the entry in one durable transaction, shared with other releases under way; one that fails undoes nothing of theirs. */
  commitRelease(commit: ReleaseCommit): Promise<CommitOutcome>;
}

/**
 * Where the broker keeps what it must not forget. Every method may throw StoreUnavailableError or StoreIntegrityError,
 * and nothing else. Durable means: on disk (flushed) before the promise resolves.
 */
export interface Store extends ReleaseStore {
  /** The broker's identity, before anything is authenticated; undefined in a store that init has not filled. */
  broker(): Promise<BrokerRecord | undefined>;
  /** Reads in one consistent view. */
  read<T>(work: (view: StoreView) => Promise<T>): Promise<T>;
  /** One durable administrative change: raises the generation by one, unless `work` wrote nothing. If `work` throws, nothing is kept and the error passes through. `work` does no slow I/O. */
  change<T>(work: (change: StoreChange) => Promise<T>): Promise<T>;
  /**
   * For a release that changes keep overtaking: nothing else is committed, by any process, from before the facts are read until
   * the release is durable, which it is when the promise resolves. So a commit never finds a change. `work` asks nothing else of
   * the store, commits once at most, and has one second: after that StoreUnavailableError, and nothing is kept.
   */
  releaseAlone<T>(work: (store: ReleaseStore) => Promise<T>): Promise<T>;
  /** Appends an entry that changes no state (denials and their summaries), durable, without raising the generation. */
  appendRecord(type: string, body: EntryBody, detail?: string): Promise<void>;
  /** Deletes spent nonces issued at or before `throughMs` and raises the floor to it (never lowers it), in one transaction. Returns how many. */
  purgeNonces(throughMs: number): Promise<number>;
  /** The newest tree head; its checkpoint is on disk. Given also where `expectLog` found that the log lacks a head, when it is not to be published. */
  logHead(): Promise<LogHead>;
  /** The newest tree head that this process knows to have been on disk, whatever the store holds now: what outlasts a log that is cut short while the process runs. */
  newestCheckpoint(): LogHead | undefined;
  /** Hashes of tile level `level` (tree level 8 * level) from index `start` on, at most `count`; fewer where there are no more. Not authenticated: who reads them holds them against a checkpoint. */
  logHashes(level: number, start: number, count: number): Promise<readonly Buffer[]>;
  /**
   * Takes sightings into the inventory, all in one durable transaction, in the order of the list: what is newest of each AK
   * stays, and a clock that goes back against what stands there is counted and returned. It raises no generation, since the
   * inventory decides nothing, and its rows are not authenticated. Of AKs that wait for an administrator the 100,000 seen last
   * are kept. What is over a bound (8 certificates of 8 KiB, 1 KiB of public area) is left out of the row.
   */
  noteSightings(list: readonly Sighting[]): Promise<readonly ClockRegression[]>;
  /** Of the AK with this SPKI hash (lower case); undefined where it was never seen, or was forgotten. */
  sighting(spkiSha256: string): Promise<StoredSighting | undefined>;
  /** Ordered by SPKI hash. */
  listSightings(page: Page): Promise<readonly StoredSighting[]>;
  /** The sealed evidence of a release; undefined where none was archived. */
  archived(releaseId: string): Promise<ArchivedRelease | undefined>;
  /** Entries from index `start` on, at most `count`, in order. Not authenticated either. */
  logEntries(start: number, count: number): Promise<readonly string[]>;
  /**
   * Tells the store of a tree head that was seen outside of it. From then on, unless the log contains it, nothing is
   * written and no facts of a release are given: RolledBackError. Returns whether the log contains it.
   */
  expectLog(seen: SeenHead): Promise<boolean>;
  /** Throws unless a durable write is possible now: what /readyz asks. */
  probe(): Promise<void>;
  close(): Promise<void>;
}
