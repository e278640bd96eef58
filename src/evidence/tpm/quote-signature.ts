import type { HashName } from '../../crypto/digest.js';
import { verifyEcdsa, verifyRsapss, verifyRsassa } from '../../crypto/signature.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import type { AkIdentity } from './ak.js';
import { BANK_OF_ALG, TPM_ALG_ECDSA, TPM_ALG_RSAPSS, TPM_ALG_RSASSA } from './constants.js';
import { orMalformed } from './malformed.js';
import { parseSignature } from './signature.js';
import type { TpmSignature } from './structures.js';

/** The algorithm of a signature that has been verified. */
export interface SignatureAlgorithm {
  /** As in the claim tpm.quote.signature_algorithm: `rsassa-sha256`, `rsapss-sha256`, `ecdsa-sha384` and so on. */
  readonly name: string;
  readonly hash: HashName;
}

const SCHEME_NAMES: ReadonlyMap<number, string> = new Map([
  [TPM_ALG_RSASSA, 'rsassa'],
  [TPM_ALG_RSAPSS, 'rsapss'],
  [TPM_ALG_ECDSA, 'ecdsa'],
]);

/**
 * Verifies a TPMT_SIGNATURE over exactly the bytes of `quoted`. evidence.malformed: it does not parse. quote.algorithm: scheme
 * or hash unknown, SHA-1, or other than those that the AK's public area fixes; where that was not presented, a scheme that
 * is not of the key's kind. quote.signature: it does not verify.
 */
export function verifyQuoteSignature(quoted: Buffer, bytes: Buffer, ak: AkIdentity): Result<SignatureAlgorithm> {
  const parsed = orMalformed(() => parseSignature(bytes));
  if (!parsed.ok) return parsed;
  const signature = parsed.value;
  const algorithm = checkAlgorithm(signature, ak);
  if (!algorithm.ok) return algorithm;
  return verifies(signature, algorithm.value.hash, quoted, ak)
    ? algorithm
    : reject(
        'quote.signature',
        'the signature does not verify under the AK: another key signed, or the quote was altered',
      );
}

/** Without a public area the signature says which scheme it is of, as far as the key can be used with it. */
function checkAlgorithm(signature: TpmSignature, { area, curve }: AkIdentity): Result<SignatureAlgorithm> {
  const scheme = area?.scheme;
  const found = algorithmName(signature.sigAlg, signature.kind === 'unknown' ? undefined : signature.hash);
  const fixed = scheme === undefined ? 'none' : algorithmName(scheme.scheme, scheme.hash);
  const fitting = curve === undefined ? 'rsassa or rsapss' : 'ecdsa';
  const expected = area === undefined ? fitting : fixed;
  const refuse = (why: string) =>
    reject('quote.algorithm', why, { claim: 'quote.signature_algorithm', operator: 'equals', expected, found });
  if (signature.kind === 'unknown') return refuse('the signature is of an unknown scheme');
  const hash = BANK_OF_ALG.get(signature.hash);
  if (hash === undefined || hash === 'sha1') return refuse('the signature hash is not SHA-256, SHA-384 or SHA-512');
  const fits =
    area === undefined
      ? (signature.kind === 'ecdsa') === (curve !== undefined)
      : scheme?.scheme === signature.sigAlg && scheme.hash === signature.hash;
  if (!fits) return refuse(`the signature is ${found}, the AK is made for ${expected}`);
  return accept({ name: found, hash });
}

/** False also where the scheme does not fit the type of the key. */
function verifies(signature: TpmSignature, hash: HashName, quoted: Buffer, ak: AkIdentity): boolean {
  const { curve, key } = ak;
  if (signature.kind === 'ecdsa') return curve !== undefined && verifyEcdsa(hash, curve, key, quoted, signature);
  if (signature.kind !== 'rsa' || curve !== undefined) return false;
  const verifyRsa = signature.sigAlg === TPM_ALG_RSAPSS ? verifyRsapss : verifyRsassa;
  return verifyRsa(hash, key, quoted, signature.sig);
}

function algorithmName(scheme: number, hash: number | undefined): string {
  const hex = (id: number) => `0x${id.toString(16).padStart(4, '0')}`;
  const schemeName = SCHEME_NAMES.get(scheme) ?? hex(scheme);
  return hash === undefined ? schemeName : `${schemeName}-${BANK_OF_ALG.get(hash) ?? hex(hash)}`;
}
