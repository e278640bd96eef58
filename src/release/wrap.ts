import { encryptToRecipient } from '../keys/jwe.js';
import { openKey } from '../keys/envelope.js';
import type { Recipient } from '../keys/recipient.js';
import { releasedJwk } from '../keys/released-jwk.js';
import type { BrokerContext } from './context.js';
import type { Entitlement } from './entitlement.js';

/** A key version, encrypted to a recipient key. */
export interface WrappedKey {
  readonly version: string;
  /** Compact JWE. */
  readonly jwe: string;
}

/** Unwraps the key version under its KEK and encrypts it to the recipient; the plaintext buffers are zeroised before it returns. */
export async function wrapForRecipient(
  context: BrokerContext,
  { key, version }: Entitlement,
  recipient: Recipient,
): Promise<WrappedKey> {
  const identity = { broker: context.broker, key: key.name, version: version.version, kty: key.kty };
  const kid = `${key.name}/${version.version}`;
  const stored = await openKey(context.keks, identity, version);
  let plaintext: Buffer | undefined;
  try {
    plaintext = releasedJwk(stored, kid);
    return { version: version.version, jwe: await encryptToRecipient(recipient, plaintext, kid, context.random) };
  } finally {
    stored.fill(0);
    plaintext?.fill(0);
  }
}
