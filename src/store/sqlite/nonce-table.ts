import type Database from 'better-sqlite3';

const NONCE_BYTES = 32;

/**
 * The spent nonces on one connection. Their rows carry no MAC: a nonce that SQL inserts can only deny, and one that SQL
 * deletes can only be used for what it was bound to, the same key to the same recipient key, while it is fresh. What was
 * purged stays refused by the floor, which stands in the state row.
 */
export class NonceTable {
  readonly #insert: Database.Statement;
  readonly #purge: Database.Statement;

  constructor(db: Database.Database) {
    this.#insert = db.prepare('INSERT INTO spent_nonces (nonce, issued_at_ms) VALUES (?, ?) ON CONFLICT DO NOTHING');
    this.#purge = db.prepare('DELETE FROM spent_nonces WHERE issued_at_ms <= ? LIMIT ?');
  }

  /** False where the nonce is spent already. */
  spend(nonce: Buffer, issuedAtMs: number): boolean {
    if (nonce.length !== NONCE_BYTES) throw new RangeError(`a nonce is ${String(NONCE_BYTES)} bytes`);
    return this.#insert.run(nonce, issuedAtMs).changes === 1;
  }

  /** Deletes at most `limit` nonces issued at or before `throughMs`. Returns how many. */
  purge(throughMs: number, limit: number): number {
    return this.#purge.run(throughMs, limit).changes;
  }
}
