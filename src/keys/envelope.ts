import { open, seal } from '../crypto/aead.js';
import type { Random } from '../crypto/random.js';
import { associatedData, type KeyIdentity } from './identity.js';
import { KekError, type KekProvider } from './kek.js';
import { wrapUnderActive } from './wrap-active.js';

const DATA_KEY_BYTES = 32;
const NONCE_BYTES = 12;

/** A key version at rest. */
export interface SealedKey {
  /** The KEK that wraps the data key. */
  readonly kek: string;
  readonly wrappedDek: Buffer;
  /** The material under the data key: AES-256-GCM, nonce and tag included. */
  readonly ciphertext: Buffer;
}

/**
 * Seals key material under a fresh data key, and that under the active KEK. Both levels are bound to `identity` and to
 * the KEK id. `plaintext` stays the caller's to zeroise. Throws KekError.
 */
export async function sealKey(
  keks: KekProvider,
  identity: KeyIdentity,
  plaintext: Buffer,
  random: Random,
): Promise<SealedKey> {
  const dek = random(DATA_KEY_BYTES);
  try {
    const { kek, wrapped } = await wrapUnderActive(keks, dek, (active) =>
      associatedData(identity, 'portcullis/data-key/v1', active),
    );
    const aad = associatedData(identity, 'portcullis/key-material/v1', kek);
    return { kek, wrappedDek: wrapped, ciphertext: seal(dek, random(NONCE_BYTES), plaintext, aad) };
  } finally {
    dek.fill(0);
  }
}

/**
 * Opens what `sealKey` made, for the same identity alone. The caller zeroises the result. Throws KekError when the data
 * key does not unwrap, SealedBoxError when the material does not open under it.
 */
export async function openKey(keks: KekProvider, identity: KeyIdentity, sealed: SealedKey): Promise<Buffer> {
  const { kek, wrappedDek, ciphertext } = sealed;
  const dek = await keks.unwrap(kek, wrappedDek, associatedData(identity, 'portcullis/data-key/v1', kek));
  try {
    if (dek.length !== DATA_KEY_BYTES) throw new KekError('the unwrapped data key is not 32 bytes long');
    return open(dek, ciphertext, associatedData(identity, 'portcullis/key-material/v1', kek));
  } finally {
    dek.fill(0);
  }
}

/** Seals again under a fresh data key and the KEK that is active now: what KEK rotation does to every version. Throws as `openKey` does. */
export async function resealKey(
  keks: KekProvider,
  identity: KeyIdentity,
  sealed: SealedKey,
  random: Random,
): Promise<SealedKey> {
  const plaintext = await openKey(keks, identity, sealed);
  try {
    return await sealKey(keks, identity, plaintext, random);
  } finally {
    plaintext.fill(0);
  }
}
