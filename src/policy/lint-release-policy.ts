import { OWN_AUTHORITY } from '../claims/claims.js';
import type { Deployment } from './deployment.js';
import { type ClaimCondition, comparisonsOf, sameAuthority } from './release-policy.js';

const PCR_CLAIM = /^tpm\.pcrs\.(sha256|sha384|sha512)\.(?:[0-9]|1[0-9]|2[0-3])$/;
const HEX_DIGITS: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/** Conditions of a release policy that can hardly be met as they are written. Of authorities other than our own nothing is known. */
export function lintReleasePolicy(
  { measurement, release }: Deployment,
  isClaim: (name: string) => boolean,
): readonly string[] {
  const warnings = conditionsOf(release).flatMap((condition) => lintCondition(condition, measurement.bank, isClaim));
  return [...new Set(warnings)];
}

/** The names of our own claims that the release policy has a condition on, in its order. */
export function claimsAskedFor({ release }: Deployment): readonly string[] {
  return conditionsOf(release).map(({ claim }) => claim);
}

function conditionsOf(release: Deployment['release']): readonly ClaimCondition[] {
  const own = release?.authorities.filter(({ authority }) => sameAuthority(authority, OWN_AUTHORITY)) ?? [];
  return own.flatMap(({ group }) => comparisonsOf(group));
}

function lintCondition(
  { claim, operator, value }: ClaimCondition,
  bank: string,
  isClaim: (name: string) => boolean,
): readonly string[] {
  const [, claimBank] = PCR_CLAIM.exec(claim) ?? [];
  if (claimBank === undefined) {
    // Of a PCR that does not exist, or a bank that is never believed, there is none.
    return isClaim(claim) && !claim.startsWith('tpm.pcrs.')
      ? []
      : [`release: no verifier of this version makes the claim ${claim}`];
  }
  const warnings: string[] = [];
  if (claimBank !== bank) {
    warnings.push(
      `release: ${claim} is in another bank than measurement.bank ${bank}, so every machine must quote both banks`,
    );
  }
  const digits = HEX_DIGITS[claimBank];
  if (operator === 'equals' && !(typeof value === 'string' && /^[0-9a-f]+$/.test(value) && value.length === digits)) {
    warnings.push(`release: ${claim} is never equal to anything but ${String(digits)} lower-case hex digits`);
  }
  return warnings;
}
