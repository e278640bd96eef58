import { constants } from 'node:fs';
import { lstat, open, rename, rm, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KekError } from '../keys/kek.js';

const MODE = 0o600;

/** Changes whenever the file, its content or its permissions do. */
export type FileStamp = string;

/** The stamp of the file that is there now. Throws KekError when there is none. */
export async function stampOf(path: string): Promise<FileStamp> {
  try {
    return stamp(await lstat(path, { bigint: true }));
  } catch (error) {
    throw cannotRead(path, error);
  }
}

/**
 * Reads a file that only its owner, who must be the user of this process, can read or write. What is checked is the
 * opened file, not its name: a regular file, no symbolic link, at most `maxBytes`. Throws KekError, which says what to do.
 */
export async function readPrivateFile(path: string, maxBytes: number): Promise<{ content: Buffer; stamp: FileStamp }> {
  // O_NONBLOCK: opening a FIFO would wait for a writer.
  const handle = await openExisting(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = await handle.stat({ bigint: true });
    if (!stat.isFile()) throw new KekError(`${path} is not a regular file; name the KEK file itself`);
    const mode = Number(stat.mode) & 0o777;
    if ((mode & 0o077) !== 0) {
      throw new KekError(`${path} can be read or written by others (mode ${mode.toString(8)}); run: chmod 600 ${path}`);
    }
    const user = process.geteuid?.();
    if (user !== undefined && Number(stat.uid) !== user) {
      throw new KekError(
        `${path} belongs to user ${String(stat.uid)}, not to user ${String(user)} who runs this; run as its owner, or chown it`,
      );
    }
    if (stat.size > BigInt(maxBytes))
      throw new KekError(`${path} is larger than ${String(maxBytes)} bytes; it is no KEK file`);
    const content = Buffer.alloc(Number(stat.size));
    const { bytesRead } = await handle.read(content, 0, content.length, 0);
    return { content: content.subarray(0, bytesRead), stamp: stamp(stat) };
  } finally {
    await handle.close();
  }
}

/** Makes a new file with mode 0600 whatever the umask, on disk (file and directory) when the promise resolves. Throws KekError when anything is there. */
export async function createPrivateFile(path: string, content: Buffer): Promise<void> {
  await writeNew(path, content);
  await syncDirectory(path);
}

/**
 * Replaces the content of a private file at once: readers see the old file or the new one, also after a crash. The
 * caller holds the lock of the file, so what an earlier crash left of the new file can go.
 */
export async function replacePrivateFile(path: string, content: Buffer): Promise<FileStamp> {
  const next = `${path}.new`;
  try {
    await rm(next, { force: true });
    await writeNew(next, content);
    await rename(next, path);
    await syncDirectory(path);
  } catch (error) {
    if (error instanceof KekError) throw error;
    throw new KekError(`${path} cannot be replaced; check its directory and the disk`, { cause: error });
  }
  return stampOf(path);
}

async function openExisting(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (error) {
    throw cannotRead(path, error);
  }
}

function cannotRead(path: string, error: unknown): KekError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT')
    return new KekError(`${path} does not exist; restore it from where it is kept safe, or run: portcullis init`, {
      cause: error,
    });
  if (code === 'ELOOP') return new KekError(`${path} is a symbolic link; name the KEK file itself`, { cause: error });
  return new KekError(`${path} cannot be read (${code ?? 'unknown error'}); check its owner and its directory`, {
    cause: error,
  });
}

async function writeNew(path: string, content: Buffer): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, MODE);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'EEXIST' ? 'exists already and is left as it is' : `cannot be made (${code ?? 'unknown error'})`;
    throw new KekError(`${path} ${why}; choose another data directory`, { cause: error });
  }
  try {
    await handle.chmod(MODE);
    await handle.writeFile(content);
    await handle.sync();
  } catch (error) {
    await unlink(path);
    throw new KekError(`${path} cannot be written; is the disk full?`, { cause: error });
  } finally {
    await handle.close();
  }
}

/** A new name is on disk only when its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(dirname(path), constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function stamp(stat: { dev: bigint; ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint }): FileStamp {
  return [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(':');
}
