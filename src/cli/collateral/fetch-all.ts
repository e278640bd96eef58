import { MalformedError } from '../../bytes/malformed-error.js';
import { DownloadError, type Downloader } from './download.js';
import type { Pieces } from '../../collateral/items.js';
import { parsePiece, type Piece } from '../../collateral/piece.js';
import { filesOf, type Source } from '../../collateral/sources.js';

export interface Fetched {
  /** What came, by the names that the sources give. Nothing is verified. */
  readonly pieces: Pieces;
  readonly failed: readonly { readonly source: Source; readonly why: string }[];
}

/** Fetches one source after the other; `progress` is told of each before it is asked for. What cannot be had is left out. */
export async function fetchAll(
  sources: readonly Source[],
  downloader: Downloader,
  progress: (source: Source) => void,
): Promise<Fetched> {
  const pieces = new Map<string, Piece>();
  const failed: { readonly source: Source; readonly why: string }[] = [];
  for (const source of sources) {
    progress(source);
    try {
      const files = filesOf(source, await downloader.get(source.url));
      const parsed = [...files].map(([name, bytes]) => [name, parsePiece(bytes)] as const);
      for (const [name, piece] of parsed) pieces.set(name, piece);
    } catch (error) {
      if (error instanceof DownloadError) failed.push({ source, why: error.message });
      else if (error instanceof MalformedError)
        failed.push({ source, why: `its answer is not what was asked for: ${error.message}` });
      else throw error;
    }
  }
  return { pieces, failed };
}
