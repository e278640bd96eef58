/** Who vouches for an AK. This room may assume that its trust anchors come from configuration; certificates come from outside. */
import { X509Certificate } from 'node:crypto';
import { equalBytes } from '../bytes/equal.js';
import { accept, reject, type Result } from '../reason/reason.js';

const MAX_CERTIFICATE_BYTES = 8192;

/**
 * Whether the simulator CA of this data directory certified the key: the leaf is signed by the CA, is valid at `nowMs`,
 * and certifies exactly the AK's SubjectPublicKeyInfo. ak.untrusted otherwise. Only for the development profile: a
 * simulated TPM proves nothing about hardware. Not checked: key usage and revocation, since the CA issues AK
 * certificates to whoever asks.
 */
export function verifySimulatorCertificate(
  leafDer: Buffer | undefined,
  akSpki: Buffer,
  simulatorCa: X509Certificate,
  nowMs: number,
): Result<'simulator'> {
  const untrusted = (why: string) =>
    reject('ak.untrusted', `the simulator CA of this broker does not vouch for the AK: ${why}`);
  if (leafDer === undefined) return untrusted('no AK certificate was sent');
  if (leafDer.length > MAX_CERTIFICATE_BYTES) return untrusted('the AK certificate is too large');
  let leaf: X509Certificate;
  let spki: Buffer;
  try {
    leaf = new X509Certificate(leafDer);
    spki = leaf.publicKey.export({ format: 'der', type: 'spki' });
  } catch {
    return untrusted('the AK certificate does not parse');
  }
  if (leaf.ca || !leaf.checkIssued(simulatorCa) || !leaf.verify(simulatorCa.publicKey)) {
    return untrusted('the AK certificate was not issued by it');
  }
  if (nowMs < Date.parse(leaf.validFrom) || nowMs > Date.parse(leaf.validTo)) {
    return untrusted('the AK certificate is not valid at this time');
  }
  if (!equalBytes(spki, akSpki)) return untrusted('the AK certificate is for another key');
  return accept('simulator');
}
