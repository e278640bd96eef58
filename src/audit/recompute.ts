import { isUtf8 } from 'node:buffer';
import { MalformedError } from '../bytes/malformed-error.js';
import { HASH_BYTES } from '../translog/merkle.js';
import { type Members, parseEntry } from '../translog/entry.js';
import { MAX_TILE_LEVEL, TILE_WIDTH, tileCount, tilePath } from '../translog/tile.js';
import { isBadContent } from './compare-heads.js';
import { ADVICE, MAX_FINDINGS } from './findings.js';
import { readAhead } from './read-ahead.js';
import { type Bundle, bundleBounds, BundleError, leafHashIn, readBundle, readHashes } from './read-tiles.js';
import { rollbackOf } from './rollbacks.js';
import type { LogSource } from './source.js';
import type { Progress } from './state-file.js';

/** Told of every entry, in order, once it is part of the recomputed tree; whether that is the signed one shows at the end alone. */
export type EntryVisitor = (index: number, members: Members, text: string) => void;

/** A hash tile that is not the one that the entries give, or that is not there. */
export interface TileMismatch {
  readonly level: number;
  readonly index: number;
  readonly width: number;
  /** What is wrong with it, where it could not be compared. */
  readonly unreadable?: string;
  /** Positions of the hashes that differ. */
  readonly differs: readonly number[];
}

/** What recomputing came to. */
export interface Recomputed {
  readonly mismatches: readonly TileMismatch[];
  readonly mismatchCount: number;
  /** Why it ended before the end of the log, and at which entry; then nothing is known from there on. */
  readonly stopped: { readonly index: number; readonly problem: string } | undefined;
}

/**
 * Reads the entries of a log up to `size`, appends them to the tree and the history so far, and compares every hash tile
 * that they complete with the one that is served. Memory does not grow with the log. `afterBundle` runs after every 256
 * entries. Throws LogSourceError where the source cannot be reached.
 */
export class Recomputation {
  readonly #source: LogSource;
  readonly #size: number;
  readonly #progress: Progress;
  readonly #visit: EntryVisitor | undefined;
  readonly #watched: number;
  #rootAtWatched: Buffer | undefined;
  readonly #mismatches: TileMismatch[] = [];
  #mismatchCount = 0;
  /** Between two bundles. */
  #between = true;

  constructor(
    source: LogSource,
    size: number,
    progress: Progress,
    options: { readonly watchedSize?: number; readonly visit?: EntryVisitor | undefined } = {},
  ) {
    this.#source = source;
    this.#size = size;
    this.#progress = progress;
    this.#visit = options.visit;
    this.#watched = options.watchedSize ?? -1;
    this.#watchSize();
  }

  /** The root of the recomputed tree at the watched size, where it has passed it. */
  get rootAtWatched(): Buffer | undefined {
    return this.#rootAtWatched;
  }

  /** Whether the progress can be kept: all tiles were right until now, and none of what it holds waits to be compared. */
  get keepable(): boolean {
    return this.#between && this.#mismatchCount === 0;
  }

