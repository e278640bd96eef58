import type { EntryBody, LogHead, LogIdentity } from '../../release/store.js';
import type { ComposedEntry } from '../../translog/entry.js';
import type { CheckpointSigner } from '../../translog/checkpoint.js';
import { leafHash } from '../../translog/merkle.js';
import type { Proof } from '../../translog/proof.js';
import { TILE_HEIGHT } from '../../translog/tile.js';
import { TreeAppender } from '../../translog/tree-appender.js';
import type { StoredHead } from './log-head.js';
import type { NewEntry } from './log-rows.js';

/** Where the rows of one transaction go: written at once, or collected. */
export interface LogSink {
  entry(row: NewEntry): void;
  /** A node whose level is a multiple of TILE_HEIGHT, above the leaves. */
  node(level: number, index: number, hash: Buffer): void;
  head(head: StoredHead): void;
}

/**
 * Appends entries within one transaction, which has read and authenticated where the log ends. `seal` closes it: tree
 * nodes, root, one signature for all entries, and the head row, in the same transaction. What it signs must not leave
 * the process before COMMIT has succeeded.
 */
export class LogAppender {
  readonly #sink: LogSink;
  #identity: LogIdentity;
  #restarted = false;
  readonly #clock: () => number;
  readonly #found: StoredHead | undefined;
  readonly #tree: TreeAppender;
  #timeMs: number;
  #generation: number;
  #sealed: StoredHead | undefined;

  constructor(sink: LogSink, identity: LogIdentity, found: StoredHead | undefined, clock: () => number) {
    this.#sink = sink;
    this.#identity = identity;
    this.#clock = clock;
    this.#found = found;
    this.#tree = new TreeAppender(found?.size ?? 0, found?.peaks ?? []);
    this.#timeMs = found?.timeMs ?? 0;
    this.#generation = found?.generation ?? 0;
  }

  /** What signs the checkpoint of this transaction. */
  get identity(): LogIdentity {
    return this.#identity;
  }

  /** Makes what is in the log the start of another one; before anything is appended. */
  restart(signer: CheckpointSigner): void {
    if (this.#tree.size !== this.#found?.size) throw new Error('a log is restarted before anything is appended');
    this.#identity = { ...this.#identity, signer };
    this.#restarted = true;
  }

  /** The clock of the store, ms since the Unix epoch. */
  get nowMs(): number {
    return this.#clock();
  }

  /** The index of the next entry. */
  get size(): number {
    return this.#tree.size;
  }

  /** The head that the transaction found; undefined in a fresh store. */
  get found(): LogHead | undefined {
    if (this.#found === undefined) return undefined;
    const { origin, size, root, checkpoint } = this.#found;
    return { origin, size, root, checkpoint };
  }

  /**
   * The entry as it will be appended next, with `type`, `time` (never before that of the newest entry, whatever the clock
   * says) and `state_generation`. Throws for a body that is no entry of its type: a bug of the caller, who has then
   * changed nothing.
   */
  compose(type: string, body: EntryBody, generation: number): ComposedEntry & { readonly timeMs: number } {
    const timeMs = Math.max(this.#clock(), this.#timeMs);
    return { ...this.#identity.compose(type, body, { timeMs, generation }), timeMs };
  }

  /** Appends what `compose` made. Returns its index. */
  append(entry: ComposedEntry & { readonly timeMs: number }, generation: number, detail: string | undefined): number {
    const index = this.#tree.size;
    const leaf = leafHash(Buffer.from(entry.text, 'utf8'));
    this.#sink.entry({ index, text: entry.text, leafHash: leaf, detail, names: entry.names });
    this.#tree.append(leaf);
    this.#timeMs = entry.timeMs;
    this.#generation = generation;
    return index;
  }

  /** Ends the appending; does nothing where nothing was appended and the log is the one that was found. */
  seal(): void {
    const size = this.#tree.size;
    if (size === (this.#found?.size ?? 0) && !this.#restarted) return;
    for (let level = TILE_HEIGHT; 2 ** level <= size; level += TILE_HEIGHT) {
      const { first, hashes } = this.#tree.completed(level);
      hashes.forEach((hash, at) => this.#sink.node(level, first + at, hash));
    }
    const { signer } = this.#identity;
    const root = this.#tree.root();
    this.#sealed = {
      origin: signer.origin,
      size,
      timeMs: this.#timeMs,
      generation: this.#generation,
      peaks: this.#tree.peaks(),
      root,
      checkpoint: signer.sign(size, root),
    };
    this.#sink.head(this.#sealed);
  }

  /** The head that `seal` wrote; undefined where nothing was appended. */
  get sealed(): StoredHead | undefined {
    return this.#sealed;
  }

  /** The head that the transaction leaves. */
  get left(): StoredHead | undefined {
    return this.#sealed ?? this.#found;
  }

  /** The proof of an entry that was appended here, in the tree that was sealed. */
  prove(index: number): Proof {
    return this.#tree.prove(index);
  }
}
