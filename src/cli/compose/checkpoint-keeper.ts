import { type KeptBy, readKeptCheckpoint } from '../../release/kept-checkpoint.js';
import { type LogHead, RolledBackError, type Store, StoreIntegrityError } from '../../release/store.js';
import { type CheckpointFile, CheckpointFileError } from '../../store/checkpoint-file/checkpoint-file.js';
import type { TreeHead } from '../../translog/checkpoint.js';
import type { StructuredLog } from '../../telemetry/log.js';

const PERIOD_MS = 1_000;
/** A little less than the period, so that a look that comes early is not put off by a whole one. */
const FRESH_MS = 900;

export interface KeeperOptions {
  readonly file: CheckpointFile;
  readonly store: Pick<Store, 'logHead' | 'newestCheckpoint' | 'expectLog'>;
  readonly keptBy: KeptBy;
  readonly log: StructuredLog;
  /** Told of every write that failed. */
  readonly onFailure: () => void;
}

/**
 * Keeps the newest checkpoint in the file outside of the database: at most once a second while the log grows, whatever the
 * number of processes that do, and at the end. The file never gets a smaller checkpoint of this log, and what is not the
 * broker's own is left as it is. A write that fails is reported, and tried again; nothing else depends on it.
 */
export class CheckpointKeeper {
  readonly #options: KeeperOptions;
  #timer: NodeJS.Timeout | undefined;
  #underWay: Promise<void> | undefined;
  /** A size that the file was seen to hold, or to be beyond. */
  #keptSize = -1;
  #failing = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#options.file.tidy(Date.now());
    // At once: a process that lives for less than a period shall leave the file no further behind than it found it.
    this.#underWay = this.#look(true).finally(() => (this.#underWay = undefined));
    this.#timer = setInterval(() => {
      this.#underWay ??= this.#look(false).finally(() => (this.#underWay = undefined));
    }, PERIOD_MS).unref();
  }

  /** The last write: when nothing is appended any more. Throws nothing. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#underWay;
    await this.#look(true);
  }

  async #look(atTheEnd: boolean): Promise<void> {
    const { log, file } = this.#options;
    const head = await this.#newest();
    if (head === undefined || head.size === this.#keptSize) return;
    try {
      if (!atTheEnd && (await this.#isFresh())) return;
      // What was written is looked at once more: another process may have crossed.
      if (!(await this.#write(head))) this.#keptSize = head.size;
      if (this.#failing) log.info({ file: file.path }, 'the checkpoint file is written again');
      this.#failing = false;
    } catch (error) {
      this.#options.onFailure();
      if (!this.#failing) log.error({ err: error, file: file.path }, 'the checkpoint file cannot be written');
      this.#failing = true;
    }
  }

  async #isFresh(): Promise<boolean> {
    const writtenAtMs = await this.#options.file.writtenAtMs();
    const ageMs = Date.now() - (writtenAtMs ?? -Infinity);
    return ageMs >= 0 && ageMs < FRESH_MS;
  }

  /** A log that was cut short while this process ran is not lost to the file: what the process saw of it is kept. */
  async #newest(): Promise<LogHead | undefined> {
    const { store } = this.#options;
    try {
      return await store.logHead();
    } catch (error) {
      // A store that cannot be read says so to whoever asks it for a release.
      return error instanceof RolledBackError ? undefined : store.newestCheckpoint();
    }
  }

  /** Whether the log contains what the file holds; else the store refuses everything from now on, and the file is the proof. */
  async #isContained(head: TreeHead): Promise<boolean> {
    const { store, file, log } = this.#options;
    try {
      await store.logHead();
    } catch {
      // The log itself is not to be read: nothing can be said against what this process saw of it.
      return true;
    }
    try {
      if (await store.expectLog({ ...head, where: file.path })) return true;
    } catch (error) {
      if (!(error instanceof StoreIntegrityError)) throw error;
    }
    log.error(
      { file: file.path, seen_size: head.size, seen_root: head.root.toString('hex') },
      'the log lacks what another process has seen of it, so nothing is released or changed; the file is left as it is',
    );
    return false;
  }

  /** False where the file holds as much already. */
  async #write(head: { readonly size: number; readonly checkpoint: string }): Promise<boolean> {
    const { file, keptBy } = this.#options;
    const wanted = (current: string | undefined): boolean => {
      if (current === undefined) return true;
      const kept = readKeptCheckpoint(current, keptBy);
      if (kept.standing === 'unproven' || kept.standing === 'other') {
        const why = kept.standing === 'unproven' ? kept.why : 'it is of another log of this broker';
        throw new CheckpointFileError(`${file.path} is left as it is: ${why}; look at it, and then remove it`);
      }
      return kept.standing === 'former' || kept.head.size < head.size;
    };
    const current = await file.read();
    const kept = current === undefined ? undefined : readKeptCheckpoint(current, keptBy);
    if (kept?.standing === 'own' && !(await this.#isContained(kept.head))) return false;
    return wanted(current) && (await file.replace(keptBy.seal.seal(head.checkpoint), wanted));
  }
}
