import { randomUUID } from 'node:crypto';
import { open, rename, rm, writeFile } from 'node:fs/promises';
import { parseTreeHead, verifyCheckpoint } from '../translog/checkpoint.js';
import { verifyCosignature } from '../translog/cosignature.js';
import { MAX_NOTE_CHARACTERS, parseNote, type VerifierKey } from '../translog/note.js';
import { verifyConsistency } from '../translog/proof.js';
import type { GrowingLog } from './growing-log.js';

/** Where the processes of one broker leave the newest cosigned checkpoint for each other. What is read there is verified. */
export interface SharedNote {
  read(): Promise<string | undefined>;
  write(note: string): Promise<void>;
}

/** A file, 0600, replaced at once; not synced, since a checkpoint that is lost is cosigned again. Neither method throws. */
export function sharedFile(path: string): SharedNote {
  const next = `${path}.new-${randomUUID()}`;
  return {
    read: () => readBounded(path).catch(() => undefined),
    write: async (note) => {
      try {
        await writeFile(next, note, { mode: 0o600 });
        await rename(next, path);
      } catch {
        // Without it siblings ask the witnesses themselves.
        await rm(next, { force: true }).catch(() => undefined);
      }
    },
  };
}

/** As much of a file as a note may have. */
async function readBounded(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(MAX_NOTE_CHARACTERS), 0, MAX_NOTE_CHARACTERS, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Who must have signed a note, and of which log it must be, for it to count. */
export interface NoteCheck {
  readonly log: GrowingLog;
  readonly logKey: VerifierKey;
  readonly witnesses: readonly VerifierKey[];
  readonly quorum: number;
}

/**
 * The size of a cosigned checkpoint of this log: signed by the log key and by a quorum of distinct witnesses, and of a tree
 * that the log has grown from. Undefined where it is not. Throws what the log throws.
 */
export async function sizeOfCosigned(note: string, check: NoteCheck): Promise<number | undefined> {
  const verified = verifyCheckpoint(note, check.logKey);
  if (!verified.ok) return undefined;
  const { head, note: parsed } = verified.value;
  const cosigners = check.witnesses.filter((witness) => verifyCosignature(parsed, witness) !== undefined);
  if (cosigners.length < check.quorum) return undefined;
  const tip = await check.log.head();
  if (head.size > tip.size) return undefined;
  const proof = await check.log.consistency(head.size, tip.size);
  const { root } = parseTreeHead(parseNote(tip.checkpoint).text);
  return verifyConsistency(head.size, head.root, tip.size, root, proof) ? head.size : undefined;
}
