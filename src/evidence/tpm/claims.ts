import { claimTree, type ClaimTree } from '../../claims/claims.js';
import type { AkIdentity, AkVouching } from './ak.js';
import type { PcrValues } from './evidence.js';
import type { QuoteAttest } from './structures.js';

/**
 * The claims below `tpm` of a quote that has been verified. 64-bit numbers (clock in ms, firmware_version) are decimal
 * strings; resetCount, restartCount and safe are for policies to judge.
 */
export function tpmClaims(
  quote: QuoteAttest,
  signatureAlgorithm: string,
  ak: AkIdentity,
  { kind, claims = {} }: AkVouching,
  pcrs: PcrValues,
): ClaimTree {
  const { clockInfo } = quote;
  const banks = Object.entries(pcrs).map(([bank, values]) => [bank, claimTree(values)] as const);
  return claimTree({
    tpm: claimTree({
      ...claims,
      quote: claimTree({ signature_algorithm: signatureAlgorithm }),
      pcrs: claimTree(Object.fromEntries(banks)),
      ak: claimTree({ name: ak.name, trust: kind }),
      clock: clockInfo.clock.toString(),
      reset_count: clockInfo.resetCount,
      restart_count: clockInfo.restartCount,
      safe: clockInfo.safe,
      firmware_version: quote.firmwareVersion.toString(),
    }),
  });
}
