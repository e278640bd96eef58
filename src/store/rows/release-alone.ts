import { setTimeout as pause } from 'node:timers/promises';
import { type ReleaseStore, StoreUnavailableError } from '../../release/store.js';

/** How long one release may keep everything else waiting. */
const LONGEST_MS = 1000;

/** Runs `work` on `store`, and lets it reach no further than the transaction around it: not for long, and with one commit at most. */
export async function releaseAlone<T>(store: ReleaseStore, work: (store: ReleaseStore) => Promise<T>): Promise<T> {
  let open = true;
  let committed = false;
  const assertOpen = () => {
    if (!open) throw new Error('the transaction of the release has ended; await all work inside it');
  };
  const bounded: ReleaseStore = {
    releaseFacts: async (query) => {
      assertOpen();
      return store.releaseFacts(query);
    },
    commitRelease: async (commit) => {
      assertOpen();
      if (committed) throw new Error('a transaction of its own carries one release');
      committed = true;
      return store.commitRelease(commit);
    },
  };
  const timer = new AbortController();
  const overdue = pause(LONGEST_MS, undefined, { signal: timer.signal }).then(() => {
    throw new StoreUnavailableError('a release kept all others waiting for too long; try again');
  });
  overdue.catch(() => undefined);
  try {
    return await Promise.race([work(bounded), overdue]);
  } finally {
    open = false;
    timer.abort();
  }
}
