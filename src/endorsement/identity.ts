import { sha256Hex } from '../crypto/digest.js';
import type { Certificate } from '../crypto/x509.js';
import type { ValidPath } from './path.js';

/**
 * What can be revoked, by name. An AK is its SPKI hash alone; all else has a kind before it:
 * `ek/<SHA-256 of the EK's SPKI>`, `certificate/<SHA-256 of the issuer's name, DER>/<serial, hex>`,
 * `ca/<SHA-256 of the CA's SPKI>`, `chip/<id, hex>`. All hex in lower case.
 */
export type RevocableIdentity = string;

const HASH = '[0-9a-f]{64}';
/** Without sign byte: that is no part of the number, and would be another text for it. */
const SERIAL = '(?:00|(?!00)(?:[0-9a-f]{2}){1,20})';
const IDENTITY = new RegExp(
  `^(?:${HASH}|ek/${HASH}|certificate/${HASH}/${SERIAL}|ca/${HASH}|chip/(?:[0-9a-f]{2}){8,64})$`,
);

export function isRevocable(text: string): text is RevocableIdentity {
  return IDENTITY.test(text);
}

export function ekIdentity(spkiSha256: string): RevocableIdentity {
  return `ek/${spkiSha256}`;
}

export function certificateIdentity({ issuer, serial }: Certificate): RevocableIdentity {
  return `certificate/${sha256Hex(issuer.der)}/${serial}`;
}

export function authorityIdentity({ spki }: Certificate): RevocableIdentity {
  return `ca/${sha256Hex(spki)}`;
}

/** Everything on a path of which the revocation ends it: each certificate below the anchor, and the key of every CA, the anchor's too. */
export function pathIdentities({ path, anchor }: ValidPath): readonly RevocableIdentity[] {
  const authorities = [...path.slice(1), anchor];
  return [...path.map(certificateIdentity), ...authorities.map(authorityIdentity)];
}
