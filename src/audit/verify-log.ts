import type { Result } from '../reason/reason.js';
import type { TreeHead } from '../translog/checkpoint.js';
import {
  compareHeads,
  type Conflict,
  isBadContent,
  rewritten,
  type SeenCheckpoint,
  startsWith,
} from './compare-heads.js';
import { ADVICE, Findings, type LogFinding, MAX_FINDINGS } from './findings.js';
import { type EntryVisitor, Recomputation, type Recomputed } from './recompute.js';
import { anotherHistory, compareFormer, type FormerVerdict, type Rollback } from './rollbacks.js';
import { readAgain, type Reread, type RereadOptions } from './read-again.js';
import { SignedTiles, UnsignedTileError } from './signed-tiles.js';
import { type LogSource, LogSourceError } from './source.js';
import { noProgress, type Progress, type StateFile } from './state-file.js';
import { entryFinding, FURTHER_TILE, tileFinding } from './tile-findings.js';
import { type CheckpointTrust, readCheckpoint, type TrustedCheckpoint } from './trusted-checkpoint.js';

const SAVE_EVERY_MS = 10_000;

export interface VerifyLogOptions {
  readonly source: LogSource;
  readonly trust: CheckpointTrust;
  /** What is remembered of the log; without it nothing is. */
  readonly memory?: StateFile | undefined;
  /** Recompute everything, whatever is remembered; the remembered checkpoint is compared all the same. */
  readonly fromStart?: boolean;
  /** How much is read again of what earlier runs recomputed; without it nothing is. */
  readonly reread?: RereadOptions;
  /** ms, of any clock that does not step back. */
  readonly now: () => number;
  /** Told after every 256 entries: entries recomputed so far, those of earlier runs included. */
  readonly onProgress?: (size: number, total: number, first: number) => void;
  readonly visit?: EntryVisitor;
  /** The newest checkpoint that was seen of a log that this one goes on with, its signature verified; undefined where there is none. */
  readonly former?: (origin: string) => Promise<SeenCheckpoint | undefined>;
}

/** An accepted rollback, and what a checkpoint of the former log that was seen says of it. */
export interface ReportedRollback extends Rollback {
  readonly seen?: { readonly checkpoint: SeenCheckpoint; readonly verdict: FormerVerdict };
}

/** What was found out about a log. It is as it should be where there are no findings. */
export interface LogReport {
  readonly checkpoint: TrustedCheckpoint;
  /** The first entry that this run recomputed; earlier ones were recomputed by the runs before it. */
  readonly first: number;
  /** How far it came: the size of the tree, unless it had to stop. */
  readonly reached: number;
  /** What was read again of what comes before `first`; undefined where nothing was to be, or where it came to a fault before. */
  readonly reread: Reread | undefined;
  /** The checkpoint that was seen before. */
  readonly before: TreeHead | undefined;
  /** Those of earlier runs about entries that were not recomputed included. */
  readonly findings: Findings;
  /** Two checkpoints that contradict each other. */
  readonly conflict: Conflict | undefined;
  /** Rollbacks that administrators accepted: no findings, but each one is a loss. The first ones, and how many there are. */
  readonly rollbacks: readonly ReportedRollback[];
  readonly rollbackCount: number;
  /** RFC 3339: the time that the newest entry says it is of, of those that were recomputed. */
  readonly newestEntryAt: string | undefined;
  /** Whether names stand as pseudonyms. */
  readonly salted: boolean;
}

/**
 * Verifies a log: that the log key (and the witnesses that are asked for) signed its checkpoint; that its entries give the
 * root in it, and its hash tiles; that it starts with what was seen before; and that the entries, read in order, mean what
 * they should (see History). NOT verified: that others are shown the same log, which is what witnesses are for. Refusals:
 * those of readCheckpoint. Throws LogSourceError where the source cannot be read, StateFileError.
 */
export async function verifyLog(options: VerifyLogOptions): Promise<Result<LogReport>> {
  const checkpoint = await readCheckpoint(options.source, options.trust);
  if (!checkpoint.ok) return checkpoint;
  return { ok: true, value: await new LogVerification(options, checkpoint.value).run() };
}

