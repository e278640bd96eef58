import { Reader } from '../../bytes/reader.js';
import { MAX_ECC_BYTES, MAX_RSA_BYTES, TPM_ALG_ECDSA, TPM_ALG_RSAPSS, TPM_ALG_RSASSA } from './constants.js';
import type { TpmSignature } from './structures.js';

/**
 * TPMT_SIGNATURE: u16 sigAlg; RSASSA and RSAPSS: u16 hash, TPM2B sig; ECDSA: u16 hash, TPM2B r, TPM2B s. Of any other
 * scheme only its id is read, since its shape is not known. Nothing is verified, the hash may be any. Throws MalformedError.
 */
export function parseSignature(bytes: Buffer): TpmSignature {
  const r = new Reader(bytes);
  const sigAlg = r.u16be('signature.sigAlg');
  switch (sigAlg) {
    case TPM_ALG_RSASSA:
    case TPM_ALG_RSAPSS: {
      const hash = r.u16be('signature.hash');
      const sig = r.sized16(MAX_RSA_BYTES, 'signature.sig');
      r.end('TPMT_SIGNATURE');
      return { kind: 'rsa', sigAlg, hash, sig };
    }
    case TPM_ALG_ECDSA: {
      const hash = r.u16be('signature.hash');
      const signatureR = r.sized16(MAX_ECC_BYTES, 'signature.signatureR');
      const signatureS = r.sized16(MAX_ECC_BYTES, 'signature.signatureS');
      r.end('TPMT_SIGNATURE');
      return { kind: 'ecdsa', sigAlg, hash, r: signatureR, s: signatureS };
    }
    default:
      return { kind: 'unknown', sigAlg };
  }
}
