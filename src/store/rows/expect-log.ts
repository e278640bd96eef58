import { containsHead } from '../../release/log-proofs.js';
import { recomputeLog } from '../../release/recompute-log.js';
import { type LogHead, type SeenHead, type Store, StoreIntegrityError } from '../../release/store.js';
import type { LogWatch } from './log-watch.js';

/**
 * As Store.expectLog, for the log whose authenticated head this is. What does not contain the head is recomputed from its
 * entries before it is called rolled back: a log whose rows were changed is damaged, and says so (StoreIntegrityError).
 */
export async function expectLog(
  watch: LogWatch,
  source: Pick<Store, 'logEntries' | 'logHashes'>,
  head: LogHead,
  seen: SeenHead,
): Promise<boolean> {
  try {
    if (await containsHead(source, head, seen)) return true;
    await recomputeLog(source, head);
  } catch (error) {
    if (!(error instanceof StoreIntegrityError)) throw error;
    throw watch.refuseDamaged(error.message);
  }
  watch.refuse(head, seen);
  return false;
}
