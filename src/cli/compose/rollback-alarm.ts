import { type SeenHead, type Store, StoreIntegrityError } from '../../release/store.js';
import type { StructuredLog } from '../../telemetry/log.js';
import type { SeenOutside } from './seen-outside.js';

export interface AlarmOptions {
  readonly store: Store;
  readonly log: StructuredLog;
  /** For the command that accepts a loss. */
  readonly dataDir: string;
}

/**
 * Holds the log against what was seen of it outside of the database. Where it lacks anything, or is damaged, the store refuses
 * every write and release from then on, and the process log says what was seen where, or what is damaged. Returns whether all is well. What proves
 * nothing is said loudly and locks nobody out.
 */
export async function holdAgainst(
  { heads, doubts, fileMissing }: SeenOutside,
  { store, log, dataDir }: AlarmOptions,
): Promise<boolean> {
  for (const doubt of doubts) log.warn({ doubt }, 'a rollback of the database may go unnoticed');
  if (fileMissing && (await wasStartedBefore(store))) {
    const doubt = 'the checkpoint file is missing; it is written anew, and says nothing of the time before';
    log.warn({ doubt }, 'a rollback of the database may go unnoticed');
  }
  const { size } = await store.logHead();
  let sound = true;
  for (const head of heads) {
    const found = await contains(store, head);
    if (found === true) continue;
    sound = false;
    if (found !== false) {
      log.error(
        { damage: found.message, ways_on: ['stop every broker on the database and restore a backup'] },
        'rows of the log were changed in the database, so nothing is released or changed',
      );
      continue;
    }
    log.error(
      {
        seen_in: head.where,
        seen_size: head.size,
        seen_root: head.root.toString('hex'),
        log_size: size,
        ways_on: [
          'stop the broker and restore the newer database',
          `stop the broker and accept the loss: portcullis log accept-rollback --data-dir ${dataDir}`,
        ],
      },
      'the database was rolled back: its log lacks what was seen before, so nothing is released or changed',
    );
  }
  return sound;
}

/** What is damaged is no rollback: the store refuses as well then, and says what it found. */
async function contains(store: Store, head: SeenHead): Promise<boolean | StoreIntegrityError> {
  try {
    return await store.expectLog(head);
  } catch (error) {
    if (error instanceof StoreIntegrityError) return error;
    throw error;
  }
}

/** A first start has nothing to miss. */
async function wasStartedBefore(store: Store): Promise<boolean> {
  const [started] = await store.read((view) => view.entries({ type: 'broker.started', limit: 1 }));
  return started !== undefined;
}
