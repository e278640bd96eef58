import type { TreeHead } from '../translog/checkpoint.js';
import { TILE_WIDTH } from '../translog/tile.js';
import type { LogFinding } from './findings.js';
import { readAhead } from './read-ahead.js';
import { LogFault, orFault, readSignedBundle } from './signed-log.js';
import { SignedTiles } from './signed-tiles.js';
import type { LogSource } from './source.js';

/**
 * How much of what earlier runs verified is read again. Of b bundles n are, any n as likely as any other: a bundle that was
 * changed since is found by one run with probability n/b, by r runs with 1 - (1 - n/b)^r, and for certain where n is not
 * less than b.
 */
export interface RereadOptions {
  /** At most so many bundles of 256 entries. */
  readonly bundles: number;
  /** A whole number from 0 to below `below`, each as likely. Whoever serves the log must not foretell it. */
  readonly random: (below: number) => number;
}

/** What was read again. */
export interface Reread {
  readonly bundles: number;
  /** How many bundles earlier runs verified. */
  readonly of: number;
  /** Entries in those that were read again, without entries that are new to this run. */
  readonly entries: number;
}

/**
 * Reads bundles again that hold entries before `first`, and verifies that they are still of the signed tree: each entry by
 * its hash in the level 0 tile, that tile by its hash in the tile above, and so on to the root. So nothing has to be
 * remembered of them, and memory does not grow. What is not so is told to `found`, once a bundle. NOT verified: the bundles
 * that were not chosen; and what entries mean, which earlier runs did and their hashes hold fast. Throws LogSourceError
 * where the source cannot be reached.
 */
export async function readAgain(
  source: LogSource,
  head: TreeHead,
  first: number,
  options: RereadOptions,
  found: (finding: LogFinding) => void,
): Promise<Reread> {
  const of = Math.ceil(first / TILE_WIDTH);
  const chosen = chooseBundles(of, options);
  if (chosen.length === 0) return { bundles: 0, of, entries: 0 };
  const tiles = await orFinding(() => orFault(() => SignedTiles.open(source, head)), found);
  if (tiles === undefined) return { bundles: 0, of, entries: 0 };
  const read = async (at: number) => {
    const index = chosen[at] ?? 0;
    await orFinding(() => readSignedBundle(source, tiles, index), found);
    return index;
  };
  let entries = 0;
  for await (const index of readAhead(0, chosen.length, read)) {
    entries += Math.min(first - index * TILE_WIDTH, TILE_WIDTH);
  }
  return { bundles: chosen.length, of, entries };
}

/**
 * The indexes of some of `of` bundles, ascending, so that tiles above them are read once: a sample without repetition after
 * R. W. Floyd, which takes memory for what it chooses alone.
 */
export function chooseBundles(of: number, { bundles, random }: RereadOptions): readonly number[] {
  const chosen = new Set<number>();
  for (let last = Math.max(of - bundles, 0); last < of; last++) {
    const index = random(last + 1);
    chosen.add(chosen.has(index) ? last : index);
  }
  return [...chosen].sort((a, b) => a - b);
}

/** What `work` gives; undefined where the log is at fault, which is a finding. */
async function orFinding<T>(work: () => Promise<T>, found: (finding: LogFinding) => void): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof LogFault)) throw error;
    const { finding } = error;
    found({ ...finding, problem: `${finding.problem}; earlier runs had found it right` });
    return undefined;
  }
}
