import { fromHex } from '../bytes/hex.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { entryFault } from '../translog/entry-schemas.js';
import type { EntryOf } from '../translog/entry-types.js';
import type { Members } from '../translog/entry.js';
import type { SeenCheckpoint } from './compare-heads.js';
import { ADVICE, type LogFinding } from './findings.js';

/** The type of entry with which a log goes on behind what is left of another one. */
const ROLLBACK = 'log.rollback_accepted';
/** How many rollbacks are kept; the others are counted. */
export const MAX_ROLLBACKS = 100;

/** An entry that says that the log goes on with what was left of another one. */
export interface Rollback {
  readonly index: number;
  readonly entry: EntryOf<typeof ROLLBACK>;
}

/** The entry as a rollback, where it is a valid one. */
export function rollbackOf(index: number, members: Members): Rollback | undefined {
  if (members['type'] !== ROLLBACK || entryFault(ROLLBACK, members) !== undefined) return undefined;
  return { index, entry: members as unknown as Rollback['entry'] };
}

/** How many entries more than survived the checkpoint had that showed the loss; undefined where there was none, or no larger one. */
export function lostEntries({ entry }: Rollback): number | undefined {
  const { newest_known_size: known, previous_size: survived } = entry;
  const lost = known === undefined ? 0n : BigInt(known) - BigInt(survived);
  return lost > 0n ? Number(lost) : undefined;
}

/** Rollbacks in the order of the log: the first ones, and how many there are. */
export class Rollbacks {
  readonly #kept: Rollback[];
  #count: number;

  constructor(kept: readonly Rollback[] = [], count = kept.length) {
    this.#kept = [...kept];
    this.#count = count;
  }

  get kept(): readonly Rollback[] {
    return this.#kept;
  }

  get count(): number {
    return this.#count;
  }

  add(rollback: Rollback): void {
    this.#count++;
    if (this.#kept.length < MAX_ROLLBACKS) this.#kept.push(rollback);
  }

  toJSON(): { readonly kept: readonly Rollback[]; readonly count: number } {
    return { kept: this.#kept, count: this.#count };
  }

  /** Rollbacks as `toJSON` left them. Throws MalformedError for anything of another shape. */
  static from(json: unknown): Rollbacks {
    const { kept, count } = (json ?? {}) as { kept?: unknown; count?: unknown };
    if (!Array.isArray(kept) || !Number.isSafeInteger(count) || (count as number) < kept.length) {
      throw new MalformedError('rollbacks: not a list and its count');
    }
    return new Rollbacks(kept.map(rollbackFrom), count as number);
  }
}

function rollbackFrom(json: unknown): Rollback {
  const { index, entry } = (json ?? {}) as { index?: unknown; entry?: Members };
  const rollback =
    Number.isSafeInteger(index) && typeof entry === 'object' ? rollbackOf(index as number, entry) : undefined;
  if (rollback === undefined) throw new MalformedError('rollbacks: not an accepted rollback');
  return rollback;
}

/**
 * What a checkpoint of the former log, seen before, says of what survived: it is the start of it; or more was seen than
 * survived; or it is of another history; or, where tiles are missing, nothing.
 */
export type FormerVerdict = 'survived' | 'more-seen' | 'another-history' | 'unknown';

/**
 * Holds a checkpoint of the former log against a rollback. `rootAt` gives the root of the tree of now at an earlier size;
 * undefined where that cannot be told. Where more was seen than survived, it is NOT said that what survived is its start:
 * that takes a copy of the former log.
 */
export async function compareFormer(
  { entry }: Rollback,
  { head }: SeenCheckpoint,
  rootAt: (size: number) => Promise<Buffer | undefined>,
): Promise<FormerVerdict> {
  const [seen, survived] = [BigInt(head.size), BigInt(entry.previous_size)];
  if (seen > survived) return 'more-seen';
  const root = seen === survived ? fromHex(entry.previous_root, 'previous_root') : await rootAt(head.size);
  if (root === undefined) return 'unknown';
  return root.equals(head.root) ? 'survived' : 'another-history';
}

export function anotherHistory({ index, entry }: Rollback, { head }: SeenCheckpoint): LogFinding {
  const { previous_origin: origin, previous_size: survived } = entry;
  return {
    index,
    problem: `another history is gone on with than was seen: the ${survived} entries that are said to survive of the log ${origin} do not start with the ${String(head.size)} of its checkpoint that was seen`,
    advice: ADVICE.former,
  };
}
