import { canonicalJson } from '../bytes/canonical-json.js';
import { sha256 } from '../crypto/digest.js';

/** The most devices that one binding covers. */
export const MAX_DEVICES = 16;

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

/**
 * What extraData is where devices answer too: SHA-256(base || SHA-256(report) …), the reports of the devices in the order sent, each
 * of which answers the nonce `base`. Without devices, `base` itself. Throws RangeError for more than 16.
 */
export function quoteBinding(base: Buffer, deviceReports: readonly Buffer[]): Buffer {
  if (deviceReports.length > MAX_DEVICES) throw new RangeError('a binding covers at most 16 devices');
  return deviceReports.length === 0 ? base : sha256(base, ...deviceReports.map((report) => sha256(report)));
}
