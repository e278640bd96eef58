import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import {
  CHECKPOINT,
  LOG_KEY_FILE,
  type LogSource,
  LogSourceError,
  type Resource,
  textOf,
  tileResource,
} from './source.js';

/**
 * A log as files below a directory, as `log export` writes them. Files are read synchronously: a read that waits for a
 * thread costs more than the 256 entries that it brings.
 */
export function directorySource(directory: string): LogSource {
  const read = (resource: Resource) => readResource(directory, resource);
  return {
    where: directory,
    checkpoint: async () => textOf(CHECKPOINT, read(CHECKPOINT)),
    verifierKey: async () => textOf(LOG_KEY_FILE, read(LOG_KEY_FILE)).trim(),
    tile: async (name) => read(tileResource(name)),
    close: async () => undefined,
  };
}

/** The bytes of a regular file. Throws LogSourceError: `absent`, or `unfit` where it is larger than it can be. */
export function readResource(directory: string, { path, maxBytes }: Resource): Buffer {
  let file: number;
  try {
    // O_NONBLOCK: opening a FIFO would wait for a writer.
    file = openSync(join(directory, path), constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw openFailure(path, cause);
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new LogSourceError('unfit', `${path} is not a regular file`);
    if (stat.size > maxBytes) throw tooLong(path, maxBytes);
    const bytes = Buffer.allocUnsafe(stat.size);
    let filled = 0;
    while (filled < bytes.length) {
      const count = readSync(file, bytes, filled, bytes.length - filled, null);
      if (count === 0) break;
      filled += count;
    }
    return bytes.subarray(0, filled);
  } catch (cause) {
    if (cause instanceof LogSourceError) throw cause;
    throw new LogSourceError('unreachable', `${path} cannot be read: ${codeOf(cause)}`, { cause });
  } finally {
    closeSync(file);
  }
}

export function tooLong(path: string, maxBytes: number): LogSourceError {
  return new LogSourceError('unfit', `${path} is larger than ${String(maxBytes)} bytes, which it can never be`);
}

function openFailure(path: string, cause: unknown): LogSourceError {
  const code = codeOf(cause);
  if (code === 'ENOENT' || code === 'ENOTDIR') return new LogSourceError('absent', `${path} is missing`, { cause });
  return new LogSourceError('unreachable', `${path} cannot be opened: ${code}`, { cause });
}

function codeOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : 'unknown error';
}
