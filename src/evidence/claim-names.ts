import type { ClaimDescription } from '../claims/claim-description.js';
import { GPU_CLAIMS } from './gpu/claims.js';
import { HCL_CLAIMS } from './hcl/claims.js';
import { SNP_CLAIMS } from './snp/claims.js';
import { TDX_CLAIMS } from './tdx/claims.js';
import { POLICY_CLAIMS, TPM_CLAIMS } from './tpm/claim-descriptions.js';

/** Every claim that the verifiers of this version make, in the order of docs/CLAIMS.md. */
export const CLAIM_DESCRIPTIONS: readonly ClaimDescription[] = [
  ...POLICY_CLAIMS,
  ...TPM_CLAIMS,
  ...SNP_CLAIMS,
  ...TDX_CLAIMS,
  ...HCL_CLAIMS,
  ...GPU_CLAIMS,
];

const names = new Set(CLAIM_DESCRIPTIONS.map(({ name }) => name));
/** What stands for an index, a number or a word, each one part of a name. */
const PLACEHOLDER = /^<[a-z_]+>$/;
const patterns = [...names]
  .filter((name) => name.includes('<'))
  .map((name) => name.split('.').map((part) => (PLACEHOLDER.test(part) ? undefined : part)));

/** Whether a verifier of this version can make a claim of this name. */
export function isClaimName(name: string): boolean {
  if (names.has(name)) return !name.includes('<');
  const parts = name.split('.');
  return patterns.some(
    (pattern) =>
      pattern.length === parts.length &&
      pattern.every((part, at) => (part === undefined ? /^\w{1,64}$/.test(parts[at] ?? '') : part === parts[at])),
  );
}
