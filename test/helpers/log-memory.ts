/** What the clients of a broker remember of its log, and how they hold it against the database of now. */
import { createHash } from 'node:crypto';
import { expect } from '@jest/globals';
import Database from 'better-sqlite3';
import type { ReleaseRequest } from '../../src/release/broker.js';
import type { ReleaseView } from '../../src/release/views.js';
import { type TreeHead, verifyCheckpoint } from '../../src/translog/checkpoint.js';
import { parseVerifierKey, type VerifierKey } from '../../src/translog/note.js';
import { verifyConsistency } from '../../src/translog/proof.js';
import { verifyReceipt } from '../../src/translog/receipt.js';
import { ReferenceTree } from './rfc6962.js';
import { valueOf } from './test-broker.js';

export class LogMemory {
  readonly #logKey: VerifierKey;
  /** By index: the entry that a receipt was given for. */
  readonly #receipts = new Map<number, string>();
  /** By size: of two checkpoints of one size there is one root. */
  readonly #heads = new Map<number, TreeHead>();
  readonly #verified = new Set<string>();

  constructor(logKey: string) {
    this.#logKey = parseVerifierKey(logKey);
  }

  get receipts(): number {
    return this.#receipts.size;
  }

  get checkpoints(): number {
    return this.#heads.size;
  }

  /** A release was answered: its receipt is verified as the client does that sent the request. */
  released(answer: ReleaseView, request: ReleaseRequest): void {
    const nonce = Buffer.from(request.nonce, 'base64url');
    const expected = { releaseId: answer.release_id, deployment: request.deployment, key: request.key, nonce };
    valueOf(verifyReceipt(answer.receipt, { logKey: this.#logKey, jwe: answer.jwe, expected }));
    const { index, entry, checkpoint } = answer.receipt;
    // An index was given once.
    expect(this.#receipts.get(index)).toBeUndefined();
    this.#receipts.set(index, entry);
    this.saw(checkpoint);
  }

  /** A checkpoint was handed out. */
  saw(checkpoint: string): void {
    if (this.#verified.has(checkpoint)) return;
    const { head } = valueOf(verifyCheckpoint(checkpoint, this.#logKey));
    expect(this.#heads.get(head.size) ?? head).toEqual(head);
    this.#heads.set(head.size, head);
    this.#verified.add(checkpoint);
  }

  /**
   * Holds all of it against the log that is in the database now (the file of one, or what was read of it), whose tree is computed from its entries alone. Returns
   * the hashes of the nonces that it says were spent.
   */
  compare(database: string | StoredLog): ReadonlySet<string> {
    const log = typeof database === 'string' ? readLog(database) : database;
    const tree = new ReferenceTree((index) => Buffer.from(log.entries[index]!));
    const size = log.entries.length;
    const root = tree.mth(0, size);
    expect(valueOf(verifyCheckpoint(log.checkpoint, this.#logKey)).head).toMatchObject({ size, root });
    for (const [node, hash] of log.nodes) expect(tree.mth(256 * node, 256 * (node + 1))).toEqual(hash);

    const lost = [...this.#receipts].filter(([index, entry]) => log.entries[index] !== entry);
    expect(lost).toEqual([]);
    const inconsistent = [...this.#heads.values()].filter(
      (head) => head.size > size || !verifyConsistency(head.size, head.root, size, root, tree.proof(head.size, size)),
    );
    expect(inconsistent).toEqual([]);

    const released = log.entries.map(releasedNonce).filter((nonce) => nonce !== undefined);
    const spent = new Set(released);
    expect(spent.size).toBe(released.length);
    expect(log.spent).toEqual([...spent].sort());
    return spent;
  }
}

export function nonceHash(nonce: string): string {
  return sha256(Buffer.from(nonce, 'base64url'));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The nonce_sha256 of a release entry. */
function releasedNonce(text: string): string | undefined {
  const { type, nonce_sha256: nonce } = JSON.parse(text) as { type: string; nonce_sha256?: string };
  return type === 'release' ? nonce : undefined;
}

/** A log as one transaction has read it. */
export interface StoredLog {
  readonly entries: readonly string[];
  readonly checkpoint: string;
  /** Of level 8. */
  readonly nodes: readonly (readonly [number, Buffer])[];
  /** Hashes of the spent nonces, ascending. */
  readonly spent: readonly string[];
}

/** The log as one transaction sees it. */
function readLog(database: string): StoredLog {
  const db = new Database(database, { readonly: true });
  try {
    return db.transaction(() => {
      const rows = db.prepare('SELECT log_index, entry FROM log_entries ORDER BY log_index').raw().all() as [
        number,
        string,
      ][];
      expect(rows.map(([index]) => index)).toEqual(rows.map((_, at) => at));
      const nonces = db.prepare('SELECT nonce FROM spent_nonces').pluck().all() as Buffer[];
      return {
        entries: rows.map(([, entry]) => entry),
        checkpoint: db.prepare('SELECT checkpoint FROM log_head').pluck().get() as string,
        nodes: db.prepare('SELECT node_index, hash FROM log_nodes WHERE level = 8').raw().all() as [number, Buffer][],
        spent: nonces.map(sha256).sort(),
      };
    })();
  } finally {
    db.close();
  }
}
