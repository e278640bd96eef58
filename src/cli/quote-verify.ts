import { claimTree, type ClaimTree } from '../claims/claims.js';
import { sha256Hex } from '../crypto/digest.js';
import { parseAttest } from '../evidence/tpm/attest.js';
import type { BankName, PcrValues } from '../evidence/tpm/evidence.js';
import { orMalformed } from '../evidence/tpm/malformed.js';
import type { PcrsByBank } from '../evidence/tpm/pcr-selection.js';
import { expectedPolicyPcr } from '../evidence/tpm/pcr.js';
import { verifyQuote } from '../evidence/tpm/quote.js';
import { parseToolsPcrs } from '../evidence/tpm/tools-pcrs.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';

/** The content of the files of `portcullis quote verify`, and its conditions. */
export interface QuoteVerifyInput {
  /** TPMS_ATTEST. */
  quoted: Buffer;
  /** TPMT_SIGNATURE. */
  signature: Buffer;
  /** TPM2B_PUBLIC or TPMT_PUBLIC. */
  ak: Buffer;
  /** What tpm2_quote -o writes (both formats), the text of tpm2_pcrread, or JSON. */
  pcrs: Buffer;
  /** Left out: not checked. Empty: extraData must be empty. */
  extraData?: Buffer;
  /** Values in hex of either case. */
  pcrConditions: readonly { bank: BankName; index: number; value: string }[];
  /** A runtime policy file, and the PCR of the SHA-256 bank that it must have been measured into, alone. */
  policy?: { content: Buffer; pcr: number };
}

interface Condition {
  readonly bank: BankName;
  readonly index: number;
  readonly value: string;
  readonly reason: 'policy.pcr' | 'policy.hash';
}

/**
 * Verifies a quote offline. NOT verified: that the AK is in any TPM (the person who names the file vouches for it, so
 * there is no claim tpm.ak.trust), nor freshness, beyond extraData where it is given. Refuses with everything that
 * verifyQuote refuses with, evidence.malformed for the file of PCR values, policy.pcr and policy.hash.
 */
export function verifyQuoteOffline(input: QuoteVerifyInput): Result<ClaimTree> {
  const quote = parseAttest(input.quoted);
  if (!quote.ok) return quote;
  const pcrs = orMalformed(() => parseToolsPcrs(input.pcrs, quote.value.pcrSelect));
  if (!pcrs.ok) return pcrs;
  const conditions = conditionsOf(input);
  const verified = verifyQuote(
    { quoted: input.quoted, signature: input.signature, ak: input.ak, pcrs: pcrs.value, akCertificates: [] },
    {
      extraData: input.extraData,
      neededPcrs: neededPcrs(conditions),
      trust: () => accept({ kind: 'pinned' as const }),
    },
  );
  if (!verified.ok) return verified;
  const unmet = firstUnmet(conditions, verified.value.pcrs);
  if (unmet !== undefined) return unmet;
  const policy = input.policy === undefined ? undefined : claimTree({ sha256: sha256Hex(input.policy.content) });
  return accept(claimTree({ ...withoutTrust(verified.value.claims), policy }));
}

function conditionsOf({ pcrConditions, policy }: QuoteVerifyInput): readonly Condition[] {
  const named = pcrConditions.map(({ bank, index, value }): Condition => {
    return { bank, index, value: value.toLowerCase(), reason: 'policy.pcr' };
  });
  if (policy === undefined) return named;
  const value = expectedPolicyPcr('sha256', sha256Hex(policy.content));
  return [{ bank: 'sha256', index: policy.pcr, value, reason: 'policy.hash' }, ...named];
}

function neededPcrs(conditions: readonly Condition[]): PcrsByBank {
  const needed: Partial<Record<BankName, number[]>> = {};
  for (const { bank, index } of conditions) (needed[bank] ??= []).push(index);
  return needed;
}

function firstUnmet(conditions: readonly Condition[], pcrs: PcrValues): Rejection | undefined {
  for (const { bank, index, value, reason } of conditions) {
    const found = pcrs[bank]?.[String(index)];
    if (found === value) continue;
    const pcr = `PCR ${String(index)} of the ${bank} bank`;
    const detail =
      reason === 'policy.hash'
        ? `${pcr} is not what the policy file gives when it is measured once, alone, from reset`
        : `${pcr} has another value`;
    const claim = `tpm.pcrs.${bank}.${String(index)}`;
    return reject(reason, detail, { claim, operator: 'equals', expected: value, found: found ?? null });
  }
  return undefined;
}

/** Nobody vouched for the AK but whoever named its file: that is no claim. */
function withoutTrust(claims: ClaimTree): ClaimTree {
  const { tpm } = claims;
  if (typeof tpm !== 'object' || typeof tpm['ak'] !== 'object') return claims;
  return claimTree({ ...claims, tpm: claimTree({ ...tpm, ak: claimTree({ ...tpm['ak'], trust: undefined }) }) });
}
