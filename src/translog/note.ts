/** Signed notes, C2SP signed-note (v1.0.0): texts with signature lines under them, as checkpoints are. */
import type { KeyObject } from 'node:crypto';
import { fromBase64, toBase64 } from '../bytes/base64.js';
import { fromHex, toHex } from '../bytes/hex.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { sha256 } from '../crypto/digest.js';
import { ED25519_KEY_BYTES, ed25519PublicKey, isSmallOrder } from '../crypto/ed25519.js';

/** Signature types of the specification that are made and verified here: Ed25519 over the text; timestamped cosignature of a checkpoint. */
export const TYPE_ED25519 = 0x01;
export const TYPE_COSIGNATURE = 0x04;
export type SignatureType = typeof TYPE_ED25519 | typeof TYPE_COSIGNATURE;

/** The largest note that is read, in UTF-16 code units, and the most signature lines. */
export const MAX_NOTE_CHARACTERS = 64 * 1024;
const MAX_SIGNATURES = 64;
const KEY_ID_BYTES = 4;
const MAX_NAME_CHARACTERS = 512;
/** Control characters other than newline, and surrogates that stand alone, which have no UTF-8. */
// eslint-disable-next-line no-control-regex -- the very characters that the specification forbids
const FORBIDDEN = /[\u0000-\u0009\u000b-\u001f\p{Cs}]/u;
const LINE_START = '— ';

/** A key that notes are verified with. */
export interface VerifierKey {
  readonly name: string;
  /** 4 bytes. */
  readonly id: Buffer;
  readonly type: SignatureType;
  readonly publicKey: KeyObject;
}

/** One signature line, not verified. */
export interface NoteSignature {
  readonly name: string;
  readonly keyId: Buffer;
  /** What follows the key id. */
  readonly signature: Buffer;
}

/** A note that was parsed; nothing of it is verified. */
export interface Note {
  /** With its final newline: what signatures are over. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** The first 4 bytes of SHA-256(name || newline || type || public key). */
export function keyId(name: string, type: SignatureType, publicKey: Uint8Array): Buffer {
  return sha256(Buffer.from(`${name}\n`, 'utf8'), Buffer.of(type), publicKey).subarray(0, KEY_ID_BYTES);
}

/** The vkey string: `<name>+<key id, hex>+<base64 of type and public key>`. */
export function formatVerifierKey(name: string, type: SignatureType, publicKey: Uint8Array): string {
  if (!isKeyName(name)) throw new RangeError('a key name is not empty and has no spaces and no plus');
  const key = Buffer.concat([Buffer.of(type), publicKey]);
  return `${name}+${toHex(keyId(name, type, publicKey))}+${toBase64(key)}`;
}

/** Reads a vkey string of a type that is verified here. Throws MalformedError. */
export function parseVerifierKey(text: string): VerifierKey {
  const parts = /^([^+]+)\+([^+]+)\+(.+)$/s.exec(text);
  const [, name = '', id = '', encoded = ''] = parts ?? [];
  if (!isKeyName(name)) throw new MalformedError('not a verifier key: expected is NAME+KEY ID+BASE64 KEY');
  const key = fromBase64(encoded, 'verifier key');
  const type = key[0];
  if (type !== TYPE_ED25519 && type !== TYPE_COSIGNATURE) {
    throw new MalformedError('verifier key: neither an Ed25519 key (01) nor an Ed25519 cosignature key (04)');
  }
  const publicKey = key.subarray(1);
  if (publicKey.length !== ED25519_KEY_BYTES) throw new MalformedError('verifier key: an Ed25519 key has 32 bytes');
  if (isSmallOrder(publicKey)) throw new MalformedError('verifier key: a key that anybody can sign for');
  if (!fromHex(id, 'verifier key: key id').equals(keyId(name, type, publicKey))) {
    throw new MalformedError('verifier key: the key id is not that of name and key');
  }
  return { name, id: keyId(name, type, publicKey), type, publicKey: ed25519PublicKey(publicKey) };
}

/** A signature line with its newline. */
export function signatureLine(name: string, id: Uint8Array, signature: Uint8Array): string {
  return `${LINE_START}${name} ${toBase64(Buffer.concat([id, signature]))}\n`;
}

/** Reads a note: text, blank line, signature lines. Throws MalformedError. */
export function parseNote(note: string): Note {
  if (note.length > MAX_NOTE_CHARACTERS) throw new MalformedError('note: too long');
  if (FORBIDDEN.test(note)) throw new MalformedError('note: control characters, or not UTF-8');
  const blank = note.lastIndexOf('\n\n');
  if (blank === -1) throw new MalformedError('note: no blank line before the signatures');
  return { text: note.slice(0, blank + 1), signatures: parseSignatures(note.slice(blank + 2)) };
}

/** Reads one or more signature lines, each with its newline. Throws MalformedError. */
export function parseSignatures(lines: string): readonly NoteSignature[] {
  if (lines.length > MAX_NOTE_CHARACTERS) throw new MalformedError('note: too long');
  if (!lines.endsWith('\n')) throw new MalformedError('note: the last line has no newline');
  const each = lines.slice(0, -1).split('\n', MAX_SIGNATURES + 1);
  if (each.length > MAX_SIGNATURES) throw new MalformedError('note: too many signatures');
  return each.map(parseSignature);
}

function parseSignature(line: string): NoteSignature {
  const [name = '', encoded = '', ...more] = line.slice(LINE_START.length).split(' ');
  if (!line.startsWith(LINE_START) || more.length > 0 || !isKeyName(name)) {
    throw new MalformedError('note: not a signature line');
  }
  const bytes = fromBase64(encoded, 'note signature');
  if (bytes.length <= KEY_ID_BYTES) throw new MalformedError('note: a signature is too short');
  return { name, keyId: bytes.subarray(0, KEY_ID_BYTES), signature: bytes.subarray(KEY_ID_BYTES) };
}

/** The signatures that name this key; the specification has the others ignored. */
export function signaturesOf(note: Pick<Note, 'signatures'>, key: VerifierKey): readonly NoteSignature[] {
  return note.signatures.filter(({ name, keyId: id }) => name === key.name && id.equals(key.id));
}

/**
 * Whether this can be the name of a key: 1 to 512 UTF-16 code units, no Unicode spaces, no plus, no control characters, no
 * surrogate that stands alone (two such names would be the same UTF-8).
 */
export function isKeyName(name: string): boolean {
  return name.length > 0 && name.length <= MAX_NAME_CHARACTERS && !/[\p{White_Space}\p{Cc}\p{Cs}+]/u.test(name);
}
