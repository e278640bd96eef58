import type Database from 'better-sqlite3';
import type { Row, RowMac } from '../rows/row-mac.js';
import { rowOfState, type State, STATE_COLUMNS, stateOfRow } from '../rows/state.js';

/** The state row on one connection. */
export class StateTable {
  readonly #select: Database.Statement;
  readonly #upsert: Database.Statement;

  constructor(db: Database.Database) {
    this.#select = db.prepare('SELECT * FROM state WHERE id = 1');
    this.#upsert = db.prepare(
      `INSERT INTO state (${STATE_COLUMNS.join(', ')}, mac) VALUES (@id, @generation, @epoch, @nonce_floor_ms, @contents, @log_index, @mac)
       ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, epoch = excluded.epoch,
         nonce_floor_ms = excluded.nonce_floor_ms, contents = excluded.contents, log_index = excluded.log_index, mac = excluded.mac`,
    );
  }

  /** Undefined where there is none. Throws StoreIntegrityError. */
  read(rowMac: RowMac): State | undefined {
    const row = this.#select.get() as Row | undefined;
    return row === undefined ? undefined : stateOfRow(rowMac, row);
  }

  write(rowMac: RowMac, state: State): void {
    this.#upsert.run(rowOfState(rowMac, state));
  }
}
