/**
 * The witness protocol, C2SP tlog-witness: a log hands its checkpoint to a witness, with a proof that the tree has only
 * grown since the one that the witness cosigned last, and gets a cosignature. Here: both ends without the network.
 */
import { fromBase64, toBase64 } from '../bytes/base64.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { sha256Hex } from '../crypto/digest.js';
import { ed25519Verify } from '../crypto/ed25519.js';
import { parseTreeHead, type TreeHead, treeHeadText } from './checkpoint.js';
import { verifyCosignature } from './cosignature.js';
import { EMPTY_ROOT, HASH_BYTES, MAX_PROOF_HASHES } from './merkle.js';
import { type Note, parseNote, parseSignatures, signatureLine, signaturesOf, TYPE_ED25519 } from './note.js';
import type { VerifierKey } from './note.js';
import { type Proof, verifyConsistency } from './proof.js';

/** The largest request and answer that either end reads. */
export const MAX_WITNESS_BYTES = 64 * 1024;

/** A request to cosign: `add-checkpoint`. */
export interface AddCheckpoint {
  /** Of the checkpoint that the witness cosigned last, as far as the log knows; 0: none. */
  readonly oldSize: number;
  /** Consistency proof from the old size to that of the checkpoint. */
  readonly proof: Proof;
  /** Signed note, not verified. */
  readonly checkpoint: string;
}

/** What the witness must not do, by the specification's cases: 400, 404, 403, 409, 422. */
export type WitnessRefusal =
  | { readonly refused: 'malformed' | 'unknown-log' | 'unsigned' | 'inconsistent'; readonly detail: string }
  | { readonly refused: 'conflict'; readonly size: number };

/** A request whose checkpoint a known log has signed. Whether it is consistent with what was cosigned before is still open. */
export interface SignedSubmission {
  readonly oldSize: number;
  readonly proof: Proof;
  readonly head: TreeHead;
  /** The note text: what is cosigned. */
  readonly text: string;
  /** Note text and the log's signature, nothing else that came with it. */
  readonly checkpoint: string;
}

/** A checkpoint that a witness has cosigned, and keeps. */
export interface HeldCheckpoint {
  readonly head: TreeHead;
  readonly text: string;
  /** The note with the log's signature and that of the witness. */
  readonly checkpoint: string;
  /** The witness's signature line. */
  readonly cosignature: string;
  /** Seconds since the Unix epoch. */
  readonly cosignedAt: bigint;
}

/** The name of a log in URLs: lower-case hex of SHA-256 of its origin. */
export function originHash(origin: string): string {
  return sha256Hex(origin);
}

export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  return `old ${String(oldSize)}\n${proof.map((hash) => `${toBase64(hash)}\n`).join('')}\n${checkpoint}`;
}

/** Reads such a request; the checkpoint in it stays unread. Throws MalformedError. */
export function parseAddCheckpoint(body: string): AddCheckpoint {
  const blank = body.indexOf('\n\n');
  if (blank === -1) throw new MalformedError('add-checkpoint: no blank line before the checkpoint');
  const [oldLine = '', ...hashes] = body.slice(0, blank).split('\n', MAX_PROOF_HASHES + 2);
  if (!oldLine.startsWith('old ')) throw new MalformedError('add-checkpoint: the first line is not `old SIZE`');
  if (hashes.length > MAX_PROOF_HASHES) throw new MalformedError('add-checkpoint: more than 63 proof lines');
  const proof = hashes.map((line) => {
    const hash = fromBase64(line, 'add-checkpoint: proof line');
    if (hash.length !== HASH_BYTES) throw new MalformedError('add-checkpoint: a proof line is not a hash of 32 bytes');
    return hash;
  });
  return { oldSize: parseSize(oldLine.slice('old '.length)), proof, checkpoint: body.slice(blank + 2) };
}

/**
 * Checks what needs no memory: that a log which the witness knows has signed the checkpoint. `logs` is keyed by origin,
 * which is the name of the log's key. Signatures of unknown keys are ignored and dropped.
 */