  async run(afterBundle?: () => Promise<void>): Promise<Recomputed> {
    const stopped = await this.#allBundles(afterBundle);
    if (stopped === undefined) {
      for (let level = 1; level <= MAX_TILE_LEVEL; level++) {
        const { full, partialWidth } = tileCount(this.#size, level);
        if (partialWidth > 0) await this.#compareServed(level, full, this.#progress.frontier.partial(level));
      }
    }
    return { mismatches: this.#mismatches, mismatchCount: this.#mismatchCount, stopped };
  }

  async #allBundles(afterBundle: (() => Promise<void>) | undefined): Promise<Recomputed['stopped']> {
    const { frontier } = this.#progress;
    const first = Math.floor(frontier.size / TILE_WIDTH);
    const { full, partialWidth } = tileCount(this.#size, 0);
    const end = full + (partialWidth > 0 ? 1 : 0);
    const read = (index: number) => this.#readBoth(index, index < full ? TILE_WIDTH : partialWidth);
    for await (const each of readAhead(frontier.size === this.#size ? end : first, end, read)) {
      if (each.bundle instanceof Error) {
        return { index: frontier.size, problem: `its entry bundle cannot be used: ${each.bundle.message}` };
      }
      this.#between = false;
      const stopped = this.#takeBundle(each.bundle, each.index);
      if (stopped !== undefined) return stopped;
      await this.#compareFull(each);
      this.#between = true;
      await afterBundle?.();
    }
    return undefined;
  }

  async #readBoth(index: number, width: number): Promise<BundleAndTile> {
    const [bundle, tile] = await Promise.all([
      orBad(readBundle(this.#source, index, width)),
      orBad(readHashes(this.#source, { level: 0, index, width })),
    ]);
    return { index, width, bundle, tile };
  }

  /** Entries of the bundle that the tree holds already are passed over. */
  #takeBundle(bundle: Bundle, index: number): Recomputed['stopped'] {
    const { frontier } = this.#progress;
    let bounds: Uint32Array;
    try {
      bounds = bundleBounds(bundle);
    } catch (error) {
      if (!(error instanceof BundleError)) throw error;
      return {
        index: index * TILE_WIDTH + error.position,
        problem: `its entry bundle cannot be read: ${error.message}`,
      };
    }
    for (let at = frontier.size - index * TILE_WIDTH; at < bundle.width; at++) {
      this.#takeEntry(bundle.bytes, bounds[2 * at] ?? 0, bounds[2 * at + 1] ?? 0);
    }
    return undefined;
  }

  #takeEntry(bundle: Buffer, start: number, end: number): void {
    const { frontier, history } = this.#progress;
    const index = frontier.size;
    const leaf = leafHashIn(bundle, start, end);
    try {
      if (!isUtf8(bundle.subarray(start, end))) throw new MalformedError('log entry: not UTF-8');
      const text = bundle.toString('utf8', start, end);
      const members = parseEntry(text);
      for (const { problem } of history.apply(index, members)) this.#found(index, problem);
      this.#takeRollback(index, members);
      this.#visit?.(index, members, text);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#found(index, error.message);
      // No entry may be left out; of this one it can say nothing more.
      if (history.next === index) history.apply(index, {});
    }
    frontier.append(leaf);
    this.#watchSize();
  }

  /** The root that a rollback names must be that of the entries before it: the log that is gone on with is this one. */
  #takeRollback(index: number, members: Members): void {
    const rollback = rollbackOf(index, members);
    if (rollback === undefined) return;
    this.#progress.rollbacks.add(rollback);
    const { previous_size: size, previous_root: root } = rollback.entry;
    if (size === String(index) && root !== this.#progress.frontier.root().toString('hex')) {
      this.#found(index, 'the log that is gone on with had another root than the entries before give');
    }
  }

  #found(index: number, problem: string): void {
    this.#progress.findings.add({ index, problem, advice: ADVICE.meaning });
  }

  #watchSize(): void {
    const { frontier } = this.#progress;
    if (frontier.size === this.#watched) this.#rootAtWatched = frontier.root();
  }

  async #compareFull({ index, tile }: BundleAndTile): Promise<void> {
    const { frontier } = this.#progress;
    const full = frontier.takeFull();
    for (const done of full) {
      if (done.level === 0) this.#compare(0, done.index, done.hashes, tile);
      else await this.#compareServed(done.level, done.index, done.hashes);
    }
    if (full.length === 0) this.#compare(0, index, frontier.partial(0), tile);
  }

  async #compareServed(level: number, index: number, computed: Buffer): Promise<void> {
    const width = computed.length / HASH_BYTES;
    this.#compare(level, index, computed, await orBad(readHashes(this.#source, { level, index, width })));
  }

  #compare(level: number, index: number, computed: Buffer, served: Buffer | Error): void {
    if (served instanceof Buffer && served.equals(computed)) return;
    this.#mismatchCount++;
    if (this.#mismatches.length >= MAX_FINDINGS) return;
    const width = computed.length / HASH_BYTES;
    if (served instanceof Error) {
      this.#mismatches.push({ level, index, width, unreadable: served.message, differs: [] });
      return;
    }
    const differs = Array.from({ length: width }, (_, at) => at).filter((at) => {
      const [from, to] = [at * HASH_BYTES, (at + 1) * HASH_BYTES];
      return served.compare(computed, from, to, from, to) !== 0;
    });
    this.#mismatches.push({ level, index, width, differs });
  }
}

export function mismatchPath({ level, index, width }: TileMismatch): string {
  return tilePath({ level, index, width });
}

interface BundleAndTile {
  readonly index: number;
  readonly width: number;
  readonly bundle: Bundle | Error;
  readonly tile: Buffer | Error;
}

/** What was read, or the error that says that it is not as it should be; other errors are thrown. */
async function orBad<T>(reading: Promise<T>): Promise<T | Error> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof MalformedError || isBadContent(error)) return error as Error;
    throw error;
  }
}
