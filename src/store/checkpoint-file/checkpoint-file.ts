/**
 * The file that holds the newest checkpoint outside of the database. It may stand on another volume, which can be slow,
 * full or gone: whoever calls this goes on without it. What the file says is the caller's to verify.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const MODE = 0o600;
const MAX_BYTES = 64 * 1024;
/** What an unfinished write left, once it is this old. */
const ABANDONED_MS = 60_000;

/** The file cannot be read or written. The message says what to do. */
export class CheckpointFileError extends Error {
  override readonly name = 'CheckpointFileError';
}

export class CheckpointFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The text of the file; undefined where there is none. Throws CheckpointFileError for what is no readable file of up to 64 KiB. */
  async read(): Promise<string | undefined> {
    let handle: FileHandle;
    try {
      // O_NONBLOCK: opening a FIFO would wait for a writer.
      handle = await open(this.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw this.#failed('cannot be read', error);
    }
    try {
      const { size } = await this.#regular(handle);
      if (size > MAX_BYTES) throw new CheckpointFileError(`${this.path} is larger than ${String(MAX_BYTES)} bytes`);
      const bytes = Buffer.alloc(size);
      const { bytesRead } = await handle.read(bytes, 0, size, 0);
      return bytes.toString('utf8', 0, bytesRead);
    } catch (error) {
      throw error instanceof CheckpointFileError ? error : this.#failed('cannot be read', error);
    } finally {
      await handle.close();
    }
  }

  /** When it was written last, ms since the Unix epoch; undefined where there is none or nobody can say. */
  async writtenAtMs(): Promise<number | undefined> {
    try {
      return (await stat(this.path)).mtimeMs;
    } catch {
      return undefined;
    }
  }

  /**
   * Puts `text` in the place of what is there, unless `mayReplace` says no to that: readers see the one or the other, also
   * after a crash; mode 0600. Returns whether it did. It looks right before it renames, so two processes can cross only
   * within that moment; the one that is left behind sees it when it looks next. Throws CheckpointFileError.
   */
  async replace(text: string, mayReplace: (current: string | undefined) => boolean): Promise<boolean> {
    // Not by the process id: containers that share a volume have the same ones.
    const next = `${this.path}.new-${randomBytes(8).toString('hex')}`;
    try {
      await this.#write(next, text);
      if (!mayReplace(await this.read())) {
        await rm(next, { force: true });
        return false;
      }
      await rename(next, this.path);
      await syncDirectory(dirname(this.path));
      return true;
    } catch (error) {
      await rm(next, { force: true }).catch(() => undefined);
      throw error instanceof CheckpointFileError ? error : this.#failed('cannot be written', error);
    }
  }

  /** Removes what processes that were killed while they wrote have left beside the file. Throws nothing. */
  async tidy(nowMs: number): Promise<void> {
    const folder = dirname(this.path);
    const left = `${basename(this.path)}.new-`;
    try {
      for (const name of await readdir(folder)) {
        if (!name.startsWith(left)) continue;
        const { mtimeMs } = await stat(join(folder, name));
        if (nowMs - mtimeMs > ABANDONED_MS) await rm(join(folder, name), { force: true });
      }
    } catch {
      // Whoever writes next will say what is wrong with the folder.
    }
  }

  async #write(path: string, text: string): Promise<void> {
    const handle = await open(path, 'wx', MODE);
    try {
      await handle.chmod(MODE);
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async #regular(handle: FileHandle): Promise<{ readonly size: number }> {
    const found = await handle.stat();
    if (!found.isFile()) throw new CheckpointFileError(`${this.path} is not a regular file; name a file`);
    return found;
  }

  #failed(what: string, cause: unknown): CheckpointFileError {
    const why = codeOf(cause) ?? 'unknown error';
    const message = `${this.path} ${what} (${why}); check that its directory is there and belongs to the broker, and the disk`;
    return new CheckpointFileError(message, { cause });
  }
}

/** A name is on disk only when its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function codeOf(error: unknown): string | undefined {
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' ? code : undefined;
}
