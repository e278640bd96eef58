import { equalBytes } from '../bytes/equal.js';
import { macOfFields } from '../crypto/derive.js';
import { sha256 } from '../crypto/digest.js';
import type { NameKind } from './entry-members.js';

export const SALT_BYTES = 16;
const KEY_BYTES = 32;
/** Names that are remembered; the one longest unused is forgotten first. */
const MAX_CACHED = 4096;

/** What stands in the log for a name. */
export interface Pseudonym {
  /** Lower-case hex SHA-256(salt || UTF-8 name). */
  readonly value: string;
  /** 16 bytes: whoever holds it and the name can show that they belong together. */
  readonly salt: Buffer;
}

/**
 * Pseudonyms of names under one key. The same name of the same kind always has the same pseudonym, so that entries stay
 * linkable; without the key or the salt, a name cannot be confirmed by guessing it. Names are taken as they are spelled:
 * whoever calls hands in the stored spelling.
 */
export class Pseudonyms {
  readonly #key: Buffer;
  readonly #cache = new Map<string, Pseudonym>();

  /** `key` is 32 secret bytes, copied. Throws RangeError for another length. */
  constructor(key: Uint8Array) {
    if (key.length !== KEY_BYTES) throw new RangeError('the key of pseudonyms is 32 bytes');
    this.#key = Buffer.from(key);
  }

  /** HMAC-SHA-256 over the length-prefixed kind and name (UTF-8), cut to 16 bytes. */
  salt(kind: NameKind, name: string): Buffer {
    return this.of(kind, name).salt;
  }

  of(kind: NameKind, name: string): Pseudonym {
    const id = `${kind}/${name}`;
    const known = this.#cache.get(id);
    if (known !== undefined) {
      this.#cache.delete(id);
      this.#cache.set(id, known);
      return known;
    }
    const salt = Buffer.from(macOfFields(this.#key, [kind, name]).subarray(0, SALT_BYTES));
    const made = { value: pseudonymOf(name, salt), salt };
    const oldest = this.#cache.size >= MAX_CACHED ? this.#cache.keys().next() : undefined;
    if (oldest?.done === false) this.#cache.delete(oldest.value);
    this.#cache.set(id, made);
    return made;
  }
}

/** Whether `value` is the pseudonym of the name under the salt. A salt of another length than 16 bytes is none. */
export function verifyPseudonym(value: string, name: string, salt: Uint8Array): boolean {
  if (salt.length !== SALT_BYTES) return false;
  return equalBytes(Buffer.from(value, 'utf8'), Buffer.from(pseudonymOf(name, salt), 'utf8'));
}

function pseudonymOf(name: string, salt: Uint8Array): string {
  return sha256(salt, Buffer.from(name, 'utf8')).toString('hex');
}
