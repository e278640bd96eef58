import { OWN_AUTHORITY } from '../claims/claims.js';
import type { Deployment } from './deployment.js';
import { type ClaimCondition, comparisonsOf, sameAuthority } from './release-policy.js';

/** The claims that the verifiers of this version make, beside `tpm.pcrs.<bank>.<n>` and `tpm.instance.<member>`. */
const CLAIMS: readonly string[] = [
  'tpm.quote.signature_algorithm',
  'tpm.ak.name',
  'tpm.ak.trust',
  'tpm.ek.spki_sha256',
  'tpm.ek.serial',
  'tpm.ek.manufacturer',
  'tpm.ek.model',
  'tpm.ek.version',
  'tpm.certificate.serial',
  'tpm.clock',
  'tpm.reset_count',
  'tpm.restart_count',
  'tpm.safe',
  'tpm.firmware_version',
  'policy.sha256',
  'deployment',
];

const PCR_CLAIM = /^tpm\.pcrs\.(sha256|sha384|sha512)\.(?:[0-9]|1[0-9]|2[0-3])$/;
/** What the certificate of a cloud says of its machine. */
const INSTANCE_CLAIM = /^tpm\.instance\.[a-zA-Z_]{1,64}$/;
const HEX_DIGITS: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/** Conditions of a release policy that can hardly be met as they are written. */
export function lintReleasePolicy({ measurement, release }: Deployment): readonly string[] {
  const warnings = new Set<string>();
  for (const { authority, group } of release?.authorities ?? []) {
    if (!sameAuthority(authority, OWN_AUTHORITY)) {
      warnings.add(
        `release: this version verifies no attestation tokens, so the conditions of authority ${authority} are never met`,
      );
      continue;
    }
    for (const condition of comparisonsOf(group)) {
      for (const warning of lintCondition(condition, measurement.bank)) warnings.add(warning);
    }
  }
  return [...warnings];
}

function lintCondition({ claim, operator, value }: ClaimCondition, bank: string): readonly string[] {
  const [, claimBank] = PCR_CLAIM.exec(claim) ?? [];
  if (claimBank === undefined) {
    const isMade = CLAIMS.includes(claim) || INSTANCE_CLAIM.test(claim);
    return isMade ? [] : [`release: no verifier of this version makes the claim ${claim}`];
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
