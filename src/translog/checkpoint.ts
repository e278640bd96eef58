/** Checkpoints, C2SP tlog-checkpoint (v1.0.0): signed notes that say how large a log is, and the root of its tree. */
import type { KeyObject } from 'node:crypto';
import { fromBase64, toBase64 } from '../bytes/base64.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { ed25519PrivateKey, ed25519PublicBytes, ed25519Sign, ed25519Verify } from '../crypto/ed25519.js';
import { accept, reject, type Result } from '../reason/reason.js';
import { EMPTY_ROOT, HASH_BYTES, isTreeSize } from './merkle.js';
import {
  formatVerifierKey,
  keyId,
  type Note,
  parseNote,
  signatureLine,
  signaturesOf,
  TYPE_ED25519,
  type VerifierKey,
} from './note.js';

/** What a checkpoint says. */
export interface TreeHead {
  readonly origin: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Buffer;
}

/** A checkpoint whose log signature was verified. */
export interface VerifiedCheckpoint {
  readonly head: TreeHead;
  readonly note: Note;
}

/** The note text of a tree head. */
export function treeHeadText({ origin, size, root }: TreeHead): string {
  return `${origin}\n${String(size)}\n${toBase64(root)}\n`;
}

const SIZE = /^(?:0|[1-9][0-9]{0,15})$/;

/** Reads a note text: origin, size, root; extension lines are allowed and ignored. Throws MalformedError. */
export function parseTreeHead(text: string): TreeHead {
  const [origin = '', sizeText = '', rootText = '', ...rest] = text.split('\n');
  if (rest.pop() !== '' || rest.includes('') || origin === '') throw new MalformedError('checkpoint: not its lines');
  const size = Number(sizeText);
  if (!SIZE.test(sizeText) || !Number.isSafeInteger(size)) throw new MalformedError('checkpoint: not a tree size');
  const root = fromBase64(rootText, 'checkpoint root');
  if (root.length !== HASH_BYTES) throw new MalformedError('checkpoint: the root is not 32 bytes');
  if (size === 0 && !root.equals(EMPTY_ROOT)) throw new MalformedError('checkpoint: not the root of an empty tree');
  return { origin, size, root };
}

/**
 * A checkpoint of the log that this key is of. Refusals: checkpoint.malformed; checkpoint.origin, where it is of another
 * log; checkpoint.signature, where the log's signature is missing or does not verify. Cosignatures are not looked at.
 */
export function verifyCheckpoint(checkpoint: string, logKey: VerifierKey): Result<VerifiedCheckpoint> {
  let note: Note;
  let head: TreeHead;
  try {
    note = parseNote(checkpoint);
    head = parseTreeHead(note.text);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return reject('checkpoint.malformed', error.message);
  }
  if (head.origin !== logKey.name) {
    return reject('checkpoint.origin', `the checkpoint is of another log than the log key ${logKey.name}`);
  }
  const signatures = signaturesOf(note, logKey);
  const message = Buffer.from(note.text, 'utf8');
  const sound = signatures.every(({ signature }) => ed25519Verify(logKey.publicKey, message, signature));
  if (logKey.type !== TYPE_ED25519 || signatures.length === 0 || !sound) {
    return reject(
      'checkpoint.signature',
      'the checkpoint is not signed by the log key, or its signature does not verify',
    );
  }
  return accept({ head, note });
}

/** Signs the checkpoints of one log. The seed is the log's alone; the caller zeroises it. */
export class CheckpointSigner {
  readonly origin: string;
  /** The vkey string. */
  readonly verifierKey: string;
  readonly #key: KeyObject;
  readonly #id: Buffer;

  constructor(origin: string, seed: Uint8Array) {
    this.origin = origin;
    this.#key = ed25519PrivateKey(seed);
    const publicKey = ed25519PublicBytes(this.#key);
    this.#id = keyId(origin, TYPE_ED25519, publicKey);
    this.verifierKey = formatVerifierKey(origin, TYPE_ED25519, publicKey);
  }

  /** The signed note of a tree head of this log. Whoever calls it vouches that it is consistent with every one before. */
  sign(size: number, root: Buffer): string {
    if (!isTreeSize(size) || root.length !== HASH_BYTES) throw new RangeError('not a tree head');
    const text = treeHeadText({ origin: this.origin, size, root });
    const signature = ed25519Sign(this.#key, Buffer.from(text, 'utf8'));
    return `${text}\n${signatureLine(this.origin, this.#id, signature)}`;
  }
}
