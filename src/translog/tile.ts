/** Tiles and entry bundles, C2SP tlog-tiles: how a log is read over HTTP or from a directory. */
import { MalformedError } from '../bytes/malformed-error.js';
import { Reader } from '../bytes/reader.js';

/** Hashes of a full tile, entries of a full bundle. */
export const TILE_WIDTH = 256;
/** Tree levels between one level of tiles and the next. */
export const TILE_HEIGHT = 8;
/** Tile levels that a tree of up to 2^53 leaves can have. */
export const MAX_TILE_LEVEL = 6;
const MAX_ENTRY_BYTES = 0xffff;

/** A tile, or a bundle of entries (`level` is then 'entries'). */
export interface TileName {
  readonly level: number | 'entries';
  readonly index: number;
  /** 1 to 256; less than 256 is a partial tile. */
  readonly width: number;
}

/** The path of a tile below the log's prefix: `tile/<L>/<N>[.p/<W>]`, N in groups of three digits. RangeError for no tile. */
export function tilePath(name: TileName): string {
  if (!isTile(name)) throw new RangeError('no such tile');
  const { level, index, width } = name;
  const digits = String(index);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0');
  const groups = padded.match(/\d{3}/g) ?? [];
  const path = groups.map((group, at) => (at === groups.length - 1 ? group : `x${group}`)).join('/');
  return `tile/${String(level)}/${path}${width === TILE_WIDTH ? '' : `.p/${String(width)}`}`;
}

const PATH = /^tile\/(entries|0|[1-9]\d?)\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

/**
 * Reads such a path; undefined for anything that `tilePath` does not write, so that a tile has one address, and for tiles
 * that no tree has: the index of the first leaf under a tile that was read is a safe integer. Whether this log has it is
 * not looked at.
 */
export function parseTilePath(path: string): TileName | undefined {
  const [, levelText = '', groups = '', widthText] = PATH.exec(path) ?? [];
  if (groups === '') return undefined;
  const level = levelText === 'entries' ? levelText : Number(levelText);
  const width = widthText === undefined ? TILE_WIDTH : Number(widthText);
  const index = Number(groups.replaceAll(/[x/]/g, ''));
  const name: TileName = { level, index, width };
  return isTile(name) && tilePath(name) === path ? name : undefined;
}

/**
 * Whether a tree of up to 2^53 leaves can have a tile of this index. Its width may be more than such a tree gives it: clients
 * ask for the full tile where a partial one is gone.
 */
function isTile({ level, index, width }: TileName): boolean {
  if (!(Number.isInteger(index) && index >= 0 && Number.isInteger(width) && width >= 1 && width <= TILE_WIDTH))
    return false;
  const tileLevel = level === 'entries' ? 0 : level;
  if (!(Number.isInteger(tileLevel) && tileLevel >= 0 && tileLevel <= MAX_TILE_LEVEL)) return false;
  return index * TILE_WIDTH ** (tileLevel + 1) <= Number.MAX_SAFE_INTEGER;
}

/** The tiles of one level that make up a tree, the last one partial where it is. Levels above the last have none. */
export function tileCount(size: number, level: number): { readonly full: number; readonly partialWidth: number } {
  const hashes = Math.floor(size / TILE_WIDTH ** level);
  return { full: Math.floor(hashes / TILE_WIDTH), partialWidth: hashes % TILE_WIDTH };
}

/** Up to 256 entries as a bundle: each behind its length, 16 bits big-endian. */
export function encodeBundle(entries: readonly Uint8Array[]): Buffer {
  if (entries.length > TILE_WIDTH) throw new RangeError('a bundle holds at most 256 entries');
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES) throw new RangeError('an entry of a bundle is at most 65535 bytes');
    parts.push(Buffer.of(entry.length >> 8, entry.length & 0xff), entry);
  }
  return Buffer.concat(parts);
}

/** The entries of a bundle of this width, as views. Throws MalformedError. */
export function decodeBundle(bundle: Uint8Array, width: number): readonly Buffer[] {
  const reader = new Reader(bundle);
  const entries: Buffer[] = [];
  for (let at = 0; at < width; at++) entries.push(reader.sized16(MAX_ENTRY_BYTES, 'entry'));
  reader.end('entry bundle');
  return entries;
}

/** The hashes of a tile of this width, as views. Throws MalformedError. */
export function decodeTile(tile: Uint8Array, width: number, hashBytes: number): readonly Buffer[] {
  if (tile.length !== width * hashBytes) throw new MalformedError('tile: not as many hashes as its width');
  const reader = new Reader(tile);
  return Array.from({ length: width }, () => reader.take(hashBytes, 'hash'));
}
