import type { Result } from '../reason/reason.js';
import { type TreeHead, verifyCheckpoint } from '../translog/checkpoint.js';
import type { VerifierKey } from '../translog/note.js';
import { type Cosigned, verifyQuorum, type WitnessPolicy } from '../translog/quorum.js';
import type { LogSource } from './source.js';

/** Whose word is needed for a checkpoint: that of the log, and of as many witnesses as are demanded. */
export interface CheckpointTrust {
  readonly logKey: VerifierKey;
  readonly witnesses?: WitnessPolicy | undefined;
}

/** A checkpoint that the log key has signed, and as many witnesses as were demanded. */
export interface TrustedCheckpoint {
  /** The signed note as it came. */
  readonly text: string;
  readonly head: TreeHead;
  readonly cosigned: readonly Cosigned[];
}

/** Reads the checkpoint of a log. Refusals: those of verifyCheckpoint and verifyQuorum. Throws LogSourceError. */
export async function readCheckpoint(source: LogSource, trust: CheckpointTrust): Promise<Result<TrustedCheckpoint>> {
  const text = await source.checkpoint();
  const verified = verifyCheckpoint(text, trust.logKey);
  if (!verified.ok) return verified;
  const { head, note } = verified.value;
  const cosigned = verifyQuorum(note, trust.witnesses ?? { keys: [], quorum: 0 });
  return cosigned.ok ? { ok: true, value: { text, head, cosigned: cosigned.value } } : cosigned;
}
