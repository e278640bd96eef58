import type { ReleaseBatch } from '../rows/commit-release.js';
import type { LogAppender } from '../rows/log-appender.js';
import type { State } from '../rows/state.js';
import type { LogWriter } from './log-writer.js';
import { StoreIntegrityError } from '../../release/store.js';
import { ConstraintError } from './errors.js';
import type { Session, Statement } from './session.js';
import type { SharedBatch } from './writer.js';

const NONCE_BYTES = 32;

/**
 * Divides by zero, so that the server rolls the transaction back, unless it has stored what it was sent: COMMIT is under way
 * behind it already. The schema was looked at a round trip before.
 */
const NONCES: Statement = {
  name: 'insert_nonces',
  text: `WITH sent AS (SELECT * FROM unnest($1::bytea[], $2::bigint[]) AS sent (nonce, issued_at_ms)),
    stored AS (INSERT INTO portcullis.spent_nonces (nonce, issued_at_ms) SELECT * FROM sent RETURNING nonce, issued_at_ms)
    SELECT 1 / CASE WHEN (SELECT count(*) FROM sent NATURAL JOIN stored) = cardinality($1::bytea[]) THEN 1 ELSE 0 END AS stored`,
};
const ARCHIVE: Statement = {
  name: 'insert_archive',
  text: 'INSERT INTO portcullis.evidence_archive (release_id, log_index, sealed) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])',
};
const PROBE: Statement = {
  name: 'upsert_probe',
  text: 'INSERT INTO portcullis.probe (id, probed_at_ms) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET probed_at_ms = excluded.probed_at_ms',
};

interface Archived {
  readonly releaseId: string;
  readonly index: number;
  readonly sealed: Buffer;
}

/**
 * What the requests of one shared transaction want to be written, collected in memory, so that one that is refused leaves
 * nothing behind. It is made under the lock: what it was told is spent is all that is, and nobody else adds to it.
 *
 * The rows of spent nonces carry no MAC: a nonce that SQL inserts can only deny, and one that SQL deletes can only be used for
 * what it was bound to, the same key to the same recipient key, while it is fresh. What was purged stays refused by the
 * floor, which stands in the state row.
 */
export class Batch implements SharedBatch, ReleaseBatch {
  readonly state: State;
  readonly log: LogAppender;
  readonly #session: Session;
  readonly #logWriter: LogWriter;
  readonly #known: ReadonlySet<string>;
  readonly #nonces = new Map<string, { readonly nonce: Buffer; readonly issuedAtMs: number }>();
  readonly #archive: Archived[] = [];
  #probedAtMs: number | undefined;
  readonly #onCommitted: (wrote: boolean) => void;
  #wrote = false;

  constructor(
    session: Session,
    found: { readonly state: State; readonly spent: ReadonlySet<string> },
    log: { readonly appender: LogAppender; readonly writer: LogWriter },
    onCommitted: (wrote: boolean) => void,
  ) {
    this.state = found.state;
    this.log = log.appender;
    this.#session = session;
    this.#logWriter = log.writer;
    this.#known = found.spent;
    this.#onCommitted = onCommitted;
  }

  /** False where the nonce is spent already, by this transaction or before. */
  spend(nonce: Buffer, issuedAtMs: number): boolean {
    if (nonce.length !== NONCE_BYTES) throw new RangeError(`a nonce is ${String(NONCE_BYTES)} bytes`);
    const id = nonce.toString('hex');
    if (this.#known.has(id) || this.#nonces.has(id)) return false;
    this.#nonces.set(id, { nonce, issuedAtMs });
    return true;
  }

  /**
   * Keeps the sealed evidence of the entry of this index. Its rows carry no MAC: each is sealed for its release, and its entry in
   * the log says that the release was.
   */
  archive(releaseId: string, index: number, sealed: Buffer): void {
    this.#archive.push({ releaseId, index, sealed });
  }

  probe(atMs: number): void {
    this.#probedAtMs = atMs;
  }

  seal(): readonly Promise<unknown>[] {
    this.log.seal();
    const sent = [...this.#logWriter.send(this.#session)];
    const nonces = [...this.#nonces.values()];
    if (nonces.length > 0) {
      const columns = [nonces.map(({ nonce }) => nonce), nonces.map(({ issuedAtMs }) => issuedAtMs)];
      sent.push(storedAsSent(this.#session.query(NONCES, columns)));
    }
    if (this.#archive.length > 0) {
      const columns = [
        this.#archive.map(({ releaseId }) => releaseId),
        this.#archive.map(({ index }) => index),
        this.#archive.map(({ sealed }) => sealed),
      ];
      sent.push(this.#session.execute(ARCHIVE, columns));
    }
    if (this.#probedAtMs !== undefined) sent.push(this.#session.execute(PROBE, [this.#probedAtMs]));
    this.#wrote = sent.length > 0;
    return sent;
  }

  committed(): void {
    this.#onCommitted(this.#wrote);
  }
}

async function storedAsSent(sent: Promise<unknown>): Promise<void> {
  try {
    await sent;
  } catch (error) {
    if (!(error instanceof ConstraintError)) throw error;
    throw new StoreIntegrityError('spent_nonces: the database does not store what it is sent', { cause: error });
  }
}
