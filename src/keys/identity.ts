/**
 * Key material and what protects it. This room may assume a KEK provider and a source of randomness, handed in; it
 * trusts no stored blob that does not open under the identity it is asked for, and no key from outside before it is checked.
 */
import { canonicalJson } from '../bytes/canonical-json.js';

/** Which key version a stored blob belongs to. The owner is `default` until there are several. */
export interface KeyIdentity {
  /** Broker id. */
  readonly broker: string;
  /** Key name, as it is written in its record. */
  readonly key: string;
  /** 32 lower-case hex digits. */
  readonly version: string;
  readonly kty: string;
}

/** The two levels of an envelope: the data key under the KEK, the material under the data key. */
export type EnvelopeLevel = 'portcullis/data-key/v1' | 'portcullis/key-material/v1';

/**
 * The associated data of one level of the envelope: canonical JSON of broker, owner, key, version, kty, purpose and KEK
 * id. Both levels hold the KEK id, so that no level of one envelope fits another.
 */
export function associatedData(identity: KeyIdentity, purpose: EnvelopeLevel, kek: string): Buffer {
  const { broker, key, version, kty } = identity;
  return canonicalJson({ broker, owner: 'default', key, version, kty, purpose, kek });
}
