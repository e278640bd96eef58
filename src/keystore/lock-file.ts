import { open, unlink } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { KekError } from '../keys/kek.js';

const POLL_MS = 20;

/**
 * Runs `work` while this process alone holds `path`, made with O_EXCL: exclusion between processes, containers that
 * share a volume included. A lock whose holder was killed is never broken by itself, since taking it from a holder that
 * lives in another PID namespace could lose a KEK: after `waitMs` this throws KekError, which says what to do.
 */
export async function withLockFile<T>(path: string, waitMs: number, work: () => Promise<T>): Promise<T> {
  await take(path, waitMs);
  try {
    return await work();
  } finally {
    await unlink(path);
  }
}

async function take(path: string, waitMs: number): Promise<void> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    try {
      const handle = await open(path, 'wx', 0o600);
      await handle.close();
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
        throw new KekError(`cannot make ${path}; is its directory writable?`, { cause: error });
      }
    }
    if (performance.now() >= deadline) {
      throw new KekError(
        `${path} is held by another process that changes KEKs; if none is running, remove that file and try again`,
      );
    }
    await delay(POLL_MS);
  }
}
