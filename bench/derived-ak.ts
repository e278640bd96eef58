import { createECDH } from 'node:crypto';
import { sha256 } from '../src/crypto/digest.js';
import { SimulatedAk } from '../src/simulator/ak.js';

/** PKCS#8 of a P-256 key (RFC 5208, RFC 5915) up to the private number, and between that and the point. */
const PKCS8_HEAD = Buffer.from('308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420', 'hex');
const PKCS8_MIDDLE = Buffer.from('a144034200', 'hex');

/** The P-256 AK of a number, always the same: a hundred thousand of them need not be kept. Its private key is no secret. */
export function derivedAk(number: number): SimulatedAk {
  const secret = sha256(Buffer.from(`the AK ${String(number)} of a benchmark`));
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(secret);
  return SimulatedAk.fromPkcs8('ecdsa-p256', Buffer.concat([PKCS8_HEAD, secret, PKCS8_MIDDLE, ecdh.getPublicKey()]));
}
