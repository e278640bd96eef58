import { isUtf8 } from 'node:buffer';
import { MalformedError } from '../bytes/malformed-error.js';
import type { Result } from '../reason/reason.js';
import { HASH_BYTES } from '../translog/merkle.js';
import { type Members, parseEntry } from '../translog/entry.js';
import { TILE_WIDTH, tileCount } from '../translog/tile.js';
import {
  compareHeads,
  type Conflict,
  isBadContent,
  rewritten,
  type SeenCheckpoint,
  startsWith,
} from './compare-heads.js';
import { ADVICE, type LogFinding } from './findings.js';
import { readAhead } from './read-ahead.js';
import { type Bundle, bundleBounds, BundleError, leafHashIn, readBundle } from './read-tiles.js';
import { SignedTiles, UnsignedTileError } from './signed-tiles.js';
import type { LogSource } from './source.js';
import { type CheckpointTrust, readCheckpoint, type TrustedCheckpoint } from './trusted-checkpoint.js';

/** What was read of a log is not as it should be, so that reading it ends. */
export class LogFault extends Error {
  override readonly name = 'LogFault';
  readonly finding: LogFinding;
  readonly conflict: Conflict | undefined;
  /** The keys that both checkpoints of the conflict were verified with. */
  readonly trust: CheckpointTrust | undefined;
  /** The path of the tile that is at fault, where it is one alone. */
  readonly path: string | undefined;

  constructor(finding: LogFinding, more: Partial<Pick<LogFault, 'conflict' | 'trust' | 'path'>> = {}) {
    super(finding.problem);
    this.finding = finding;
    this.conflict = more.conflict;
    this.trust = more.trust;
    this.path = more.path;
  }
}

/** A log whose checkpoint is signed, of which any part can be read and verified without the rest. */
export interface SignedLog {
  readonly checkpoint: TrustedCheckpoint;
  readonly tiles: SignedTiles;
}

/**
 * Reads the checkpoint of a log and verifies that its tree starts with that of a checkpoint that was seen before. Refusals:
 * those of readCheckpoint. Throws LogFault where the log contradicts the other checkpoint, or where its hash tiles are not
 * those of the signed tree; LogSourceError.
 */
export async function openLog(
  source: LogSource,
  trust: CheckpointTrust,
  before?: SeenCheckpoint,
): Promise<Result<SignedLog>> {
  const checkpoint = await readCheckpoint(source, trust);
  if (!checkpoint.ok) return checkpoint;
  const { head, text } = checkpoint.value;
  const conflict = before === undefined ? undefined : { before: before.text, now: text };
  const finding = before === undefined ? undefined : compareHeads(before.head, head);
  if (finding !== undefined) throw new LogFault(finding, { conflict, trust });
  return orFault(async () => {
    const tiles = await SignedTiles.open(source, head);
    if (before !== undefined && !(await startsWith(tiles, before.head))) {
      throw new LogFault(rewritten(before.head, head), { conflict, trust });
    }
    return { ok: true, value: { checkpoint: checkpoint.value, tiles } };
  });
}

/** An entry that is in the signed tree. */
export interface SignedEntry {
  readonly index: number;
  readonly text: string;
  /** Undefined where it is not in canonical form: it was logged all the same. */
  readonly members: Members | undefined;
}

/** The entries from `first` up to `end`, each one verified to be in the tree. NOT verified: what they mean. Throws LogFault, LogSourceError. */
export async function* signedEntries(
  source: LogSource,
  tiles: SignedTiles,
  first: number,
  end: number,
): AsyncGenerator<SignedEntry> {
  const read = async (at: number) => ({ at, ...(await readSignedBundle(source, tiles, at)) });
  for await (const { at, bundle, bounds } of readAhead(
    Math.floor(first / TILE_WIDTH),
    Math.ceil(end / TILE_WIDTH),
    read,
  )) {
    for (let position = 0; position < bundle.width; position++) {
      const index = at * TILE_WIDTH + position;
      if (index < first || index >= end) continue;
      yield signedEntry(index, bundle.bytes.subarray(bounds[2 * position], bounds[2 * position + 1]));
    }
  }
}

/** A bundle of the tree, all of its entries verified to be in it; and where they lie. Throws LogFault, LogSourceError. */
export async function readSignedBundle(
  source: LogSource,
  tiles: SignedTiles,
  index: number,
): Promise<{ bundle: Bundle; bounds: Uint32Array }> {
  return orFault(async () => {
    const { full, partialWidth } = tileCount(tiles.head.size, 0);
    const width = index < full ? TILE_WIDTH : partialWidth;
    const reading = orFault(() => readBundle(source, index, width), index * TILE_WIDTH, ADVICE.entry);
    const [bundle, hashes] = await Promise.all([reading, tiles.tile(0, index)]);
    return { bundle, bounds: verifyBundle(bundle, hashes, index) };
  }, index * TILE_WIDTH);
}

/** Where the entries of a bundle lie, each having its hash in the tile. Throws LogFault. */
export function verifyBundle(bundle: Bundle, hashes: Buffer, index: number): Uint32Array {
  let bounds: Uint32Array;
  try {
    bounds = bundleBounds(bundle);
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    const problem = `its entry bundle cannot be read: ${error.message}`;
    throw new LogFault({ index: index * TILE_WIDTH + error.position, problem, advice: ADVICE.entry });
  }
  for (let at = 0; at < bundle.width; at++) {
    const hash = hashes.toString('latin1', at * HASH_BYTES, (at + 1) * HASH_BYTES);
    if (leafHashIn(bundle.bytes, bounds[2 * at] ?? 0, bounds[2 * at + 1] ?? 0) === hash) continue;
    const problem = 'the entry is not the one whose hash stands in the signed tree';
    throw new LogFault({ index: index * TILE_WIDTH + at, problem, advice: ADVICE.entry });
  }
  return bounds;
}

function signedEntry(index: number, bytes: Buffer): SignedEntry {
  const text = bytes.toString('utf8');
  try {
    return { index, text, members: isUtf8(bytes) ? parseEntry(text) : undefined };
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return { index, text, members: undefined };
  }
}

/** Tiles that are not signed, missing and unfit files, as what they are: a fault of the log, from the entry `index` on. */
export async function orFault<T>(work: () => Promise<T>, index = 0, advice: string = ADVICE.tile): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UnsignedTileError || error instanceof MalformedError || isBadContent(error)) {
      const { message: problem, path } = error as Error & { readonly path?: string };
      throw new LogFault({ index, problem, advice }, { path });
    }
    throw error;
  }
}
