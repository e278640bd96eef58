import { constants } from 'node:fs';
import { open, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Result } from '../reason/reason.js';
import { MAX_TILE_LEVEL, TILE_WIDTH, tileCount, type TileName, tilePath } from '../translog/tile.js';
import { isBadContent, type SeenCheckpoint } from './compare-heads.js';
import { directorySource } from './directory-source.js';
import { ADVICE } from './findings.js';
import { makeDirectory } from './make-directory.js';
import { readAhead } from './read-ahead.js';
import { readBundle } from './read-tiles.js';
import { openLog, orFault, type SignedLog, verifyBundle } from './signed-log.js';
import type { SignedTiles } from './signed-tiles.js';
import { CHECKPOINT, LOG_KEY_FILE, type LogSource } from './source.js';
import { type CheckpointTrust, readCheckpoint, type TrustedCheckpoint } from './trusted-checkpoint.js';

/** The directory cannot take this log. The message says why. */
export class ExportDirectoryError extends Error {
  override readonly name = 'ExportDirectoryError';
}

export interface ExportOptions {
  readonly source: LogSource;
  readonly trust: CheckpointTrust;
  /** The vkey string of `trust.logKey`. */
  readonly verifierKey: string;
  readonly directory: string;
  readonly onProgress?: (size: number, total: number, first: number) => void;
}

export interface ExportReport {
  readonly checkpoint: TrustedCheckpoint;
  /** The first entry that was looked at: those before it were exported earlier. */
  readonly first: number;
}

/**
 * Copies a log into a directory, in the layout of C2SP tlog-tiles. Nothing is kept that was not verified to be of the tree
 * that the log key signed; that tree starts with the one that was exported before. The checkpoint is written last, so a
 * directory with a checkpoint is whole; full tiles that are there are not fetched again. NOT verified: what the entries
 * mean. Refusals: those of readCheckpoint. Throws LogFault, LogSourceError, ExportDirectoryError.
 */
export async function exportLog(options: ExportOptions): Promise<Result<ExportReport>> {
  const { directory, verifierKey, trust } = options;
  await claimDirectory(directory, verifierKey);
  const before = await exportedBefore(directory, trust);
  const mirror = new Mirror(options.source, directory);
  const log = await mirror.repairing(() => openLog(mirror, trust, before));
  if (!log.ok) return log;
  const { checkpoint } = log.value;
  const first = Math.floor((before?.head.size ?? 0) / TILE_WIDTH) * TILE_WIDTH;
  await new Export(options, mirror, log.value).copy(first);
  await replaceCheckpoint(directory, checkpoint.text);
  if (before !== undefined) await removePartials(directory, before.head.size, checkpoint.head.size);
  return { ok: true, value: { checkpoint, first } };
}

class Export {
  readonly #options: ExportOptions;
  readonly #mirror: Mirror;
  readonly #tiles: SignedTiles;

  constructor(options: ExportOptions, mirror: Mirror, log: SignedLog) {
    this.#options = options;
    this.#mirror = mirror;
    this.#tiles = log.tiles;
  }

  async copy(first: number): Promise<void> {
    const { size } = this.#tiles.head;
    const { onProgress } = this.#options;
    const end = Math.ceil(size / TILE_WIDTH);
    for await (const at of readAhead(first / TILE_WIDTH, end, (index) => this.#copyBundle(index))) {
      onProgress?.(Math.min((at + 1) * TILE_WIDTH, size), size, first);
    }
    for (let level = 1; level <= MAX_TILE_LEVEL; level++) {
      const { full, partialWidth } = tileCount(size, level);
      for (let index = Math.floor(first / TILE_WIDTH ** (level + 1)); index < full; index++) {
        await this.#copyTile(level, index, TILE_WIDTH);
      }
      if (partialWidth > 0) await this.#copyTile(level, full, partialWidth);
    }
  }

  async #copyTile(level: number, index: number, width: number): Promise<Buffer> {
    const hashes = await orFault(
      () => this.#mirror.repairing(() => this.#tiles.tile(level, index)),
      index * TILE_WIDTH,
    );
    await this.#mirror.keep({ level, index, width }, hashes);
    return hashes;
  }

  async #copyBundle(index: number): Promise<number> {
    const { full, partialWidth } = tileCount(this.#tiles.head.size, 0);
    const width = index < full ? TILE_WIDTH : partialWidth;
    const hashes = await this.#copyTile(0, index, width);
    const name: TileName = { level: 'entries', index, width };
    await this.#mirror.repairing(async () => {
      const bundle = await orFault(() => readBundle(this.#mirror, index, width), index * TILE_WIDTH, ADVICE.entry);
      const bounds = verifyBundle(bundle, hashes, index);
      await this.#mirror.keep(name, bundle.bytes.subarray(0, bounds.at(-1)));
    }, tilePath(name));
    return index;
  }
}

