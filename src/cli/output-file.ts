import { open, rename, unlink } from 'node:fs/promises';
import type { CliIo } from './io.js';
import { UsageError } from './outcome.js';
import { pathOf, whyUnreadable } from './read-input.js';

const OWNER_ONLY = 0o600;

/** A file that is about to be written: made before what goes into it, so that nothing is drawn that cannot be kept. */
export interface OutputFile {
  /** Puts the content in place: on disk when the promise resolves. */
  write(content: string | Uint8Array): Promise<void>;
  /** Leaves no trace; does nothing after `write`. */
  discard(): Promise<void>;
}

/**
 * A file of mode 0600 at `name`, whatever the umask. With `replace`, one that is there is replaced at once; without, that is
 * a UsageError, as is a folder that cannot be written.
 */
export async function createOutputFile(io: CliIo, name: string, replace: boolean): Promise<OutputFile> {
  const path = pathOf(io, name);
  const first = replace ? `${path}.${String(process.pid)}.new` : path;
  const file = await open(first, 'wx', OWNER_ONLY).catch((error: unknown) => {
    throw new UsageError(`cannot write ${name}: ${whyUnreadable(error)}`);
  });
  let written = false;
  return {
    async write(content) {
      await file.chmod(OWNER_ONLY);
      await file.writeFile(content);
      await file.sync();
      if (replace) await rename(first, path);
      written = true;
    },
    async discard() {
      await file.close();
      if (!written) await unlink(first);
    },
  };
}
