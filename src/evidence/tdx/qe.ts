import type { KeyObject } from 'node:crypto';
import { equalBytes } from '../../bytes/equal.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { sha256 } from '../../crypto/digest.js';
import { ecKey, verifyEcdsa } from '../../crypto/signature.js';
import type { CertifiedKey } from '../../crypto/x509-key.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { ENCLAVE_DEBUG, P256_PAIR_BYTES } from './constants.js';
import type { TdxQuote } from './quote.js';

const HALF = P256_PAIR_BYTES / 2;
const ZEROS = Buffer.alloc(32);

/**
 * Verifies that the platform's PCK signed the report of the quoting enclave, that this report names the attestation key (SHA-256 over
 * key and authentication data, then zeros), and that the enclave is not under debug. NOT verified: that it is Intel's enclave, which
 * the QE identity says. Refusals: tdx.qe; tdx.chain for a PCK that is not on P-256.
 */
export function verifyQuotingEnclave(quote: TdxQuote, pck: CertifiedKey): Result<undefined> {
  const { qeReport, qeSignature, attestationKey, qeAuthData } = quote;
  if (pck.type !== 'ec' || pck.curve !== 'P-256') return reject('tdx.chain', 'the PCK is not a key on P-256');
  if (!verifyEcdsa('sha256', 'P-256', pck.key, qeReport.bytes, halves(qeSignature))) {
    return reject('tdx.qe', 'the report of the quoting enclave is not signed by the PCK');
  }
  const named = Buffer.concat([sha256(attestationKey, qeAuthData), ZEROS]);
  if (!equalBytes(qeReport.reportData, named)) {
    return reject('tdx.qe', 'the report of the quoting enclave does not name the attestation key');
  }
  if (((qeReport.attributes[0] ?? 0) & ENCLAVE_DEBUG) !== 0) {
    return reject('tdx.qe', 'the quoting enclave is under debug: anybody may have read its attestation key');
  }
  return accept(undefined);
}

/**
 * Verifies that the attestation key signed header and body. A platform's key is kept with its PCK, where that is given, the last one each, since it
 * costs as much to import as half a verification. Refusals: tdx.signature; tdx.qe for a key that is none.
 */
export function verifyQuoteSignature(quote: TdxQuote, pck?: CertifiedKey): Result<undefined> {
  const { attestationKey, signed, signature } = quote;
  let key = pck === undefined ? undefined : imported.get(pck);
  if (key === undefined || !equalBytes(key.pair, attestationKey)) {
    const { r: x, s: y } = halves(attestationKey);
    try {
      // A copy of its own: the quote is a part of a request.
      key = { pair: Buffer.from(attestationKey), key: ecKey('P-256', x, y) };
    } catch (error) {
      if (error instanceof MalformedError) return reject('tdx.qe', 'the attestation key is no point on P-256');
      throw error;
    }
    if (pck !== undefined) imported.set(pck, key);
  }
  if (verifyEcdsa('sha256', 'P-256', key.key, signed, halves(signature))) return accept(undefined);
  return reject('tdx.signature', 'the quote is not signed by its attestation key');
}

const imported = new WeakMap<CertifiedKey, { readonly pair: Buffer; readonly key: KeyObject }>();

function halves(pair: Buffer): { readonly r: Buffer; readonly s: Buffer } {
  return { r: pair.subarray(0, HALF), s: pair.subarray(HALF) };
}