/** A log, and its full tiles that are in the directory already. */
class Mirror implements LogSource {
  readonly where: string;
  readonly #source: LogSource;
  readonly #copy: LogSource;
  readonly #directory: string;

  constructor(source: LogSource, directory: string) {
    this.where = source.where;
    this.#source = source;
    this.#copy = directorySource(directory);
    this.#directory = directory;
  }

  checkpoint(): Promise<string> {
    return this.#source.checkpoint();
  }

  async tile(name: TileName): Promise<Buffer> {
    if (name.width < TILE_WIDTH) return this.#source.tile(name);
    try {
      return await this.#copy.tile(name);
    } catch (error) {
      if (!isBadContent(error)) throw error;
      return this.#source.tile(name);
    }
  }

  /** Writes a tile that was verified; readers see it whole or not at all. A full one that is there is the one that was verified. */
  async keep(name: TileName, content: Uint8Array): Promise<void> {
    const file = join(this.#directory, tilePath(name));
    if (name.width === TILE_WIDTH && (await sizeOf(file)) === content.length) return;
    await makeDirectory(dirname(file));
    await writeFile(`${file}.new`, content);
    await rename(`${file}.new`, file);
  }

  /** Runs `work`; where it finds a file at fault that stands in the directory, once more without that file. */
  async repairing<T>(work: () => Promise<T>, path?: string): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const blamed = path ?? (error as { path?: unknown }).path;
      if (typeof blamed !== 'string' || (await sizeOf(join(this.#directory, blamed))) === undefined) throw error;
      await rm(join(this.#directory, blamed));
      return work();
    }
  }

  verifierKey(): Promise<string> {
    return this.#source.verifierKey();
  }

  async close(): Promise<void> {
    await this.#source.close();
  }
}

/** An empty directory, or one that this log was exported into. The key goes in first: it says what the directory is of. */
async function claimDirectory(directory: string, verifierKey: string): Promise<void> {
  const line = `${verifierKey}\n`;
  await makeDirectory(directory).catch((cause: unknown) => {
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
    throw new ExportDirectoryError(`${directory} cannot be made (${code}); name another directory`, { cause });
  });
  const key = await readFile(join(directory, LOG_KEY_FILE.path), 'utf8').catch(absent);
  if (key === line) return;
  if (key !== undefined) throw new ExportDirectoryError(`${directory} holds another log; name another directory`);
  if ((await readdir(directory)).length > 0) {
    throw new ExportDirectoryError(`${directory} holds something else than an exported log; name an empty directory`);
  }
  await writeFile(join(directory, LOG_KEY_FILE.path), line, { flag: 'wx' });
}

async function exportedBefore(directory: string, trust: CheckpointTrust): Promise<SeenCheckpoint | undefined> {
  if ((await sizeOf(join(directory, CHECKPOINT.path))) === undefined) return undefined;
  // It was taken with the witnesses of that time.
  const verified = await readCheckpoint(directorySource(directory), { logKey: trust.logKey });
  if (verified.ok) return verified.value;
  throw new ExportDirectoryError(
    `${directory}: its checkpoint is damaged; delete that file, then everything is checked anew`,
  );
}

async function replaceCheckpoint(directory: string, text: string): Promise<void> {
  const file = join(directory, CHECKPOINT.path);
  const handle = await open(`${file}.new`, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o644);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
}

/** Partial tiles of the tree that was exported before, where they are not of the one of now. */
async function removePartials(directory: string, before: number, now: number): Promise<void> {
  for (let level = 0; level <= MAX_TILE_LEVEL; level++) {
    const { full: index, partialWidth: width } = tileCount(before, level);
    const later = tileCount(now, level);
    if (width === 0 || (later.full === index && later.partialWidth === width)) continue;
    const names: TileName[] = [
      { level, index, width },
      ...(level === 0 ? [{ level: 'entries', index, width } as const] : []),
    ];
    for (const name of names) {
      const file = join(directory, tilePath(name));
      await rm(file, { force: true });
      // The directory of the partial tiles of one index; there may be others in it.
      await rmdir(dirname(file)).catch(() => undefined);
    }
  }
}

/** Undefined where there is no file. */
async function sizeOf(file: string): Promise<number | undefined> {
  return (await stat(file).catch(absent))?.size;
}

function absent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
  throw error;
}
