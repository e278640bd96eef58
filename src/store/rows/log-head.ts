import { HASH_BYTES, type Peaks, rootOfPeaks } from '../../translog/merkle.js';
import type { Row, RowMac } from './row-mac.js';

/** The tree head of the log, and of its newest entry what the next one must know. */
export interface StoredHead {
  /** `<broker id>/<log id>`. */
  readonly origin: string;
  readonly size: number;
  readonly timeMs: number;
  readonly generation: number;
  readonly peaks: Peaks;
  /** The hash over the peaks. */
  readonly root: Buffer;
  /** Signed note. */
  readonly checkpoint: string;
}

const TABLE = 'log_head';

/** Of the head row, without `mac`. */
export const HEAD_COLUMNS = ['id', 'origin', 'size', 'time_ms', 'state_generation', 'peaks', 'checkpoint'];

/** Reads and makes the head row. It is authenticated, so what is appended to it continues a tree that this broker made. */
export class HeadRows {
  /** The head that was read or written last: the same MAC, once it is verified, is the same head. */
  #known: { readonly mac: Buffer; readonly head: StoredHead } | undefined;

  /** Throws StoreIntegrityError. */
  headOf(rowMac: RowMac, row: Row): StoredHead {
    const mac = rowMac.verify(TABLE, '1', HEAD_COLUMNS, row);
    if (this.#known?.mac.equals(mac) !== true) this.#known = { mac, head: parseHead(row) };
    return this.#known.head;
  }

  /** With `mac`. */
  rowOf(rowMac: RowMac, head: StoredHead): Row {
    const row: Row = {
      id: 1,
      origin: head.origin,
      size: head.size,
      time_ms: head.timeMs,
      state_generation: head.generation,
      peaks: Buffer.concat(head.peaks),
      checkpoint: head.checkpoint,
    };
    const mac = rowMac.of(TABLE, HEAD_COLUMNS, row);
    rowMac.remember(TABLE, '1', HEAD_COLUMNS, { ...row, mac });
    this.#known = { mac, head };
    return { ...row, mac };
  }
}

function parseHead(row: Row): StoredHead {
  const bytes = row['peaks'] as Buffer;
  const peaks = Array.from({ length: bytes.length / HASH_BYTES }, (_, at) =>
    bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
  );
  return {
    origin: row['origin'] as string,
    size: row['size'] as number,
    timeMs: row['time_ms'] as number,
    generation: row['state_generation'] as number,
    peaks,
    root: rootOfPeaks(peaks),
    checkpoint: row['checkpoint'] as string,
  };
}
