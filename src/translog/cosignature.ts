/** Cosignatures of witnesses, C2SP tlog-cosignature: Ed25519, with the time at which the witness had seen no larger tree. */
import type { KeyObject } from 'node:crypto';
import {
  ED25519_SIGNATURE_BYTES,
  ed25519PrivateKey,
  ed25519PublicBytes,
  ed25519Sign,
  ed25519Verify,
} from '../crypto/ed25519.js';
import {
  formatVerifierKey,
  keyId,
  type NoteSignature,
  signatureLine,
  signaturesOf,
  TYPE_COSIGNATURE,
  type VerifierKey,
} from './note.js';

const TIMESTAMP_BYTES = 8;
const MAX_TIMESTAMP = 2n ** 63n - 1n;

/** What a witness signs: a header, the time, and the whole note text of the checkpoint. */
function cosignedMessage(noteText: string, timestamp: bigint): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${String(timestamp)}\n${noteText}`, 'utf8');
}

/** Cosigns checkpoints as one witness. The caller zeroises the seed. */
export class Cosigner {
  readonly name: string;
  /** The vkey string, type 04. */
  readonly verifierKey: string;
  readonly #key: KeyObject;
  readonly #id: Buffer;

  constructor(name: string, seed: Uint8Array) {
    this.name = name;
    this.#key = ed25519PrivateKey(seed);
    const publicKey = ed25519PublicBytes(this.#key);
    this.#id = keyId(name, TYPE_COSIGNATURE, publicKey);
    this.verifierKey = formatVerifierKey(name, TYPE_COSIGNATURE, publicKey);
  }

  /** The signature line of a checkpoint's note text, at a time in seconds since the Unix epoch, above 0. */
  cosign(noteText: string, timestampSeconds: number): string {
    if (!Number.isSafeInteger(timestampSeconds) || timestampSeconds <= 0) throw new RangeError('not a time in seconds');
    const timestamp = BigInt(timestampSeconds);
    const bytes = Buffer.alloc(TIMESTAMP_BYTES);
    bytes.writeBigUInt64BE(timestamp);
    const signature = ed25519Sign(this.#key, cosignedMessage(noteText, timestamp));
    return signatureLine(this.name, this.#id, Buffer.concat([bytes, signature]));
  }
}

/**
 * The time of the witness's cosignature of a checkpoint, in seconds since the Unix epoch; the latest where it has several.
 * Undefined where there is none, or where any that bears the witness's name and key id does not verify.
 */
export function verifyCosignature(
  note: { readonly text: string; readonly signatures: readonly NoteSignature[] },
  witness: VerifierKey,
): bigint | undefined {
  if (witness.type !== TYPE_COSIGNATURE) return undefined;
  let latest: bigint | undefined;
  for (const { signature } of signaturesOf(note, witness)) {
    if (signature.length !== TIMESTAMP_BYTES + ED25519_SIGNATURE_BYTES) return undefined;
    const timestamp = signature.readBigUInt64BE();
    const message = cosignedMessage(note.text, timestamp);
    if (timestamp === 0n || timestamp > MAX_TIMESTAMP) return undefined;
    if (!ed25519Verify(witness.publicKey, message, signature.subarray(TIMESTAMP_BYTES))) return undefined;
    if (latest === undefined || timestamp > latest) latest = timestamp;
  }
  return latest;
}
