import { canonicalJson, type Json } from '../bytes/canonical-json.js';
import type { KekProvider } from './kek.js';
import { wrapUnderActive } from './wrap-active.js';

/** What a secret of the broker's own is, and what of its record its wrapping shall authenticate. */
export interface SecretIdentity {
  readonly broker: string;
  readonly profile: string;
  readonly purpose: 'root-secret' | 'log-key';
  /** Further members of the record: changing any of them makes the secret unreadable. */
  readonly bound?: Readonly<Record<string, Json>>;
}

/** A secret of the broker under a KEK. */
export interface SealedSecret {
  readonly kek: string;
  readonly wrapped: Buffer;
}

/** Wraps a secret of the broker's own, of up to 1 KiB, directly under the active KEK. Throws KekError. */
export function sealSecret(keks: KekProvider, identity: SecretIdentity, plaintext: Buffer): Promise<SealedSecret> {
  return wrapUnderActive(keks, plaintext, (kek) => secretAssociatedData(identity, kek));
}

/** Unwraps what `sealSecret` made, for the same identity alone. The caller zeroises the result. Throws KekError. */
export function openSecret(keks: KekProvider, identity: SecretIdentity, sealed: SealedSecret): Promise<Buffer> {
  return keks.unwrap(sealed.kek, sealed.wrapped, secretAssociatedData(identity, sealed.kek));
}

function secretAssociatedData(identity: SecretIdentity, kek: string): Buffer {
  const { broker, profile, purpose, bound = {} } = identity;
  return canonicalJson({ broker, profile, purpose: `portcullis/${purpose}/v1`, bound, kek });
}