class LogVerification {
  readonly #options: VerifyLogOptions;
  readonly #checkpoint: TrustedCheckpoint;
  readonly #seen: SeenCheckpoint | undefined;
  readonly #progress: Progress;
  readonly #first: number;
  /** About the log as a whole, not to be remembered: they are found again as long as they are true. */
  readonly #faults = new Findings();
  #conflict: Conflict | undefined;
  #reread: Reread | undefined;
  #signedTiles: SignedTiles | undefined;
  /** Whether the entries gave the signed root. */
  #genuine = false;
  /** Whether the tree of now starts with the one that was seen; undefined while that is not known. */
  #consistent: boolean | undefined;

  constructor(options: VerifyLogOptions, checkpoint: TrustedCheckpoint) {
    this.#options = options;
    this.#checkpoint = checkpoint;
    this.#seen = options.memory?.seen;
    this.#progress = (options.fromStart === true ? undefined : options.memory?.progress()) ?? noProgress();
    this.#first = this.#progress.frontier.size;
  }

  async run(): Promise<LogReport> {
    await this.#compareWithSeen();
    // Of a log that contradicts its past there is no use in reading on, unless that is asked for.
    if (this.#conflict === undefined || this.#options.fromStart === true) await this.#recompute();
    const rollbacks = await this.#rollbacksAgainstFormer();
    const { time, salted = false } = this.#progress.history.toJSON();
    return {
      checkpoint: this.#checkpoint,
      first: this.#first,
      reached: this.#progress.frontier.size,
      reread: this.#reread,
      before: this.#seen?.head,
      findings: this.#allFindings(),
      conflict: this.#conflict,
      rollbacks,
      rollbackCount: this.#progress.rollbacks.count,
      newestEntryAt: time === '' ? undefined : time,
      salted,
    };
  }

  /** Entries that are not those that were signed prove nothing of the former log. */
  async #rollbacksAgainstFormer(): Promise<readonly ReportedRollback[]> {
    const reported: ReportedRollback[] = [];
    for (const rollback of this.#progress.rollbacks.kept) {
      const seen = this.#genuine ? await this.#options.former?.(rollback.entry.previous_origin) : undefined;
      if (seen === undefined) {
        reported.push(rollback);
        continue;
      }
      const verdict = await compareFormer(rollback, seen, (size) => this.#rootAt(size));
      if (verdict === 'another-history') this.#faults.add(anotherHistory(rollback, seen));
      reported.push({ ...rollback, seen: { checkpoint: seen, verdict } });
    }
    return reported;
  }

  async #rootAt(size: number): Promise<Buffer | undefined> {
    if (size > this.#checkpoint.head.size) return undefined;
    return this.#onSignedTiles((tiles) => tiles.rootAt(size));
  }

  async #recompute(): Promise<void> {
    const { source, visit, memory, now, onProgress } = this.#options;
    const { size } = this.#checkpoint.head;
    const { frontier } = this.#progress;
    const watched = this.#seen === undefined ? {} : { watchedSize: this.#seen.head.size };
    const recomputation = new Recomputation(source, size, this.#progress, { ...watched, visit });
    let savedAt = now();
    const save = async () => {
      if (!recomputation.keepable || this.#conflict !== undefined) return;
      // While it is not known whether the log starts with what was seen, nothing is built upon it.
      if (frontier.size > this.#toRemember().head.size) return;
      await memory?.save(this.#toRemember(), this.#progress);
      savedAt = now();
    };
    const afterBundle = async () => {
      onProgress?.(frontier.size, size, this.#first);
      if (now() - savedAt >= SAVE_EVERY_MS) await save();
    };
    const came = await recomputation.run(afterBundle).catch(async (error: unknown) => {
      // The next run goes on from here.
      if (error instanceof LogSourceError) await save();
      throw error;
    });
    await this.#judge(came, recomputation.rootAtWatched);
    // What was recomputed on the way to a fault is not built upon.
    await memory?.save(this.#toRemember(), this.#faults.count === 0 ? this.#progress : undefined);
    if (this.#genuine && this.#faults.count === 0) await this.#readAgain();
  }

  /** Where something is wrong that was right, later runs begin at the start: they must not need luck to find it once more. */
  async #readAgain(): Promise<void> {
    const { source, reread, memory } = this.#options;
    if (reread === undefined || this.#first === 0) return;
    const { head } = this.#checkpoint;
    this.#reread = await readAgain(source, head, this.#first, reread, (finding) => this.#faults.add(finding));
    if (this.#faults.count > 0) await memory?.save(this.#toRemember(), noProgress());
  }

  /** The newest checkpoint that does not contradict what was seen before it. */
  #toRemember(): SeenCheckpoint {
    const now = { text: this.#checkpoint.text, head: this.#checkpoint.head };
    return this.#seen === undefined || this.#consistent === true ? now : this.#seen;
  }

  async #compareWithSeen(): Promise<void> {
    const { head } = this.#checkpoint;
    const before = this.#seen?.head;
    if (before === undefined) return;
    const finding = compareHeads(before, head);
    if (finding !== undefined) {
      this.#contradicted(finding);
    } else if (before.size === head.size) {
      this.#consistent = true;
    } else {
      const starts = await this.#onSignedTiles((tiles) => startsWith(tiles, before));
      if (starts === false) this.#contradicted(rewritten(before, head));
      this.#consistent = starts;
    }
  }

  #contradicted(finding: LogFinding): void {
    this.#faults.add(finding);
    this.#conflict = { before: this.#seen?.text ?? '', now: this.#checkpoint.text };
    this.#consistent = false;
  }

  async #judge(came: Recomputed, rootAtSeen: Buffer | undefined): Promise<void> {
    const { head } = this.#checkpoint;
    if (came.stopped !== undefined) {
      this.#faults.add({ ...came.stopped, advice: ADVICE.entry });
      return;
    }
    const genuine = this.#progress.frontier.root().equals(head.root);
    this.#genuine = genuine;
    if (!genuine) await this.#judgeEntries(came);
    // Where entries were changed, the tiles above them differ as well: that says nothing of these tiles.
    const tilesAreWrong = genuine || this.#faults.count === 0;
    if (!genuine && tilesAreWrong) this.#faults.add(this.#otherRoot());
    if (tilesAreWrong) for (const mismatch of came.mismatches) this.#faults.add(tileFinding(mismatch));
    for (let more = came.mismatches.length; more < came.mismatchCount; more++) this.#faults.add(FURTHER_TILE);
    if (genuine) this.#compareOrigin();
    if (!genuine || this.#seen === undefined || this.#consistent !== undefined) return;
    // The tiles could not say it, the entries can: they are those that were signed.
    if (rootAtSeen === undefined || rootAtSeen.equals(this.#seen.head.root)) this.#consistent = true;
    else this.#contradicted(rewritten(this.#seen.head, head));
  }

  /** The entries say what the log is called, and the checkpoint does. */
  #compareOrigin(): void {
    const said = this.#progress.history.toJSON().broker?.origin;
    const { origin, size } = this.#checkpoint.head;
    if (said === undefined || said === origin) return;
    const problem = `the entries are those of the log ${said}, and the checkpoint is that of ${origin}`;
    this.#faults.add({ index: size - 1, problem, advice: ADVICE.checkpoint });
  }

  /** Where a hash tile is the signed one, the entries that do not give its hashes are not those that were logged. */
  async #judgeEntries(came: Recomputed): Promise<void> {
    for (const mismatch of came.mismatches) {
      if (mismatch.level !== 0 || mismatch.unreadable !== undefined) continue;
      const signed = await this.#onSignedTiles((tiles) => tiles.tile(0, mismatch.index));
      if (signed !== undefined) this.#faults.add(entryFinding(mismatch));
    }
  }

  #otherRoot(): LogFinding {
    const { size } = this.#checkpoint.head;
    const before =
      this.#first === 0 ? '' : `; those before ${String(this.#first)} were not read again: --from-start does that`;
    return {
      index: this.#first,
      problem: `the ${String(size)} entries give another root than the signed checkpoint has: entries were changed, removed, added or moved${before}`,
      advice: ADVICE.checkpoint,
    };
  }

  /** What the signed tiles say; undefined where there is a tile that is not signed, or not there. */
  async #onSignedTiles<T>(work: (tiles: SignedTiles) => Promise<T>): Promise<T | undefined> {
    try {
      this.#signedTiles ??= await SignedTiles.open(this.#options.source, this.#checkpoint.head);
      return await work(this.#signedTiles);
    } catch (error) {
      if (error instanceof UnsignedTileError || isBadContent(error)) return undefined;
      throw error;
    }
  }

  #allFindings(): Findings {
    const { findings: meaning } = this.#progress;
    const kept = [...this.#faults.kept, ...meaning.kept].slice(0, MAX_FINDINGS);
    return new Findings(kept, this.#faults.count + meaning.count);
  }
}
