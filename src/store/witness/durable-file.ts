import { constants } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

const MODE = 0o600;

/** The directory of a witness is not as it should be, or cannot be written. The message says what to do. */
export class WitnessStateError extends Error {
  override readonly name = 'WitnessStateError';
}

/** The content of a regular file of at most `maxBytes`; undefined where there is none. Throws WitnessStateError. */
export async function readBounded(path: string, maxBytes: number): Promise<Buffer | undefined> {
  const handle = await openExisting(path);
  if (handle === undefined) return undefined;
  try {
    return await contentOf(handle, path, maxBytes);
  } finally {
    await handle.close();
  }
}

/** As `readBounded`, for a secret: nobody but the owner may read or write the file. */
export async function readPrivate(path: string, maxBytes: number): Promise<Buffer | undefined> {
  const handle = await openExisting(path);
  if (handle === undefined) return undefined;
  try {
    const mode = (await handle.stat()).mode & 0o777;
    if ((mode & 0o077) !== 0) {
      throw new WitnessStateError(
        `${path} can be read or written by others (mode ${mode.toString(8)}); run: chmod 600 ${path}`,
      );
    }
    return await contentOf(handle, path, maxBytes);
  } finally {
    await handle.close();
  }
}

/**
 * Puts content at a path, mode 0600: readers see the former file or this one, also after a crash, and when the promise
 * resolves it is on disk, name and all. The caller makes sure that nobody else writes the path. Throws WitnessStateError.
 */
export async function writeDurably(path: string, content: Uint8Array): Promise<void> {
  const next = `${path}.new`;
  try {
    await rm(next, { force: true });
    const handle = await open(next, 'wx', MODE);
    try {
      await handle.chmod(MODE);
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(next, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    if (error instanceof WitnessStateError) throw error;
    throw new WitnessStateError(`${path} cannot be written; check its directory and the disk`, { cause: error });
  }
}

/** A name is on disk only when its directory is. Throws WitnessStateError. */
export async function syncDirectory(path: string): Promise<void> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new WitnessStateError(`${path} cannot be synced; restore the directory of the witness`, { cause: error });
  }
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    // O_NONBLOCK: opening a FIFO would wait for a writer.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new WitnessStateError(`${path} cannot be read (${code ?? 'unknown error'})`, { cause: error });
  }
}

async function contentOf(handle: FileHandle, path: string, maxBytes: number): Promise<Buffer> {
  const stat = await handle.stat();
  if (!stat.isFile()) throw new WitnessStateError(`${path} is not a regular file`);
  if (stat.size > maxBytes) throw new WitnessStateError(`${path} is larger than ${String(maxBytes)} bytes`);
  const content = Buffer.alloc(stat.size);
  const { bytesRead } = await handle.read(content, 0, content.length, 0);
  return content.subarray(0, bytesRead);
}
