/**
 * TPM 2.0 quotes. This room may assume nothing about its input: whoever sends evidence chooses every byte of it. It
 * turns evidence into claims, or into the one reason why not; who vouches for an AK is decided by the caller.
 */
import { equalBytes } from '../../bytes/equal.js';
import { toHex } from '../../bytes/hex.js';
import type { ClaimTree } from '../../claims/claims.js';
import { digest, type HashName } from '../../crypto/digest.js';
import { accept, reject, type Rejection, type Result } from '../../reason/reason.js';
import { placeOf, presentedAk, type AkIdentity, type AkVouching } from './ak.js';
import { parseAttest } from './attest.js';
import { tpmClaims } from './claims.js';
import type { PcrValues, TpmEvidence } from './evidence.js';
import { checkSelection, type PcrsByBank } from './pcr-selection.js';
import { matchValues } from './pcr.js';
import { verifyQuoteSignature } from './quote-signature.js';
import type { QuoteAttest } from './structures.js';
import type { TrustedAks } from './trusted-aks.js';

/** What a quote is held against. */
export interface QuoteExpectations<V extends AkVouching = AkVouching> {
  /** What extraData must be, exactly. undefined: not checked, which is for offline use only. */
  readonly extraData: Buffer | undefined;
  /** PCRs that must be in the signed selection, by bank. None of them can be of the SHA-1 bank. */
  readonly neededPcrs: PcrsByBank;
  /** What makes the AK believable, or ak.revoked, ak.untrusted, … */
  readonly trust: (ak: AkIdentity) => Result<V>;
  /** AKs that were trusted before; one that is trusted now, and signed this very binding, is put in. */
  readonly known?: TrustedAks;
}

declare const verified: unique symbol;

/** A quote that passed every check of verifyQuote, the only place where one comes from. */
export interface VerifiedQuote<V extends AkVouching = AkVouching> {
  readonly [verified]: true;
  readonly ak: AkIdentity;
  readonly trust: V;
  readonly quote: QuoteAttest;
  /** The tree below `tpm`. */
  readonly claims: ClaimTree;
  /** Values that the signed digest vouches for. Never of the SHA-1 bank. */
  readonly pcrs: PcrValues;
}

/**
 * Verifies a TPM quote: what it is, who signed it, what for, and which PCR values it vouches for. The checks come in the
 * order of the codes: quote.magic, quote.type, evidence.malformed; evidence.malformed and ak.attributes of the AK, what
 * `trust` refuses with; quote.algorithm, quote.signature (evidence.malformed where the signature does not parse);
 * quote.binding; quote.pcr_selection, quote.pcr_values, quote.pcr_digest. NOT verified: that the PCR values are good, that
 * the clock went forward, that the TPM was not reset: these are claims for policies.
 */
export function verifyQuote<V extends AkVouching>(
  evidence: TpmEvidence,
  expectations: QuoteExpectations<V>,
): Result<VerifiedQuote<V>> {
  const quote = parseAttest(evidence.quoted);
  if (!quote.ok) return quote;

  const ak = presentedAk(evidence, expectations.known);
  if (!ak.ok) return ak;
  const trust = expectations.trust(ak.value);
  if (!trust.ok) return trust;

  const algorithm = verifyQuoteSignature(evidence.quoted, evidence.signature, ak.value);
  if (!algorithm.ok) return algorithm;

  const unbound = checkBinding(quote.value.extraData, expectations.extraData);
  if (unbound !== undefined) return unbound;
  // Not before: AKs and their certificates are public, and whoever presents those of others would push out what is needed.
  expectations.known?.put(ak.value, placeOf(evidence, ak.value));

  const selected = checkSelection(quote.value.pcrSelect, expectations.neededPcrs);
  if (!selected.ok) return selected;
  const values = matchValues(selected.value, evidence.pcrs);
  if (!values.ok) return values;
  const altered = checkDigest(quote.value.pcrDigest, algorithm.value.hash, values.value.ordered);
  if (altered !== undefined) return altered;

  const { pcrs } = values.value;
  const claims = tpmClaims(quote.value, algorithm.value.name, ak.value, trust.value, pcrs);
  return accept({ ak: ak.value, trust: trust.value, quote: quote.value, claims, pcrs } as VerifiedQuote<V>);
}

/** Equal to the last byte and of the same length: no padding, no prefix. */
function checkBinding(extraData: Buffer, expected: Buffer | undefined): Rejection | undefined {
  if (expected === undefined || equalBytes(extraData, expected)) return undefined;
  return reject('quote.binding', 'the extraData of the quote is not the expected binding', {
    claim: 'quote.extra_data',
    operator: 'equals',
    expected: toHex(expected),
    found: toHex(extraData),
  });
}

/** pcrDigest is made with the hash of the signing scheme, whatever the banks. */
function checkDigest(signed: Buffer, hash: HashName, values: readonly Buffer[]): Rejection | undefined {
  const found = digest(hash, ...values);
  if (equalBytes(signed, found)) return undefined;
  return reject('quote.pcr_digest', 'the PCR values handed over do not hash to the signed pcrDigest', {
    claim: 'quote.pcr_digest',
    operator: 'equals',
    expected: toHex(signed),
    found: toHex(found),
  });
}
