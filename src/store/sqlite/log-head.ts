import type Database from 'better-sqlite3';
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
const COLUMNS = ['id', 'origin', 'size', 'time_ms', 'state_generation', 'peaks', 'checkpoint'];

/** The head row on one connection. It is authenticated, so what is appended to it continues a tree that this broker made. */
export class LogHeadTable {
  readonly #select: Database.Statement;
  readonly #upsert: Database.Statement;
  /** The head that was read or written last: the same MAC, once it is verified, is the same head. */
  #known: { readonly mac: Buffer; readonly head: StoredHead } | undefined;

  constructor(db: Database.Database) {
    this.#select = db.prepare('SELECT * FROM log_head WHERE id = 1');
    this.#upsert = db.prepare(
      `INSERT INTO log_head (${COLUMNS.join(', ')}, mac) VALUES (@id, @origin, @size, @time_ms, @state_generation, @peaks, @checkpoint, @mac)
       ON CONFLICT (id) DO UPDATE SET origin = excluded.origin, size = excluded.size, time_ms = excluded.time_ms,
         state_generation = excluded.state_generation, peaks = excluded.peaks, checkpoint = excluded.checkpoint, mac = excluded.mac`,
    );
  }

  /** Undefined where there is none: a store without a log. Throws StoreIntegrityError. */
  read(rowMac: RowMac): StoredHead | undefined {
    const row = this.#select.get() as Row | undefined;
    if (row === undefined) return undefined;
    const mac = rowMac.verify(TABLE, '1', COLUMNS, row);
    if (this.#known?.mac.equals(mac) !== true) this.#known = { mac, head: headOf(row) };
    return this.#known.head;
  }

  write(rowMac: RowMac, head: StoredHead): void {
    const row: Row = {
      id: 1,
      origin: head.origin,
      size: head.size,
      time_ms: head.timeMs,
      state_generation: head.generation,
      peaks: Buffer.concat(head.peaks),
      checkpoint: head.checkpoint,
    };
    const mac = rowMac.of(TABLE, COLUMNS, row);
    this.#upsert.run({ ...row, mac });
    rowMac.remember(TABLE, '1', COLUMNS, { ...row, mac });
    this.#known = { mac, head };
  }
}

function headOf(row: Row): StoredHead {
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
