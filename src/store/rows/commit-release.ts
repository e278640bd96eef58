import type { CommitOutcome, ReleaseCommit } from '../../release/store.js';
import type { LogAppender } from './log-appender.js';
import type { State } from './state.js';

/** A transaction under way, as one release sees it. */
export interface ReleaseBatch {
  /** Read and authenticated inside the transaction. */
  readonly state: State;
  readonly log: LogAppender;
  /** False where the nonce (32 bytes) is spent already. */
  spend(nonce: Buffer, issuedAtMs: number): boolean;
  /** Keeps the sealed evidence of the entry of this index. */
  archive(releaseId: string, index: number, sealed: Buffer): void;
}

/** Does one release inside a transaction. What it returns makes the answer, once the log is sealed. */
export function commitRelease(batch: ReleaseBatch, commit: ReleaseCommit): () => CommitOutcome {
  const { state, log } = batch;
  const { archive } = commit;
  if (commit.generation !== state.generation || commit.epoch !== state.epoch) return () => ({ outcome: 'changed' });
  const isExpired = log.nowMs >= commit.nonceExpiresAtMs || commit.nonceIssuedAtMs <= state.nonceFloorMs;
  if (isExpired) return () => ({ outcome: 'expired' });
  const entry = log.compose('release', commit.entry, state.generation);
  if (!batch.spend(commit.nonce, commit.nonceIssuedAtMs)) return () => ({ outcome: 'replayed' });
  if (archive !== undefined) batch.archive(archive.releaseId, log.size, archive.sealed);
  const index = log.append(entry, state.generation, commit.detail);
  return () => {
    const { checkpoint = '' } = log.sealed ?? {};
    const salts = entry.salts === undefined ? {} : { salts: entry.salts };
    return {
      outcome: 'committed',
      logged: { index, entry: entry.text, proof: log.prove(index), checkpoint, ...salts },
    };
  };
}
