import type { Config } from '../../config/config.js';
import { reject, type Result } from '../../reason/reason.js';
import { readKeptCheckpoint } from '../../release/kept-checkpoint.js';
import { recomputeLog } from '../../release/recompute-log.js';
import { acceptRollback, type AcceptedRollback, examineLog, type Survived } from '../../release/rollback.js';
import { type Store, StoreIntegrityError } from '../../release/store.js';
import { CheckpointFile, CheckpointFileError } from '../../store/checkpoint-file/checkpoint-file.js';
import { Witnesses } from '../../witness/witnesses.js';
import { checkpointPath } from './data-dir.js';
import { keptByOf } from './log-service.js';
import { openBroker, type OpenBroker } from './open-broker.js';
import { lookOutside } from './seen-outside.js';

export interface AcceptRollbackOptions {
  readonly config: Config;
  /** Why it is to be done though nothing shows a loss. */
  readonly force: string | undefined;
  /** False: only say what would be. */
  readonly go: boolean;
}

export interface RollbackReport {
  readonly survived: Survived;
  /** undefined: nothing was changed. */
  readonly accepted: AcceptedRollback | undefined;
  readonly checkpointFile: string;
  /** What could not be looked at or written, for people. */
  readonly doubts: readonly string[];
}

/**
 * Looks at what the database has lost, and goes on without it where that is wanted. resource.state where nothing shows a
 * loss and no reason is given. A log whose rows do not agree was changed, not rolled back: StoreIntegrityError. Throws UsageError, and what opening the data directory throws.
 */
export async function acceptLoss({ config, force, go }: AcceptRollbackOptions): Promise<Result<RollbackReport>> {
  const open = await openQuietly(config);
  const witnesses = new Witnesses(config.log.witnesses);
  try {
    const { store, keks, random } = open.context;
    await assertWhole(store);
    const keptBy = await keptByOf(open);
    const file = new CheckpointFile(checkpointPath(config));
    const { heads, doubts } = await lookOutside(file, witnesses, keptBy);
    const survived = await examineLog(store, heads);
    const [missing] = survived.missing;
    const cause = missing === undefined ? (force === undefined ? undefined : { reason: force }) : { missing };
    if (cause === undefined) {
      return reject(
        'resource.state',
        `nothing shows that entries were lost: the log has ${String(survived.head.size)}, and nobody who was asked has seen other ones${doubts.map((doubt) => `; ${doubt}`).join('')}; where you know better, say why with --force REASON`,
      );
    }
    const report = { survived, checkpointFile: file.path, doubts };
    if (!go) return { ok: true, value: { ...report, accepted: undefined } };
    const accepted = await acceptRollback({ store, keks, random }, cause);
    const text = open.seal.seal(accepted.head.checkpoint);
    const failure = await written(file, text, (current) => readKeptCheckpoint(current, keptBy).standing !== 'unproven');
    return { ok: true, value: { ...report, accepted, doubts: [...doubts, ...failure] } };
  } finally {
    await witnesses.close();
    await open.close();
  }
}

/** What is signed anew must be what was appended: the tree is recomputed from every entry, whatever is in the hashes. */
async function assertWhole(store: Store): Promise<void> {
  try {
    await recomputeLog(store, await store.logHead());
  } catch (error) {
    if (!(error instanceof StoreIntegrityError)) throw error;
    const message = `${error.message}: rows of the log were changed, which is no rollback and cannot be accepted; restore a backup`;
    throw new StoreIntegrityError(message, { cause: error });
  }
}

/** The file of the log that was goes; nothing else does. What went wrong, for people. */
async function written(
  file: CheckpointFile,
  text: string,
  mayReplace: (current: string) => boolean,
): Promise<readonly string[]> {
  try {
    const done = await file.replace(text, (current) => current === undefined || mayReplace(current));
    return done ? [] : [`the checkpoint file ${file.path} was left as it is: remove it before the broker is started`];
  } catch (error) {
    if (!(error instanceof CheckpointFileError)) throw error;
    return [`the checkpoint file: ${error.message}`];
  }
}

function openQuietly(config: Config): Promise<OpenBroker> {
  const { dataDir, store, profile, limits, explain, log, archiveEvidence } = config;
  const { challengeTtlMs } = limits;
  const observer = {
    challenged: ignore,
    released: ignore,
    denied: ignore,
    committed: ignore,
    regressed: ignore,
    sightingDropped: ignore,
  };
  return openBroker({
    dataDir,
    store,
    profile,
    challengeTtlMs,
    explain,
    logNames: log.names,
    archiveEvidence,
    observer,
  });
}

function ignore(): void {
  // Nobody watches.
}