export function authenticateSubmission(
  { oldSize, proof, checkpoint }: AddCheckpoint,
  logs: ReadonlyMap<string, VerifierKey>,
): SignedSubmission | WitnessRefusal {
  let note: Note;
  try {
    note = parseNote(checkpoint);
  } catch (error) {
    return malformed(error);
  }
  const origin = note.text.slice(0, note.text.indexOf('\n'));
  const logKey = logs.get(origin);
  if (logKey === undefined)
    return { refused: 'unknown-log', detail: 'this witness does not know a log of this origin' };
  const signatures = signaturesOf(note, logKey);
  const message = Buffer.from(note.text, 'utf8');
  const sound = signatures.every(({ signature }) => ed25519Verify(logKey.publicKey, message, signature));
  if (logKey.type !== TYPE_ED25519 || signatures.length === 0 || !sound) {
    return {
      refused: 'unsigned',
      detail: 'the checkpoint bears no signature of the log key, or one that does not verify',
    };
  }
  // The specification has an answer of its own for an empty tree with another root, which is no tree head at all to the parser.
  if (note.text.startsWith(`${origin}\n0\n`) && !note.text.startsWith(emptyTreeText(origin))) {
    return { refused: 'inconsistent', detail: 'the root of a tree of size 0 is the hash of nothing' };
  }
  let head: TreeHead;
  try {
    head = parseTreeHead(note.text);
  } catch (error) {
    return malformed(error);
  }
  if (oldSize > head.size) return { refused: 'malformed', detail: 'the old size is larger than the checkpoint' };
  const [first] = signatures;
  const line = first === undefined ? '' : signatureLine(first.name, first.keyId, first.signature);
  return { oldSize, proof, head, text: note.text, checkpoint: `${note.text}\n${line}` };
}

/**
 * Holds a submission against the checkpoint of this log that was cosigned last: undefined where it may be cosigned. The
 * caller makes sure that nothing else is decided for this log until the answer is persisted.
 */
export function refusalOf(
  { oldSize, proof, head }: SignedSubmission,
  latest: TreeHead | undefined,
): WitnessRefusal | undefined {
  const latestSize = latest?.size ?? 0;
  if (oldSize !== latestSize) return { refused: 'conflict', size: latestSize };
  if (verifyConsistency(oldSize, latest?.root ?? EMPTY_ROOT, head.size, head.root, proof)) return undefined;
  const detail =
    oldSize === head.size
      ? 'another root was cosigned for this size, or the proof is not empty'
      : 'the proof does not show that the tree cosigned last is the start of this one';
  return { refused: 'inconsistent', detail };
}

/** Reads back what a witness keeps: a checkpoint under its own cosignature, which authenticates it. Throws MalformedError. */
export function parseHeldCheckpoint(checkpoint: string, witness: VerifierKey): HeldCheckpoint {
  const note = parseNote(checkpoint);
  const head = parseTreeHead(note.text);
  const cosignedAt = verifyCosignature(note, witness);
  const [ours] = signaturesOf(note, witness);
  if (cosignedAt === undefined || ours === undefined) {
    throw new MalformedError('held checkpoint: the cosignature of this witness is missing or does not verify');
  }
  const cosignature = signatureLine(ours.name, ours.keyId, ours.signature);
  return { head, text: note.text, checkpoint, cosignature, cosignedAt };
}

/**
 * The cosignature line of this witness in an answer to add-checkpoint, verified over the note text of the checkpoint that
 * was sent; lines of unknown keys are ignored. Throws MalformedError for an answer without one, or with one that does not verify.
 */
export function cosignatureIn(answer: string, text: string, witness: VerifierKey): string {
  if (answer.length > MAX_WITNESS_BYTES) throw new MalformedError('answer: too long');
  const signatures = parseSignatures(answer);
  const [ours] = signaturesOf({ signatures }, witness);
  if (ours === undefined || verifyCosignature({ text, signatures }, witness) === undefined) {
    throw new MalformedError('answer: no valid cosignature of the key that is configured for this witness');
  }
  return signatureLine(ours.name, ours.keyId, ours.signature);
}

/** The body of a 409: the size of the checkpoint cosigned last. Throws MalformedError. */
export function parseConflict(body: string): number {
  if (!body.endsWith('\n')) throw new MalformedError('conflict: the line has no newline');
  return parseSize(body.slice(0, -1));
}

export function formatConflict(size: number): string {
  return `${String(size)}\n`;
}

function parseSize(text: string): number {
  const size = /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(size)) throw new MalformedError('not a tree size: decimal, no leading zeros, below 2^53');
  return size;
}

function emptyTreeText(origin: string): string {
  return treeHeadText({ origin, size: 0, root: EMPTY_ROOT });
}

function malformed(error: unknown): WitnessRefusal {
  if (error instanceof MalformedError) return { refused: 'malformed', detail: error.message };
  throw error;
}
