import { canonicalJson } from '../bytes/canonical-json.js';
import { sha256 } from '../crypto/digest.js';

/**
 * What one release request is for. The names are those of the challenge answer, byte for byte.
 */
export interface BindingFields {
  readonly broker: string;
  readonly deployment: string;
  readonly key: string;
  /** The nonce as received: 43 characters of base64url. */
  readonly nonce: string;
  /** RFC 7638 SHA-256 thumbprint of the recipient JWK, base64url. */
  readonly recipient: string;
  /** As in the challenge answer: a version id, or `latest`. */
  readonly version: string;
}

/**
 * The binding that the quote's extraData must equal: SHA-256 over the canonical JSON (RFC 8785) of the fields and the
 * purpose. It ties evidence to one broker, nonce, deployment, key, version and recipient key: with any other, it differs.
 * 32 bytes.
 */
export function releaseBinding(fields: BindingFields): Buffer {
  const { broker, deployment, key, nonce, recipient, version } = fields;
  return sha256(
    canonicalJson({ broker, deployment, key, nonce, purpose: 'portcullis/release/v1', recipient, version }),
  );
}
