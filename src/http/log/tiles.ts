import { type LogHead, type Store, StoreIntegrityError } from '../../release/store.js';
import { encodeBundle, TILE_WIDTH, type TileName } from '../../translog/tile.js';

/** The log as this face reads it. */
export interface PublishedLog extends Pick<Store, 'logHashes' | 'logEntries'> {
  logHead(): Promise<Pick<LogHead, 'size'>>;
  /** The checkpoint to publish: the newest, with the cosignatures that there are. */
  checkpoint(): Promise<string>;
}

/** The bytes of a tile or bundle, of any width that the log has come to; undefined for what it has not. Throws the store's errors. */
export async function readTile(log: PublishedLog, { level, index, width }: TileName): Promise<Buffer | undefined> {
  const { size } = await log.logHead();
  const start = index * TILE_WIDTH;
  const there = level === 'entries' ? size : Math.floor(size / TILE_WIDTH ** level);
  if (start + width > there) return undefined;
  if (level !== 'entries') return Buffer.concat(complete(await log.logHashes(level, start, width), width));
  const entries = complete(await log.logEntries(start, width), width);
  return encodeBundle(entries.map((entry) => Buffer.from(entry, 'utf8')));
}

function complete<T>(rows: readonly T[], width: number): readonly T[] {
  if (rows.length !== width) throw new StoreIntegrityError('log: rows that the log must hold are missing');
  return rows;
}
