import { equalBytes } from '../bytes/equal.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { macOfFields } from '../crypto/derive.js';
import { sha256 } from '../crypto/digest.js';
import { parseTreeHead, type TreeHead, verifyCheckpoint } from '../translog/checkpoint.js';
import { type Note, parseNote, signatureLine, type VerifierKey } from '../translog/note.js';

/** C2SP signed-note: a signature type without an identifier byte of its own, followed by a longer identifier. */
const SIGNATURE_TYPE = Buffer.concat([Buffer.of(0xff), Buffer.from('portcullis/kept-checkpoint/v1', 'utf8')]);
const KEY_ID_BYTES = 4;

/**
 * Marks the checkpoints that the broker keeps outside of its store: a MAC over the note text under a key of the root
 * secret (32 bytes), as one more signature line, which readers of notes ignore. The log key vouches for the checkpoints of
 * one log; the MAC vouches that this broker kept it also where the log has another identity, since an accepted rollback
 * changes the log key and not the root secret.
 */
export class CheckpointSeal {
  readonly #name: string;
  readonly #keyId: Buffer;
  readonly #key: Buffer;

  constructor(broker: string, key: Buffer) {
    this.#name = `${broker}/kept`;
    this.#keyId = sha256(Buffer.from(`${this.#name}\n`, 'utf8'), SIGNATURE_TYPE).subarray(0, KEY_ID_BYTES);
    this.#key = key;
  }

  /** The checkpoint, a signed note, with the line added. */
  seal(checkpoint: string): string {
    return checkpoint + signatureLine(this.#name, this.#keyId, this.#mac(parseNote(checkpoint).text));
  }

  isOn({ text, signatures }: Note): boolean {
    const mac = this.#mac(text);
    return signatures.some(
      ({ name, keyId, signature }) => name === this.#name && keyId.equals(this.#keyId) && equalBytes(signature, mac),
    );
  }

  #mac(text: string): Buffer {
    return macOfFields(this.#key, [text]);
  }
}

/**
 * What a kept checkpoint is to the log as it is now. `own`: of this log, which must contain it. `other`: of a log that this
 * broker has had under another identity, which this one does not know of: the store is from before that identity, and the
 * log cannot contain the head. `former`: what an accepted rollback has settled; it says nothing any more. `unproven`: neither the log key nor the broker vouches for it; it proves nothing.
 */
export type KeptCheckpoint =
  | { readonly standing: 'own' | 'other' | 'former'; readonly head: TreeHead }
  | { readonly standing: 'unproven'; readonly why: string };

/** What a kept checkpoint is verified with. */
export interface KeptBy {
  readonly logKey: VerifierKey;
  readonly seal: CheckpointSeal;
  /** Whether an accepted rollback has settled what this head shows: it is of the log that this one continues, or the loss itself. */
  readonly settled: (head: TreeHead) => boolean;
}

/** Reads and verifies a checkpoint that was kept outside of the store. One of this log that has no MAC, a client's say, counts as well. */
export function readKeptCheckpoint(text: string, { logKey, seal, settled }: KeptBy): KeptCheckpoint {
  let note: Note;
  let head: TreeHead;
  try {
    note = parseNote(text);
    head = parseTreeHead(note.text);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return { standing: 'unproven', why: `it is no checkpoint (${error.message})` };
  }
  if (head.origin === logKey.name) {
    const verified = verifyCheckpoint(text, logKey);
    return verified.ok ? { standing: 'own', head } : { standing: 'unproven', why: verified.detail };
  }
  if (!seal.isOn(note))
    return { standing: 'unproven', why: 'it is of another log, and was not written by this broker' };
  return { standing: settled(head) ? 'former' : 'other', head };
}
