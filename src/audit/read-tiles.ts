import { hash } from 'node:crypto';
import { MalformedError } from '../bytes/malformed-error.js';
import { HASH_BYTES } from '../translog/merkle.js';
import { TILE_WIDTH, type TileName, tilePath } from '../translog/tile.js';
import { type LogSource, LogSourceError } from './source.js';

/** Bytes of the length in front of each entry of a bundle. */
export const LENGTH_BYTES = 2;

/** The hashes of a tile, exactly as many bytes as its width demands; not verified. Throws LogSourceError, MalformedError. */
export async function readHashes(source: LogSource, name: TileName & { readonly level: number }): Promise<Buffer> {
  const { tile, width } = await readTile(source, name);
  if (tile.length !== width * HASH_BYTES) {
    throw new MalformedError(`${tilePath({ ...name, width })} does not hold as many hashes as its width`);
  }
  return tile.subarray(0, name.width * HASH_BYTES);
}

/** A bundle of at least `width` entries; neither its form nor its entries are verified. Throws LogSourceError. */
export async function readBundle(source: LogSource, index: number, width: number): Promise<Bundle> {
  const read = await readTile(source, { level: 'entries', index, width });
  return { bytes: read.tile, width, holds: read.width };
}

export interface Bundle {
  readonly bytes: Buffer;
  /** Entries that are wanted. */
  readonly width: number;
  /** Entries that it was read as: 256 where a full bundle stands in for a partial one. */
  readonly holds: number;
}

/** A log may drop a partial tile once the full one is there, so that one is asked for where the other is gone. */
async function readTile(source: LogSource, name: TileName): Promise<{ tile: Buffer; width: number }> {
  try {
    return { tile: await source.tile(name), width: name.width };
  } catch (error) {
    const gone = error instanceof LogSourceError && error.failure === 'absent' && name.width < TILE_WIDTH;
    if (!gone) throw error;
    const full = await source.tile({ ...name, width: TILE_WIDTH }).catch((second: unknown) => {
      // What is missing is the partial tile; but a connection that broke is another matter.
      throw second instanceof LogSourceError && second.failure === 'absent' ? error : second;
    });
    return { tile: full, width: TILE_WIDTH };
  }
}

/**
 * Where the entries of a bundle lie: start and end of each, two numbers an entry. Throws MalformedError for a bundle that
 * ends within an entry, or goes on after the last one; `position` of it is the entry that could not be read.
 */
export function bundleBounds({ bytes, width, holds }: Bundle): Uint32Array {
  const bounds = new Uint32Array(2 * width);
  let end = 0;
  for (let at = 0; at < width; at++) {
    const start = end + LENGTH_BYTES;
    end = start <= bytes.length ? start + bytes.readUInt16BE(end) : start;
    if (end > bytes.length) throw new BundleError('the bundle ends within an entry', at);
    bounds[2 * at] = start;
    bounds[2 * at + 1] = end;
  }
  if (holds === width && end !== bytes.length) throw new BundleError('the bundle goes on after its last entry', width);
  return bounds;
}

/**
 * The leaf hash of an entry that stands in a bundle, as latin-1: SHA-256(00 || entry). The 00 is put for a moment into the
 * byte before the entry, which is of its length, so that nothing is copied.
 */
export function leafHashIn(bundle: Buffer, start: number, end: number): string {
  const byte = bundle.readUInt8(start - 1);
  bundle[start - 1] = 0;
  const digest = hash('sha256', bundle.subarray(start - 1, end), 'binary');
  bundle[start - 1] = byte;
  return digest;
}

/** A bundle that is none. */
export class BundleError extends MalformedError {
  /** The position in the bundle of the entry that could not be read. */
  readonly position: number;

  constructor(message: string, position: number) {
    super(message);
    this.position = position;
  }
}
