import type Database from 'better-sqlite3';
import type { BrokerState } from '../../release/records.js';
import type { Row, RowMac } from './row-mac.js';

/** The one row that everything else is checked against. */
export interface State extends BrokerState {
  /** What the deciding tables hold: counts and digests (contents.ts). */
  readonly contents: string;
  /** The index of the first log entry of the change that set the generation. */
  readonly logIndex: number;
}

const TABLE = 'state';
const COLUMNS = ['id', 'generation', 'epoch', 'nonce_floor_ms', 'contents', 'log_index'];

/** The state row on one connection. */
export class StateTable {
  readonly #select: Database.Statement;
  readonly #upsert: Database.Statement;

  constructor(db: Database.Database) {
    this.#select = db.prepare('SELECT * FROM state WHERE id = 1');
    this.#upsert = db.prepare(
      `INSERT INTO state (${COLUMNS.join(', ')}, mac) VALUES (@id, @generation, @epoch, @nonce_floor_ms, @contents, @log_index, @mac)
       ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, epoch = excluded.epoch,
         nonce_floor_ms = excluded.nonce_floor_ms, contents = excluded.contents, log_index = excluded.log_index, mac = excluded.mac`,
    );
  }

  /** Undefined where there is none. Throws StoreIntegrityError. */
  read(rowMac: RowMac): State | undefined {
    const row = this.#select.get() as Row | undefined;
    if (row === undefined) return undefined;
    rowMac.verify(TABLE, '1', COLUMNS, row);
    return {
      generation: row['generation'] as number,
      epoch: row['epoch'] as number,
      nonceFloorMs: row['nonce_floor_ms'] as number,
      contents: row['contents'] as string,
      logIndex: row['log_index'] as number,
    };
  }

  write(rowMac: RowMac, state: State): void {
    const row: Row = {
      id: 1,
      generation: state.generation,
      epoch: state.epoch,
      nonce_floor_ms: state.nonceFloorMs,
      contents: state.contents,
      log_index: state.logIndex,
    };
    this.#upsert.run({ ...row, mac: rowMac.of(TABLE, COLUMNS, row) });
  }
}
