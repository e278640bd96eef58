import type Database from 'better-sqlite3';
import { HEAD_COLUMNS, HeadRows, type StoredHead } from '../rows/log-head.js';
import type { Row, RowMac } from '../rows/row-mac.js';

/** The head row on one connection. */
export class LogHeadTable {
  readonly #rows = new HeadRows();
  readonly #select: Database.Statement;
  readonly #upsert: Database.Statement;

  constructor(db: Database.Database) {
    this.#select = db.prepare('SELECT * FROM log_head WHERE id = 1');
    this.#upsert = db.prepare(
      `INSERT INTO log_head (${HEAD_COLUMNS.join(', ')}, mac) VALUES (@id, @origin, @size, @time_ms, @state_generation, @peaks, @checkpoint, @mac)
       ON CONFLICT (id) DO UPDATE SET origin = excluded.origin, size = excluded.size, time_ms = excluded.time_ms,
         state_generation = excluded.state_generation, peaks = excluded.peaks, checkpoint = excluded.checkpoint, mac = excluded.mac`,
    );
  }

  /** Undefined where there is none: a store without a log. Throws StoreIntegrityError. */
  read(rowMac: RowMac): StoredHead | undefined {
    const row = this.#select.get() as Row | undefined;
    return row === undefined ? undefined : this.#rows.headOf(rowMac, row);
  }

  write(rowMac: RowMac, head: StoredHead): void {
    this.#upsert.run(this.#rows.rowOf(rowMac, head));
  }
}
