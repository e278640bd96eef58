import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readlink, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { errorCode } from './error-code.js';
import type { CliIo } from './io.js';
import { UsageError } from './outcome.js';
import { pathOf, whyUnreadable } from './read-input.js';

const OWNER_ONLY = 0o600;
/** As many as Linux follows. */
const MAX_LINKS = 40;

/** A file that is about to be written: made before what goes into it, so that nothing is drawn that cannot be kept. */
export interface OutputFile {
  /** Puts the content in place: on disk when the promise resolves. */
  write(content: string | Uint8Array): Promise<void>;
  /** Leaves no trace; does nothing after `write`. */
  discard(): Promise<void>;
}

/**
 * A file of mode 0600 at `name`, whatever the umask. With `replace`, one that is there is replaced at once, behind a symbolic link
 * the one that it leads to; into what is no regular file (a pipe, a device) the content is written, and it stays what it is. Without,
 * anything that is there is a UsageError, as is a folder that cannot be written, and `-`, since stdout has the answer of the command.
 */
export async function createOutputFile(io: CliIo, name: string, replace: boolean): Promise<OutputFile> {
  if (name === '-') throw new UsageError('cannot write -: stdout is for the answer of the command; name a file');
  try {
    const path = pathOf(io, name);
    if (!replace) return fileAt(path, await open(path, 'wx', OWNER_ONLY));
    // Asked before any link is followed by ourselves: a pipe below /proc has no name, and the system may forbid to follow.
    if (await isNoFile(path)) return intoWhatIsThere(await open(path, constants.O_WRONLY));
    const target = await behindLinks(path);
    // A name of its own: what a run that was killed has left is in nobody's way.
    const made = `${target}.${randomBytes(8).toString('hex')}.new`;
    return fileAt(made, await open(made, 'wx', OWNER_ONLY), target);
  } catch (error) {
    throw new UsageError(`cannot write ${name}: ${whyUnreadable(error)}`);
  }
}

/** Where a path leads through symbolic links; what it leads to need not exist. */
async function behindLinks(path: string, left = MAX_LINKS): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' || left === 0) throw error;
    // Not there, or a link to what is not there.
    const link = await readlink(path).catch(() => undefined);
    return link === undefined ? path : behindLinks(resolve(await realpath(dirname(path)), link), left - 1);
  }
}

async function isNoFile(path: string): Promise<boolean> {
  try {
    return !(await stat(path)).isFile();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** A file that was made at `made`, and is moved to `target` when it is complete. */
function fileAt(made: string, file: FileHandle, target = made): OutputFile {
  let written = false;
  return {
    async write(content) {
      await file.chmod(OWNER_ONLY);
      await file.writeFile(content);
      await file.sync();
      if (target !== made) await rename(made, target);
      written = true;
    },
    async discard() {
      await file.close();
      if (!written) await unlink(made);
    },
  };
}

/** Neither its mode nor its place is ours to change, and it may know no sync. */
function intoWhatIsThere(file: FileHandle): OutputFile {
  return { write: (content) => file.writeFile(content), discard: () => file.close() };
}
