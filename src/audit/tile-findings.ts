import { TILE_WIDTH } from '../translog/tile.js';
import { ADVICE, type LogFinding } from './findings.js';
import { mismatchPath, type TileMismatch } from './recompute.js';

/** One of those that were counted alone. */
export const FURTHER_TILE: LogFinding = { index: 0, problem: 'a further hash tile differs', advice: ADVICE.tile };

function firstEntryOf({ level, index, differs }: TileMismatch): number {
  return (index * TILE_WIDTH + (differs[0] ?? 0)) * TILE_WIDTH ** level;
}

/** A hash tile that the entries do not give, where it is the tile that is at fault. */
export function tileFinding(mismatch: TileMismatch): LogFinding {
  const problem =
    mismatch.unreadable ??
    `${String(mismatch.differs.length)} of its ${String(mismatch.width)} hashes are not those that the entries give`;
  return { index: firstEntryOf(mismatch), problem: `${mismatchPath(mismatch)}: ${problem}`, advice: ADVICE.tile };
}

/** Entries that do not give the hashes of a level 0 tile which is the signed one. */
export function entryFinding(mismatch: TileMismatch): LogFinding {
  const others = mismatch.differs.length - 1;
  const last = mismatch.index * TILE_WIDTH + (mismatch.differs.at(-1) ?? 0);
  return {
    index: firstEntryOf(mismatch),
    problem:
      'the entry is not the one whose hash stands in the signed tree' +
      (others === 0 ? '' : `, and neither are ${String(others)} more of those up to ${String(last)}`),
    advice: ADVICE.entry,
  };
}
