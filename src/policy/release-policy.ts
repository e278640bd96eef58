import type { ClaimValue } from '../claims/claims.js';
import type { Operator } from './decision.js';

/**
 * A comparison of one claim. A claim that is absent, or an object, meets no comparison, `notEquals` included; only
 * `exists: false` is met by absence. Numbers are integers within ±(2^53-1), so that a policy has one canonical form.
 */
export interface ClaimCondition {
  /** Dotted path, own members only: `tpm.pcrs.sha256.4`. */
  readonly claim: string;
  readonly operator: Exclude<Operator, 'in'>;
  readonly value: ClaimValue;
}

export interface ConditionGroup {
  readonly kind: 'anyOf' | 'allOf';
  readonly conditions: readonly PolicyCondition[];
}

export type PolicyCondition = ClaimCondition | ConditionGroup;

/** Conditions over the claims of one authority (`portcullis`, or the issuer of attestation tokens), as it was written. */
export interface AuthorityRules {
  readonly authority: string;
  readonly group: ConditionGroup;
}

/** A parsed release policy, grammar 1.0.0: plain JSON, so that it is stored with its deployment and read back unchanged. */
export interface ReleasePolicy {
  readonly kind: 'anyOf' | 'allOf';
  readonly authorities: readonly AuthorityRules[];
}

/** Whether two spellings name the same authority: equal but for one trailing slash, which issuers and policies write differently. */
export function sameAuthority(a: string, b: string): boolean {
  return withoutSlash(a) === withoutSlash(b);
}

function withoutSlash(authority: string): string {
  return authority.endsWith('/') ? authority.slice(0, -1) : authority;
}

/** Every comparison of a group, in the order of the document. */
export function comparisonsOf(group: ConditionGroup): readonly ClaimCondition[] {
  return group.conditions.flatMap((condition) => ('claim' in condition ? [condition] : comparisonsOf(condition)));
}
