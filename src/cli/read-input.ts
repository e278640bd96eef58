import { open, type FileHandle } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { errorCode } from './error-code.js';
import type { CliIo } from './io.js';
import { UsageError } from './outcome.js';

const CHUNK_BYTES = 64 * 1024;

/** A file name as typed, relative to the working directory of the run. */
export function pathOf(io: CliIo, name: string): string {
  return isAbsolute(name) ? name : resolve(io.cwd, name);
}

/**
 * The bytes of a file, or of standard input for `-`. Never reads more than `maxBytes` + 1: undefined when there is more.
 * Throws UsageError where it cannot be read.
 */
export async function readInput(io: CliIo, name: string, maxBytes: number): Promise<Buffer | undefined> {
  if (name === '-') return readBounded(io.stdin, maxBytes);
  let handle: FileHandle | undefined;
  try {
    handle = await open(pathOf(io, name), 'r');
    return await readBounded(chunksOf(handle), maxBytes);
  } catch (error) {
    throw new UsageError(`cannot read ${name}: ${whyUnreadable(error)}`);
  } finally {
    await handle?.close();
  }
}

/** As `readInput`, for small text such as a token: UsageError where it is larger than `maxBytes`. */
export async function readSmallInput(io: CliIo, name: string, maxBytes: number): Promise<Buffer> {
  const bytes = await readInput(io, name, maxBytes);
  if (bytes === undefined) throw new UsageError(`${name} is larger than ${String(maxBytes)} bytes`);
  return bytes;
}

/** Says why a file cannot be read or written, in words. */
export function whyUnreadable(error: unknown): string {
  const code = errorCode(error);
  switch (code) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
    case 'EPERM':
      return 'permission denied';
    case 'EISDIR':
      return 'it is a directory';
    case 'EEXIST':
      return 'it exists already';
    case 'ENOTDIR':
      return 'a part of the path is not a directory';
    default:
      return code === '' ? 'it cannot be opened' : code;
  }
}

async function* chunksOf(handle: FileHandle): AsyncGenerator<Buffer> {
  for (;;) {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/** The pieces are wiped once they are put together: the input may be a key, and only the caller knows. */
async function readBounded(source: AsyncIterable<Uint8Array | string>, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let total = 0;
  try {
    for await (const chunk of source) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, 'utf8') : Buffer.from(chunk);
      chunks.push(bytes);
      total += bytes.length;
      if (total > maxBytes) return undefined;
    }
    return Buffer.concat(chunks, total);
  } finally {
    for (const chunk of chunks) chunk.fill(0);
  }
}
