/**
 * The transparency log: its tree, its checkpoints, what a receipt proves. This room may assume nothing of who sends it a
 * checkpoint, a proof or an entry. Everything that stands in a log is public.
 */
import { ed25519PrivateKey, ed25519PublicBytes } from '../crypto/ed25519.js';
import { formatVerifierKey, TYPE_ED25519 } from './note.js';

/** The Ed25519 public key (32 bytes) of a 32-byte seed. */
export function logPublicKey(seed: Uint8Array): Buffer {
  return ed25519PublicBytes(ed25519PrivateKey(seed));
}

/** The log_key of a log: the vkey string of its origin and public key. */
export function verifierKey(origin: string, publicKey: Uint8Array): string {
  return formatVerifierKey(origin, TYPE_ED25519, publicKey);
}
