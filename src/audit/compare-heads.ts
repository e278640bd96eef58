import type { TreeHead } from '../translog/checkpoint.js';
import { ADVICE, type LogFinding } from './findings.js';
import { LogSourceError } from './source.js';
import { type SignedTiles } from './signed-tiles.js';

/** A signed checkpoint that was seen before. */
export interface SeenCheckpoint {
  readonly text: string;
  readonly head: TreeHead;
}

/** Two signed checkpoints that no honest log has both signed, in that order. */
export interface Conflict {
  readonly before: string;
  readonly now: string;
}

/** What a checkpoint says, held against one that was seen before, where size and root alone decide it. */
export function compareHeads(before: TreeHead, now: TreeHead): LogFinding | undefined {
  if (now.size < before.size) {
    return {
      index: now.size,
      problem: `the log shrank: its checkpoint is of ${String(now.size)} entries, and one of ${String(before.size)} was seen before`,
      advice: ADVICE.shrank,
    };
  }
  if (now.size === before.size && !now.root.equals(before.root)) {
    return forked(before, `the log has signed two checkpoints of ${String(now.size)} entries with different roots`);
  }
  return undefined;
}

/**
 * Whether the tree that was seen before is the start of the one of these tiles. Throws UnsignedTileError where a tile is
 * not of the signed tree, so that nothing can be said.
 */
export async function startsWith(tiles: SignedTiles, before: TreeHead): Promise<boolean> {
  return (await tiles.rootAt(before.size)).equals(before.root);
}

export function rewritten(before: TreeHead, now: TreeHead): LogFinding {
  return forked(
    before,
    `the log was rewritten: the tree of ${String(now.size)} entries that it has signed does not start with the ${String(before.size)} entries of the checkpoint that was seen before`,
  );
}

function forked(before: TreeHead, problem: string): LogFinding {
  return { index: Math.max(before.size - 1, 0), problem, advice: ADVICE.history };
}

/** Whether an error says that what was read is not as it should be, and not that nothing could be read. */
export function isBadContent(error: unknown): boolean {
  return error instanceof LogSourceError && (error.failure === 'absent' || error.failure === 'unfit');
}
