import { toHex } from '../bytes/hex.js';
import { accept, reject, type Result } from '../reason/reason.js';
import { verifyCosignature } from './cosignature.js';
import { type Note, signaturesOf, type VerifierKey } from './note.js';

/** Which witnesses are believed, and how many of them must have cosigned a checkpoint. */
export interface WitnessPolicy {
  /** Keys of type 04. A key that stands here twice, under whatever name, counts once. */
  readonly keys: readonly VerifierKey[];
  /** 0: none is demanded, those that cosigned are named. */
  readonly quorum: number;
}

/** A witness that cosigned. */
export interface Cosigned {
  readonly name: string;
  /** When the witness had seen no larger tree: seconds since the Unix epoch, by its own clock. */
  readonly timeSeconds: bigint;
}

/**
 * The believed witnesses whose cosignatures a checkpoint carries. Refuses with checkpoint.cosignature where they are fewer
 * than the quorum, and where one that bears the name and key id of a believed witness does not verify. Lines of others are
 * ignored, as C2SP signed-note demands. The log's own signature is NOT looked at.
 */
export function verifyQuorum(note: Note, { keys, quorum }: WitnessPolicy): Result<readonly Cosigned[]> {
  const cosigned = new Map<string, Cosigned>();
  for (const witness of keys) {
    if (signaturesOf(note, witness).length === 0) continue;
    const timeSeconds = verifyCosignature(note, witness);
    if (timeSeconds === undefined) {
      return reject('checkpoint.cosignature', `the cosignature of the witness ${witness.name} does not verify`);
    }
    const id = toHex(witness.publicKey.export({ format: 'der', type: 'spki' }));
    cosigned.set(id, { name: witness.name, timeSeconds });
  }
  // Written so that a quorum that is no number is never met.
  if (cosigned.size >= quorum) return accept([...cosigned.values()]);
  return reject(
    'checkpoint.cosignature',
    `${String(cosigned.size)} of the witnesses have cosigned the checkpoint, and ${String(quorum)} are demanded`,
  );
}
