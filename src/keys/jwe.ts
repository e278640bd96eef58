import { constants, createPublicKey, publicEncrypt } from 'node:crypto';
import { toBase64url } from '../bytes/base64url.js';
import { seal } from '../crypto/aead.js';
import { concatKdf256 } from '../crypto/concat-kdf.js';
import { aes256KeyWrap } from '../crypto/key-wrap.js';
import type { Random } from '../crypto/random.js';
import { agree, type Agreement } from './key-agreement.js';
import type { AgreementRecipient, Recipient, RsaRecipient } from './recipient.js';

const CONTENT_KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** A content key as the recipient gets it, with the header members that its algorithm needs. */
interface EncryptedKey {
  readonly header: { readonly alg: string; readonly epk?: Agreement['epk'] };
  readonly encryptedKey: Buffer;
}

/**
 * A compact JWE (RFC 7516) of `plaintext` to a checked recipient: A256GCM under a fresh content key, that key by
 * RSA-OAEP-256, or by ECDH-ES+A256KW with an ephemeral key and empty apu and apv (RFC 7518 section 4.6). The protected
 * header has alg, enc, kid, cty `jwk+json` and, for ECDH-ES, epk. `plaintext` stays the caller's to zeroise; content
 * key, shared secret and wrapping key are zeroised here. A promise for P-384 alone, whose key generation is too dear to block on.
 */
export function encryptToRecipient(
  recipient: Recipient,
  plaintext: Buffer,
  kid: string,
  random: Random,
): string | Promise<string> {
  if (recipient.alg === 'RSA-OAEP-256') {
    return withContentKey(random, plaintext, kid, (contentKey) => encryptKeyRsa(recipient, contentKey));
  }
  const finish = (agreement: Agreement) =>
    withContentKey(random, plaintext, kid, (contentKey) => wrapKeyAgreed(recipient, agreement, contentKey));
  const agreement = agree(recipient);
  return agreement instanceof Promise ? agreement.then(finish) : finish(agreement);
}

function withContentKey(
  random: Random,
  plaintext: Buffer,
  kid: string,
  encryptKey: (contentKey: Buffer) => EncryptedKey,
): string {
  const contentKey = random(CONTENT_KEY_BYTES);
  try {
    const { header, encryptedKey } = encryptKey(contentKey);
    const members = { alg: header.alg, epk: header.epk, enc: 'A256GCM', kid, cty: 'jwk+json' };
    const encodedHeader = toBase64url(Buffer.from(JSON.stringify(members), 'utf8'));
    const box = seal(contentKey, random(IV_BYTES), plaintext, Buffer.from(encodedHeader, 'ascii'));
    const parts = [
      encryptedKey,
      box.subarray(0, IV_BYTES),
      box.subarray(IV_BYTES, -TAG_BYTES),
      box.subarray(-TAG_BYTES),
    ];
    return [encodedHeader, ...parts.map(toBase64url)].join('.');
  } finally {
    contentKey.fill(0);
  }
}

function encryptKeyRsa(recipient: RsaRecipient, contentKey: Buffer): EncryptedKey {
  const key = createPublicKey({ key: { ...recipient.jwk }, format: 'jwk' });
  const options = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
  return { header: { alg: recipient.alg }, encryptedKey: publicEncrypt(options, contentKey) };
}

function wrapKeyAgreed(
  recipient: AgreementRecipient,
  { epk, sharedSecret }: Agreement,
  contentKey: Buffer,
): EncryptedKey {
  const wrappingKey = concatKdf256(sharedSecret, recipient.alg);
  sharedSecret.fill(0);
  try {
    return { header: { alg: recipient.alg, epk }, encryptedKey: aes256KeyWrap(wrappingKey, contentKey) };
  } finally {
    wrappingKey.fill(0);
  }
}
