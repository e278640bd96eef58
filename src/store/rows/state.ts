import type { BrokerState } from '../../release/records.js';
import type { Row, RowMac } from './row-mac.js';

/** The one row that everything else is checked against. */
export interface State extends BrokerState {
  /** What the deciding tables hold: counts and sealed sums (contents.ts). */
  readonly contents: string;
  /** The index of the first log entry of the change that set the generation. */
  readonly logIndex: number;
}

/** Of a store that nothing was ever written to. */
export const FRESH: State = { generation: 0, epoch: 1, nonceFloorMs: 0, contents: '{}', logIndex: 0 };

const TABLE = 'state';

/** Of the state row, without `mac`. */
export const STATE_COLUMNS = ['id', 'generation', 'epoch', 'nonce_floor_ms', 'contents', 'log_index'];

/** Throws StoreIntegrityError. */
export function stateOfRow(rowMac: RowMac, row: Row): State {
  rowMac.verify(TABLE, '1', STATE_COLUMNS, row);
  return {
    generation: row['generation'] as number,
    epoch: row['epoch'] as number,
    nonceFloorMs: row['nonce_floor_ms'] as number,
    contents: row['contents'] as string,
    logIndex: row['log_index'] as number,
  };
}

/** With `mac`. */
export function rowOfState(rowMac: RowMac, state: State): Row {
  const row: Row = {
    id: 1,
    generation: state.generation,
    epoch: state.epoch,
    nonce_floor_ms: state.nonceFloorMs,
    contents: state.contents,
    log_index: state.logIndex,
  };
  return { ...row, mac: rowMac.of(TABLE, STATE_COLUMNS, row) };
}
