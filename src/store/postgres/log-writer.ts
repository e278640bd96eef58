import { StoreIntegrityError } from '../../release/store.js';
import type { LogSink } from '../rows/log-appender.js';
import type { HeadRows, StoredHead } from '../rows/log-head.js';
import type { NewEntry } from '../rows/log-rows.js';
import type { RowMac } from '../rows/row-mac.js';
import { ConstraintError } from './errors.js';
import type { Session, Statement } from './session.js';

const ENTRIES: Statement = {
  name: 'insert_entries',
  text:
    'INSERT INTO portcullis.log_entries (log_index, entry, leaf_hash, detail, names) ' +
    'SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[], $5::text[])',
};
const NODES: Statement = {
  name: 'insert_nodes',
  text: 'INSERT INTO portcullis.log_nodes (level, node_index, hash) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])',
};
const HEAD: Statement = {
  name: 'upsert_head',
  text:
    'INSERT INTO portcullis.log_head (id, origin, size, time_ms, state_generation, peaks, checkpoint, mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ' +
    'ON CONFLICT (id) DO UPDATE SET origin = excluded.origin, size = excluded.size, time_ms = excluded.time_ms, ' +
    'state_generation = excluded.state_generation, peaks = excluded.peaks, checkpoint = excluded.checkpoint, mac = excluded.mac',
};
const HEAD_ROW = ['id', 'origin', 'size', 'time_ms', 'state_generation', 'peaks', 'checkpoint', 'mac'];

/** Collects what one transaction appends to the log, for a few statements at its end. */
export class LogWriter implements LogSink {
  readonly #rowMac: RowMac;
  readonly #headRows: HeadRows;
  readonly #entries: NewEntry[] = [];
  readonly #nodes: (readonly [number, number, Buffer])[] = [];
  #head: StoredHead | undefined;

  constructor(rowMac: RowMac, headRows: HeadRows) {
    this.#rowMac = rowMac;
    this.#headRows = headRows;
  }

  entry(row: NewEntry): void {
    this.#entries.push(row);
  }

  node(level: number, index: number, hash: Buffer): void {
    this.#nodes.push([level, index, hash]);
  }

  head(head: StoredHead): void {
    this.#head = head;
  }

  /** Sends what was collected; each statement is under way when this returns. Rejected with StoreIntegrityError where a row stands there already. */
  send(session: Session): readonly Promise<unknown>[] {
    const sent: Promise<unknown>[] = [];
    const entries = this.#entries.splice(0);
    if (entries.length > 0) {
      const columns = [
        entries.map(({ index }) => index),
        entries.map(({ text }) => text),
        entries.map(({ leafHash }) => leafHash),
        entries.map(({ detail }) => detail ?? null),
        entries.map(({ names }) => (names === undefined ? null : JSON.stringify(names))),
      ];
      sent.push(unlessTaken('log_entries', session.execute(ENTRIES, columns)));
    }
    const nodes = this.#nodes.splice(0);
    if (nodes.length > 0) {
      const columns = [0, 1, 2].map((column) => nodes.map((node) => node[column]));
      sent.push(unlessTaken('log_nodes', session.execute(NODES, columns)));
    }
    if (this.#head !== undefined) {
      const row = this.#headRows.rowOf(this.#rowMac, this.#head);
      sent.push(
        session.execute(
          HEAD,
          HEAD_ROW.map((column) => row[column]),
        ),
      );
      this.#head = undefined;
    }
    return sent;
  }
}

async function unlessTaken(table: string, sent: Promise<unknown>): Promise<void> {
  try {
    await sent;
  } catch (error) {
    if (!(error instanceof ConstraintError)) throw error;
    throw new StoreIntegrityError(`${table}: a row stands where the log gets to only now`, { cause: error });
  }
}
