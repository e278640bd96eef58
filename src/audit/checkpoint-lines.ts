import { verifyCosignature } from '../translog/cosignature.js';
import { type Note, parseNote, signatureLine, signaturesOf, type VerifierKey } from '../translog/note.js';
import type { CheckpointTrust } from './trusted-checkpoint.js';

/** Origin, size and root. */
const HEAD_LINES = 3;

/** Those lines of a checkpoint that were verified, with the blank line between text and signatures, and how many others it has. */
export interface CheckpointLines {
  readonly lines: readonly string[];
  readonly others: number;
}

/**
 * What can be shown to people of a checkpoint that the log key has signed: origin, size, root, and the signature lines of
 * the log and of the witnesses that verify, written anew. The other lines say whatever the log, or anybody, wants them to.
 * NOT verified here: the log's signature.
 */
export function checkpointLines(checkpoint: string, { logKey, witnesses }: CheckpointTrust): CheckpointLines {
  const note = parseNote(checkpoint);
  const cosigned = (witnesses?.keys ?? []).filter((key) => verifyCosignature(note, key) !== undefined);
  const text = note.text.slice(0, -1).split('\n');
  const signed = [logKey, ...cosigned].flatMap((key) => linesOf(note, key));
  const shown = text.slice(0, HEAD_LINES);
  return {
    lines: [...shown, '', ...signed],
    others: text.length - shown.length + note.signatures.length - signed.length,
  };
}

function linesOf(note: Note, key: VerifierKey): readonly string[] {
  return signaturesOf(note, key).map(({ name, keyId, signature }) => signatureLine(name, keyId, signature).trimEnd());
}
