import { setTimeout as pause } from 'node:timers/promises';
import { type ReleaseStore, StoreUnavailableError } from '../../release/store.js';

/** How long one release may keep everything else waiting. */
const LONGEST_MS = 1000;

/**
 * Runs `work` on a store that reaches no further than the transaction around it: not for long, and with one commit at most.
 * `makeStore` makes that store; it is given what throws once the transaction is over, to be called between the last thing that
 * it awaits and the first that it writes, since what is written later would be outside of any transaction.
 */
export async function releaseAlone<T>(
  makeStore: (assertOpen: () => void) => ReleaseStore,
  work: (store: ReleaseStore) => Promise<T>,
): Promise<T> {
  let open = true;
  let committed = false;
  const assertOpen = () => {
    if (!open) throw new Error('the transaction of the release has ended; await all work inside it');
  };
  const store = makeStore(assertOpen);
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

/** One after the other: releases that are to be alone ask the writer in turn, so that a change waits for one of them at most in each process. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
